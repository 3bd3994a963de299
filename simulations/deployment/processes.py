"""Processes of the operating system: families of them, their ports, their end."""

import contextlib
import math
import shutil
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

_LOOK_S = 0.2  # how often it is looked who is still there


class DeploymentError(RuntimeError):
    """A process of Flower's did not do what it was started for; the text has its last words."""


def executable(name: str) -> str:
    """Return the path of a command, of this environment if it has it."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise DeploymentError(f"{name} is not installed: pip install flwr")
    return found


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]


def listens(port: int) -> bool:
    """Return whether somebody listens on a port of the loopback interface."""
    if not 0 < port < 65536:
        raise ValueError(f"port must be from 1 to 65535, got {port}")
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


def command_line(process: psutil.Process) -> str:
    """Return how a process was started; empty if it has gone."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _family(pid: int) -> list[Any]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def kill_family(pid: int) -> None:
    """Kill a process and all that it has started."""
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            process.kill()


def terminate_families(pids: Iterable[int], patience_s: float = 10.0) -> None:
    """Ask processes to end; who of their families is still there after a while is killed."""
    families = [_family(pid) for pid in pids]
    for family in families:
        for process in family[:1]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)
    alive = {process for family in families for process in family}
    for _ in range(math.ceil(patience_s / _LOOK_S)):
        # A family grows until all of it have noticed: Flower starts a process per message.
        alive |= {process for parent in alive for process in _family(parent.pid)}
        _, left = psutil.wait_procs(alive, timeout=_LOOK_S)
        if not (alive := set(left)):
            return
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=10)

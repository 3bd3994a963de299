"""Probes and services that break, on purpose: how a training beside them ends."""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from deepedge_flwr.client.device import LocalDevice
from deepedge_flwr.client.probes import HttpProbe, Probe, SocketProbe, WakeUpProbe, watching
from deepedge_flwr.core.clock import WallClock
from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.local_run import LocalRun
from deepedge_flwr.core.types import TrainPlan

from .service import Load

_STEP_S, _SILENCE_S, _LONGEST_S = 0.01, 1.0, 30.0
_BUDGET_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a training ended.

    Attributes
    ----------
    what : str
        What was broken.
    expected, trouble : str
        What its report has to say, and what it says.
    num_steps : int
        Local steps done before.
    """

    what: str
    expected: str
    trouble: str
    num_steps: int


def endings() -> Iterator[Ending]:
    """Break one thing after the other beside a training that would go on for half a minute."""
    yield _pushed("a service that vanishes", ["0.0101", "0.0102", "0.0103"], "saw no request")
    yield _pushed("a probe that says zero", ["0.0101", "0.0"], "a latency is a finite number")
    yield _pushed("a probe that says less", ["0.0101", "-0.01"], "a latency is a finite number")
    yield _pushed("a probe that says NaN", ["0.0101", "nan"], "a latency is a finite number")
    yield _killed()
    yield _watcher_killed()
    yield _hopeless()


def _trained(what: str, probe: Probe, expected: str, after_step: Callable[[int], None]) -> Ending:
    clock = WallClock()
    with watching(probe, _SILENCE_S, gates=True) as watched:
        plan = TrainPlan(num_steps=sys.maxsize, deadline_s=_LONGEST_S)
        run = LocalRun(plan, Gate(_BUDGET_S), LocalDevice(watched))
        for step in run:
            clock.sleep(_STEP_S)
            after_step(step)
        told = run.telemetry()
    return Ending(what=what, expected=expected, trouble=told.trouble, num_steps=told.num_steps)


def _nothing(_: int) -> None:
    pass


def _pushed(what: str, lines: list[str], expected: str) -> Ending:
    """Push one line after the other, and then nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "service.sock")
        pusher = threading.Thread(target=_push, args=(path, lines))
        pusher.start()
        ending = _trained(what, SocketProbe(path), expected, _nothing)
        pusher.join()
    return ending


def _push(path: str, lines: list[str]) -> None:
    clock = WallClock()
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as service:
        for line in lines:
            for _ in range(500):  # until somebody listens
                clock.sleep(_STEP_S)
                with contextlib.suppress(OSError):
                    service.sendto(line.encode(), path)
                    break


def _killed() -> Ending:
    """Kill the service in the middle."""
    load = json.dumps(asdict(Load(period_s=0.05, work_s=0.001, over_http=True)))
    command = [sys.executable, "-m", "simulations.colocation.inference", load]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        probe = HttpProbe(f"http://127.0.0.1:{int(server.stdout.readline())}/", interval_s=0.01)

        def kill(step: int) -> None:
            if step == 20:
                server.kill()

        return _trained("a service that is killed", probe, "has failed 3 times in a row", kill)


def _watcher_killed() -> Ending:
    """Kill the process of the probe in the middle."""
    before = set(psutil.Process().children())

    def kill(step: int) -> None:
        if step == 20:
            for watcher in set(psutil.Process().children()) - before:
                watcher.kill()

    expected = "the process that watches the service has died"
    return _trained("a probe whose process is killed", WakeUpProbe(), expected, kill)


def _hopeless() -> Ending:
    """Ask for a budget below what the service takes without any training."""
    latencies_s = iter(range(1, sys.maxsize))

    def slow() -> list[float]:
        return [2 * _BUDGET_S + 1e-6 * next(latencies_s)]

    expected = "does not keep its budget"
    return _trained("a budget below the isolated latency", slow, expected, _nothing)

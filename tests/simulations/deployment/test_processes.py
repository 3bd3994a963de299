"""Families of processes end together."""

import subprocess
import sys

import psutil

from simulations.deployment.processes import (
    free_ports,
    kill_family,
    listens,
    terminate_families,
)

PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "child.wait()\n"
)
LATE = (
    "import signal, subprocess, sys, time\n"
    "def late(*_):\n"
    "    sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
    "    print(subprocess.Popen(sleep).pid, flush=True)\n"
    "    time.sleep(2)\n"
    "    sys.exit()\n"
    "signal.signal(signal.SIGTERM, late)\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)\n"
)


def start() -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_family_is_killed() -> None:
    parent, child = start()
    kill_family(parent.pid)
    parent.communicate()
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=10)
    assert not is_running(child)


def test_a_family_is_terminated() -> None:
    families = [start(), start()]
    terminate_families((parent.pid for parent, _ in families), patience_s=1.0)
    for parent, child in families:
        parent.communicate()
        assert not is_running(child)
    kill_family(families[0][0].pid)  # who has gone is no error


def test_a_child_that_is_born_at_the_end_is_terminated_too() -> None:
    """Flower's executor may start a process for a message when it has been told to end."""
    parent = subprocess.Popen([sys.executable, "-c", LATE], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline()
    terminate_families([parent.pid], patience_s=4.0)
    child = int(parent.communicate()[0])
    assert not is_running(child)


def test_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(listens(port) for port in ports)

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
    terminate_families(parent.pid for parent, _ in families)
    for parent, child in families:
        parent.communicate()
        assert not is_running(child)
    kill_family(families[0][0].pid)  # who has gone is no error


def test_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(listens(port) for port in ports)

"""On which cores the threads of this process may run."""

import os
import subprocess
import sys

import pytest

from deepedge_flwr.client import threads

CODE = """
import os
if IMPORTS: import torch
from deepedge_flwr.client.threads import own_cores, usable_cores
print(own_cores(), usable_cores(), sep="; ")
"""
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
ALL, FIRST, LAST = str(CORES), str(CORES[:1]), str(CORES[-1:])
several_cores = pytest.mark.skipif(
    not sys.platform.startswith("linux") or len(CORES) < 2,
    reason="affinity, as Linux has it, and two cores",
)
#: Without what may bind the threads of the tests.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}


def told(imports: bool = True, **environment: str) -> str:
    """Return the cores of the first thread of a process, and those of all its threads."""
    code = CODE.replace("IMPORTS", str(imports))
    return subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True,
        env={**ENVIRONMENT, **environment},
    ).stdout.strip()  # fmt: skip


@several_cores
@pytest.mark.parametrize("imports", [True, False])
def test_threads_that_nobody_binds_may_run_anywhere(imports: bool) -> None:
    assert told(imports) == told(imports, OMP_PROC_BIND="false") == f"{ALL}; {ALL}"


@several_cores
def test_openmps_places_are_asked_where_it_binds_threads() -> None:
    assert told(OMP_PROC_BIND="true", OMP_PLACES="threads") == f"{FIRST}; {ALL}"
    assert told(GOMP_CPU_AFFINITY=",".join(map(str, CORES))) == f"{FIRST}; {ALL}"
    backwards = CORES[::-1]
    places = ",".join(f"{{{core}}}" for core in backwards)
    assert told(OMP_PLACES=places) == f"{backwards[:1]}; {backwards}"


@several_cores
def test_cores_that_the_user_has_left_out_stay_left_out() -> None:
    assert told(OMP_PLACES=f"{{{CORES[-1]}}}") == f"{LAST}; {LAST}"


def test_systems_that_bind_nothing_have_all_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert threads.own_cores() == threads.usable_cores() == [0, 1, 2]
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.own_cores() == [0]


@several_cores
def test_a_core_that_is_gone_leaves_the_thread_where_it_was() -> None:
    threads.stay_on(4095)
    assert threads.own_cores() == CORES

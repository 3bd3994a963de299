"""On which cores the threads of this process may run."""

import os
import subprocess
import sys

import pytest

CODE = """
import os
if IMPORTS: import torch
from deepedge_flwr.client.threads import own_cores, usable_cores
print(sorted(own_cores()), sorted(usable_cores()), sep="; ")
"""
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
ALL, FIRST, LAST = str(CORES), str(CORES[:1]), str(CORES[-1:])
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="affinity, as Linux has it")


def told(imports: bool = True, **environment: str) -> str:
    """Return the cores of the first thread of a process, and those of all its threads."""
    code = CODE.replace("IMPORTS", str(imports))
    return subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True,
        env={**os.environ, **environment},
    ).stdout.strip()  # fmt: skip


@linux
@pytest.mark.parametrize("imports", [True, False])
def test_threads_that_nobody_binds_may_run_anywhere(imports: bool) -> None:
    assert told(imports) == told(imports, OMP_PROC_BIND="false") == f"{ALL}; {ALL}"


@linux
def test_openmps_places_are_asked_where_it_binds_threads() -> None:
    assert told(OMP_PROC_BIND="true", OMP_PLACES="threads") == f"{FIRST}; {ALL}"
    assert told(GOMP_CPU_AFFINITY=",".join(map(str, CORES))) == f"{FIRST}; {ALL}"


@linux
def test_cores_that_the_user_has_left_out_stay_left_out() -> None:
    assert told(OMP_PLACES=f"{{{CORES[-1]}}}") == f"{LAST}; {LAST}"


def test_systems_that_bind_nothing_have_all_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepedge_flwr.client import threads

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert threads.own_cores() == {0, 1, 2}
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.own_cores() == {0}

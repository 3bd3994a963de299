"""How many threads numerical libraries may use, and how those wait for each other."""

import contextlib
import os
import sys
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_limits

_WAIT_POLICY = "OMP_WAIT_POLICY"


def limited_threads(max_threads: int | None) -> AbstractContextManager[Any]:
    """Cap the threads of OpenMP, BLAS and what is built on them, torch included.

    Libraries loaded inside the block are not capped: import them with the app.

    Parameters
    ----------
    max_threads : int | None
        The cap; None for none.
    """
    return contextlib.nullcontext() if max_threads is None else threadpool_limits(max_threads)


def wait_passively() -> str:
    """Let threads of OpenMP sleep while they wait for each other; return why not, if so.

    By default they spin: beside a service that holds one core, the thread on the other one burns
    it waiting for the first. OpenMP reads its environment once, when the first library that uses
    it is loaded; what the environment says already is left alone.
    """
    if policy := os.environ.get(_WAIT_POLICY):
        return "" if policy.lower() == "passive" else f"{_WAIT_POLICY} is {policy}"
    if "torch" in sys.modules:
        return (
            f"torch was loaded before deepedge_flwr: set {_WAIT_POLICY}=passive in the "
            "environment of the SuperNode"
        )
    os.environ[_WAIT_POLICY] = "passive"
    return ""

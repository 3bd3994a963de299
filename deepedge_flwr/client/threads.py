"""How many threads numerical libraries may use."""

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_limits


def limited_threads(max_threads: int | None) -> AbstractContextManager[Any]:
    """Cap the threads of OpenMP, BLAS and what is built on them, torch included.

    Libraries loaded inside the block are not capped: import them with the app.

    Parameters
    ----------
    max_threads : int | None
        The cap; None for none.
    """
    return contextlib.nullcontext() if max_threads is None else threadpool_limits(max_threads)


def are_bound() -> bool:
    """Return whether OpenMP keeps each of its threads, the first one included, on one core."""
    return os.environ.get("OMP_PROC_BIND", "false").lower() != "false"

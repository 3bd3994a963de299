"""How many threads numerical libraries may use, and on which cores."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits


def limited_threads(max_threads: int | None) -> AbstractContextManager[Any]:
    """Cap the threads of OpenMP, BLAS and what is built on them, torch included.

    Libraries loaded inside the block are not capped: import them with the app.

    Parameters
    ----------
    max_threads : int | None
        The cap; None for none.
    """
    return contextlib.nullcontext() if max_threads is None else threadpool_limits(max_threads)


def usable_cores() -> set[int]:
    """Return the cores on which this thread may run, and those to which OpenMP binds others."""
    return own_cores().union(*_places_of_openmp())


def own_cores() -> set[int]:
    """Return the cores on which this thread may run."""
    if not hasattr(os, "sched_getaffinity"):
        return set(range(os.cpu_count() or 1))
    return os.sched_getaffinity(0)


def _places_of_openmp() -> Iterator[set[int]]:
    """Yield where OpenMP keeps each of its threads; nothing if it is not there or lets them be."""
    for library in threadpool_info():
        # What it says of places is part of OpenMP since version 4.5.
        with contextlib.suppress(OSError, AttributeError):
            openmp = ctypes.CDLL(library["filepath"])
            for place in range(openmp.omp_get_num_places()):
                cores = (ctypes.c_int * openmp.omp_get_place_num_procs(place))()
                openmp.omp_get_place_proc_ids(place, cores)
                yield set(cores)

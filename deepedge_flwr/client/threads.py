"""How many threads numerical libraries may use, and on which cores."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
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


@contextlib.contextmanager
def one_thread_at_first() -> Iterator[None]:
    """Let torch begin with one thread wherever it is used for the first time in the with block."""
    # A thread's first operation gives it the number of threads that was last set in any thread.
    if (torch := _torch()) is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_one_thread() -> None:
    """Let torch have this thread alone, for what it computes in it."""
    if (torch := _torch()) is not None:
        torch.set_num_threads(1)


def _torch() -> Any:
    """Return torch if the app has imported it; an app without it need not wait for it."""
    return sys.modules.get("torch")


def usable_cores() -> list[int]:
    """Return the cores of this thread, and after them those to which OpenMP binds others."""
    # First: asked for its places, OpenMP may bind this thread.
    places = list(_places_of_openmp())
    return list(dict.fromkeys([*own_cores(), *chain.from_iterable(places)]))


def own_cores() -> list[int]:
    """Return the cores on which this thread may run."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    return sorted(os.sched_getaffinity(0))


def stay_on(core: int) -> None:
    """Keep this thread on a core; where it was if that is no longer this process's."""
    for openmp in _binding_openmp():
        # It binds a thread that it does not know to its first place, in that thread's first
        # parallel region, unless it has told that thread a place before.
        openmp.omp_get_place_num()
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {core})


def _places_of_openmp() -> Iterator[Sequence[int]]:
    """Yield the cores of each place at which OpenMP keeps threads, in its order."""
    for openmp in _binding_openmp():
        for place in range(openmp.omp_get_num_places()):
            cores = (ctypes.c_int * openmp.omp_get_place_num_procs(place))()
            openmp.omp_get_place_proc_ids(place, cores)
            yield list(cores)


def _binding_openmp() -> Iterator[ctypes.CDLL]:
    """Yield each OpenMP that is loaded and binds threads; on Linux alone, as affinity is."""
    for library in threadpool_info() if sys.platform.startswith("linux") else ():
        # Places are part of OpenMP since version 4.5.
        with contextlib.suppress(OSError, AttributeError):
            if library["user_api"] == "openmp":
                openmp = ctypes.CDLL(library["filepath"])
                if openmp.omp_get_proc_bind():
                    yield openmp

"""The parts of a local step on the cores that the service leaves, each at its own pace."""

import contextlib
import contextvars
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from logging import WARNING
from typing import Any, Generic, TypeVar

from flwr.common import log

from .threads import are_bound, limited_threads

T = TypeVar("T")
R = TypeVar("R")

#: How the threads of all blocks are called.
THREAD_NAME = "free-core"
_most_cores: contextvars.ContextVar[int | None] = contextvars.ContextVar("cores", default=None)


@contextlib.contextmanager
def limited_cores(most: int | None) -> Iterator[None]:
    """Let every `FreeCores` entered inside the with block use at most so many cores; None: all."""
    token = _most_cores.set(most)
    try:
        yield
    finally:
        _most_cores.reset(token)


class FreeCores:
    """Compute the parts of a local step side by side, one core each.

    The threads of OpenMP, which torch uses, meet after every operation: when a service takes the
    core of one of them the others wait, dozens of times a step. Here a thread computes a part of
    the batch from end to end with a library of one thread, and the threads meet twice a step: after
    the parts, and after the update if that is cut, too, into an optimizer for each share of the
    parameters (DEPLOYMENT.md has an example). A thread that is done takes the next part, if there
    are more parts than cores. It is for services in another session that take much of all cores:
    the threads sleep while they wait, and each that wakes up beside a service may delay a request
    until the kernel chooses again. A step of a few milliseconds is too short for it.

    Inside the with block numerical libraries have one thread, for what is computed between two
    calls of `map`, too. While a simulated device trains there is one core.

    `loss.backward()` in several threads adds to the same gradients. Torch 2 does that under a lock,
    but in an order that differs from call to call, and so do the last bits of the sum, unless two
    parts add to nothing. Random numbers that the parts draw from one generator differ as well. What
    keeps statistics of its batches, such as a batch normalisation, must not be computed in several
    threads. `micro_batches` goes around `map` and not into a part: other threads have no gate.

    Parameters
    ----------
    count : int | None (default: None)
        How many cores; None for all that the thread may run on. In training `max-threads` of the
        node is the most.

    Attributes
    ----------
    count : int
        Cores in use; known inside the with block.

    Raises
    ------
    ValueError
        If `count` is not at least 1.

    Examples
    --------
    >>> with FreeCores() as cores:
    ...     cores.map(sum, [[1, 2], [3, 4]])
    [3, 7]
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"count must be >= 1 or None, got {count}")
        self._asked, self.count = count, 1
        self._helpers: ThreadPoolExecutor | None = None
        self._open: contextlib.ExitStack | None = None

    def __enter__(self) -> "FreeCores":
        """Return this, with a thread for every core but this thread's own.

        Raises
        ------
        RuntimeError
            If it is in use already.
        """
        if self._open is not None:
            raise RuntimeError("this FreeCores is in use: make one for each with block")
        usable = _usable_cores()
        self.count = min(self._asked or usable, _most_cores.get() or sys.maxsize)
        with contextlib.ExitStack() as opening:
            # What torch had is asked for, and given back, before and after the limit on OpenMP.
            opening.enter_context(_torch_with_one_thread())
            opening.enter_context(limited_threads(1))
            if self.count > 1:
                self._helpers = ThreadPoolExecutor(self.count - 1, THREAD_NAME, _use_one_thread)
                opening.enter_context(self._helpers)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, and give the numerical libraries back theirs."""
        opened, self._open, self._helpers = self._open, None, None
        if opened is not None:
            opened.close()

    def map(self, compute: Callable[[T], R], parts: Iterable[T]) -> list[R]:
        """Return what `compute` gives for each part, in their order, when all are done.

        Parameters
        ----------
        compute : Callable
            Computes a part, in any thread. Modes that torch keeps for each thread, `no_grad` and
            `autocast`, are the caller's only in the caller's own parts: enter them in here.
        parts : Iterable
            What a step is cut into, such as `batch.chunk(cores.count)`.

        Raises
        ------
        RuntimeError
            Outside of the with block.
        Exception
            The first that `compute` raises; parts that were not begun by then are left out.
        """
        if self._open is None:
            raise RuntimeError("FreeCores.map needs its with block: with FreeCores() as cores: ...")
        call, helpers = _Call(compute, parts), list[Future[None]]()
        if self._helpers is not None:
            extra = min(self.count, len(call.left)) - 1
            helpers = [self._helpers.submit(call.work) for _ in range(extra)]
        try:
            call.work()
        finally:
            # Whoever interrupts this thread waits for what is begun, and for no more.
            call.left.clear()
            begun = [helper for helper in helpers if not helper.cancel()]
            wait(begun)
        for helper in begun:
            helper.result()
        if call.errors:
            raise call.errors[0]
        return [call.results[index] for index in range(len(call.results))]


class _Call(Generic[T, R]):
    """Parts that are left to compute, and what came of the others."""

    def __init__(self, compute: Callable[[T], R], parts: Iterable[T]) -> None:
        self.compute, self.left = compute, deque(enumerate(parts))
        self.results, self.errors = dict[int, R](), list[Exception]()

    def work(self) -> None:
        """Compute parts until none is left."""
        while True:
            try:
                index, part = self.left.popleft()
            except IndexError:
                return
            try:
                self.results[index] = self.compute(part)
            except Exception as error:
                self.errors.append(error)
                self.left.clear()


def _usable_cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0))
    if usable == 1 and are_bound():
        log(WARNING, "OMP_PROC_BIND keeps this thread, and so FreeCores, on one core: "
            "start the process without it")  # fmt: skip
    return usable


@contextlib.contextmanager
def _torch_with_one_thread() -> Iterator[None]:
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


def _use_one_thread() -> None:
    if (torch := _torch()) is not None:
        torch.set_num_threads(1)


def _torch() -> Any:
    """Return torch if the app has imported it; an app without it need not wait for it."""
    return sys.modules.get("torch")

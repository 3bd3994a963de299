"""The parts of a local step on the cores that the service leaves, each at its own pace."""

import contextlib
import contextvars
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from typing import Generic, TypeVar

from ..core.batch_shares import BatchShares
from ..core.clock import WallClock
from . import threads

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
    the batch from end to end with a library of one thread, and the threads meet once a step, after
    the parts, which are longer where the service leaves more of the core (`map_batch`). The update
    is the caller's; a long one can be cut, too, into optimizers for shares of the parameters
    (`map`). DEPLOYMENT.md has an example, and says where a step is better left to OpenMP.

    Where OpenMP binds its threads to cores (`OMP_PROC_BIND`, as advised) the threads here have the
    same cores, one each; where it does not they go where the kernel puts them.

    Inside the with block numerical libraries have one thread, for what is computed between two
    calls, too. While a simulated device trains there is one core.

    `loss.backward()` in several threads adds to the same gradients. Torch 2 does that under a lock,
    but in an order that differs from call to call, and so do the last bits of the sum, the sizes of
    the parts, and random numbers that they draw from one generator. What keeps statistics of its
    batches, such as a batch normalisation, must not be computed in several threads. `micro_batches`
    goes around a call and not into a part: other threads have no gate. Modes that torch keeps for
    each thread, `no_grad` and `autocast`, are the caller's only in the caller's own parts: enter
    them in what computes a part.

    Parameters
    ----------
    count : int | None (default: None)
        How many cores; None for all on which the thread may run, and those to which OpenMP binds
        its other threads. In training `max-threads` of the node is the most.

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
    >>> samples = [1, 2, 3, 4]
    >>> with FreeCores(2) as cores:
    ...     cores.map_batch(lambda part: sum(samples[part]), len(samples))
    ...     cores.map(sum, [[1], [2, 3], [4]])
    [3, 7]
    [1, 5, 4]
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"count must be >= 1 or None, got {count}")
        self._asked, self.count = count, 1
        self._shares, self._is_busy = BatchShares(1), False
        self._helpers: Sequence[ThreadPoolExecutor] = ()
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
        cores = _cores_of_helpers()
        self.count = min(self._asked or 1 + len(cores), _most_cores.get() or sys.maxsize)
        self._shares = BatchShares(self.count)
        with contextlib.ExitStack() as opening:
            # What torch had is asked for, and given back, before and after the limit on OpenMP.
            opening.enter_context(threads.one_thread_at_first())
            opening.enter_context(threads.limited_threads(1))
            # A pool for each: the second part of a batch is always for the same core.
            self._helpers = [
                opening.enter_context(ThreadPoolExecutor(1, THREAD_NAME, _begin, (core,)))
                for core in islice(cycle([*cores, None]), self.count - 1)
            ]
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, and give the numerical libraries back theirs."""
        opened, self._open, self._helpers = self._open, None, ()
        if opened is not None:
            opened.close()

    def map_batch(self, compute: Callable[[slice], R], num_samples: int) -> list[R]:
        """Return what `compute` gives for each core's part of a batch, in their order.

        The parts differ in size: a core that is slower, or that the service takes more of, has a
        shorter one, by its pace in the batches before (`BatchShares`), so that on average all are
        done at the same time. Let a part add its samples' losses, divided by the size of the batch:
        a mean of the parts' means is not that of the batch.

        Parameters
        ----------
        compute : Callable
            Computes the samples of a slice, such as `slice(0, 17)`, in any thread.
        num_samples : int
            Of the batch, such as `len(x)`.

        Returns
        -------
        list
            A result for each core, or for each sample if there are fewer.

        Raises
        ------
        RuntimeError
            Outside of the with block, or inside a part.
        ValueError
            If `num_samples` is negative.
        Exception
            What `compute` raises for the first part that fails, when the others are done.
        """
        if num_samples < 0:
            raise ValueError(f"num_samples must be >= 0, got {num_samples}")
        clock, parts = WallClock(), self._shares.cut(num_samples)

        def timed(part: slice) -> tuple[R, float]:
            """Compute a part; return when that was done, too."""
            return compute(part), clock.now_s()

        begun_s = clock.now_s()
        tasks = [partial(timed, part) for part in parts if part.stop > part.start]
        with self._side_by_side("map_batch", tasks[1:]) as helpers:
            done = [task() for task in tasks[:1]] + [helper.result() for helper in helpers]
        self._shares.learn(parts, [done_s - begun_s for _, done_s in done])
        return [result for result, _ in done]

    def map(self, compute: Callable[[T], R], parts: Iterable[T]) -> list[R]:
        """Return what `compute` gives for each part, in their order, when all are done.

        A thread that is done takes the next part, if there are more parts than cores.

        Parameters
        ----------
        compute : Callable
            Computes a part, in any thread.
        parts : Iterable
            What a step is cut into, such as one optimizer for each share of the parameters.

        Raises
        ------
        RuntimeError
            Outside of the with block, or inside a part.
        Exception
            The first that `compute` raises; parts that were not begun by then are left out.
        """
        call = _Call(compute, parts)
        with self._side_by_side("map", [call.work] * (len(call.left) - 1)) as helpers:
            try:
                call.work()
            finally:
                # Whoever interrupts this thread waits for what is begun, and for no more.
                call.left.clear()
        for helper in helpers:
            if not helper.cancelled():
                helper.result()
        if call.errors:
            raise call.errors[0]
        return [call.results[index] for index in range(len(call.results))]

    @contextlib.contextmanager
    def _side_by_side(
        self, name: str, tasks: Iterable[Callable[[], R]]
    ) -> Iterator[list[Future[R]]]:
        """Let a helper begin each task, as far as there are helpers; wait for those begun."""
        if self._open is None:
            raise RuntimeError(f"FreeCores.{name} needs its with block: with FreeCores() as cores")
        if self._is_busy:
            # A helper would wait for itself.
            raise RuntimeError(f"FreeCores.{name} takes one call at a time, and none by a part")
        futures, self._is_busy = list[Future[R]](), True
        try:
            for helper, task in zip(self._helpers, tasks, strict=False):
                futures.append(helper.submit(task))
            yield futures
        finally:
            for begun in [future for future in futures if not future.cancel()]:
                begun.exception()
            self._is_busy = False


class _Call(Generic[T, R]):
    """Parts that are left to compute, and what came of the others."""

    def __init__(self, compute: Callable[[T], R], parts: Iterable[T]) -> None:
        self.compute, self.left = compute, deque(enumerate(parts))
        self.results, self.errors = dict[int, R](), list[Exception]()

    def work(self) -> None:
        """Compute parts until none is left."""
        with contextlib.suppress(IndexError):
            while True:
                index, part = self.left.popleft()
                try:
                    self.results[index] = self.compute(part)
                except Exception as error:
                    self.errors.append(error)
                    self.left.clear()


def _cores_of_helpers() -> list[int | None]:
    """Return a core for each helper; None where it may be any of those of this thread."""
    usable, own = threads.usable_cores(), threads.own_cores()
    return [core for core in usable if core not in own] + [None] * (len(own) - 1)


def _begin(core: int | None) -> None:
    if core is not None:
        threads.stay_on(core)
    threads.use_one_thread()

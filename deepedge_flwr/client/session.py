"""`local_steps`, the one word that changes in a user's training loop, and `micro_batches`."""

import contextlib
import contextvars
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ..core.local_run import LocalRun

T = TypeVar("T")

#: The run to follow, and whether it says how many steps to do.
_Session = tuple[LocalRun, bool] | None
_session: contextvars.ContextVar[_Session] = contextvars.ContextVar("session", default=None)


@contextlib.contextmanager
def session(run: LocalRun, *, counts_steps: bool = True) -> Iterator[None]:
    """Make `run` the one that `local_steps` follows inside the with block.

    Parameters
    ----------
    run : LocalRun
        The run.
    counts_steps : bool (default: True)
        Whether it decides how many steps there are; otherwise only when each may begin.
    """
    token = _session.set((run, counts_steps))
    try:
        yield
    finally:
        _session.reset(token)


def local_steps(batches: Iterable[T]) -> Iterator[T]:
    """Yield one batch per local step that the server's plan and the latency gate allow.

    Where a plan is in force, `batches` is repeated or cut to the planned number of steps. Without
    one (another strategy, or no `DeepEdgeMod`) all of `batches` is yielded once, unchanged. The
    plan counts the steps of the whole message: in a loop over epochs the first call takes them
    all and the later ones yield nothing.

    Parameters
    ----------
    batches : Iterable
        The training data: a data loader, a list, a generator. To be repeated it must be iterable
        more than once; a generator ends the steps when it is exhausted.

    Examples
    --------
    >>> for batch in local_steps([1, 2, 3]):
    ...     print(batch)
    1
    2
    3

    Raises
    ------
    ValueError
        If a plan is in force and `batches` is empty.
    """
    if (current := _session.get()) is None:
        yield from batches
        return
    run, counts_steps = current
    source = _repeated(batches) if counts_steps else batches
    for _, batch in zip(run, source, strict=False):
        yield batch


def micro_batches(parts: Iterable[T]) -> Iterator[T]:
    """Yield the parts of one long local step; between two of them training yields to the service.

    A gate looks at the service between steps: beside a step of half a second it is half a second
    late. Cut the batch, add up the gradients, and it is late by one part at the most. If the gate
    ends the job inside a step, the parts that are left are not yielded: the step is then one of a
    smaller batch, of one part at least.

    Parameters
    ----------
    parts : Iterable
        What a batch is cut into, such as `torch.split(batch, 16)`.

    Examples
    --------
    >>> for batch in local_steps([[1, 2, 3, 4]]):
    ...     for part in micro_batches([batch[:2], batch[2:]]):
    ...         print(part)
    [1, 2]
    [3, 4]
    """
    current = _session.get()
    for index, part in enumerate(parts):
        if index > 0 and current is not None and not current[0].may_continue_step():
            return
        yield part


def _repeated(batches: Iterable[T]) -> Iterator[T]:
    num_batches = 0
    for batch in batches:
        num_batches += 1
        yield batch
    if num_batches == 0:
        raise ValueError("local_steps got no batch: the node's training data is empty")
    while True:
        before = num_batches
        for batch in batches:
            num_batches += 1
            yield batch
        if num_batches == before:
            return

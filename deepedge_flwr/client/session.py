"""`local_steps`: the one word that changes in a user's training loop."""

import contextlib
import contextvars
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ..core.local_run import LocalRun

T = TypeVar("T")

_run: contextvars.ContextVar[LocalRun | None] = contextvars.ContextVar("local_run", default=None)


@contextlib.contextmanager
def session(run: LocalRun) -> Iterator[None]:
    """Make `run` the one that `local_steps` follows inside the with block."""
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


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
    run = _run.get()
    if run is None:
        yield from batches
        return
    source = _repeated(batches)
    for _, batch in zip(run, source, strict=False):
        yield batch


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

"""Replies taken from a real server, of which a large one must not hold up the others."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from flwr.app import Message
from flwr.serverapp import Grid

_GRACE_S = 1.0  # a call that takes longer waits for a reply whose sender has not sent all of it
_MAX_CALLS = 8


class Puller:
    """Pull in threads.

    Flower's grid returns from a call only when all replies that have begun to arrive are complete,
    measured at 11 s for 300 MB on loopback. Such a call is left to itself, and from then on the
    messages are spread over more calls, so that fewer share the fate of a slow one.

    Parameters
    ----------
    grid : Grid
        Where from; called from several threads, never twice at a time for one message.
    grace_s : float (default: 1.0)
        Seconds after which the loop goes on without a call that has not returned.
    """

    def __init__(self, grid: Grid, grace_s: float = _GRACE_S) -> None:
        self._grid, self._grace_s, self._num_calls = grid, grace_s, 1
        self._threads = ThreadPoolExecutor(_MAX_CALLS, thread_name_prefix="pull")
        self._calls: dict[Future[list[Message]], frozenset[str]] = {}

    def pull(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that are complete."""
        held = frozenset[str]().union(*self._calls.values())
        wanted = [message_id for message_id in message_ids if message_id not in held]
        num_calls = min(self._num_calls, _MAX_CALLS - len(self._calls))
        parts = [part for start in range(num_calls) if (part := wanted[start::num_calls])]
        begun = {self._threads.submit(self._pull, part): frozenset(part) for part in parts}
        self._calls.update(begun)
        if wait(begun, timeout=self._grace_s).not_done:
            self._num_calls = min(_MAX_CALLS, 2 * self._num_calls)
        finished = [call for call in self._calls if call.done()]
        for call in finished:
            del self._calls[call]
        return [reply for call in finished for reply in call.result()]

    def close(self) -> None:
        """Wait for nothing that has not returned."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _pull(self, message_ids: list[str]) -> list[Message]:
        return list(self._grid.pull_messages(message_ids))

"""Replies taken from a real server, of which a slow one must not hold up the others."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from flwr.app import Message
from flwr.serverapp import Grid

_GRACE_S = 1.0  # a call that takes longer waits for a reply whose sender has not sent all of it
_MAX_CALLS = 32


class Puller:
    """Pull in threads, one message per call.

    Flower's grid returns from a call only when all replies in it that have begun to arrive are
    complete: 11 s for 300 MB on loopback, and minutes on a poor link. A call that waits for one is
    left to itself, and what others have sent comes in other calls. There are at most 32 at a time,
    so that a large fleet does not flood its server with questions; of more messages those are asked
    for first that have waited longest for their turn.

    Parameters
    ----------
    grid : Grid
        Where from; called from several threads, never twice at a time for one message.
    grace_s : float (default: 1.0)
        Seconds after which the loop goes on without a call that has not returned.
    """

    def __init__(self, grid: Grid, grace_s: float = _GRACE_S) -> None:
        self._grid, self._grace_s = grid, grace_s
        self._threads = ThreadPoolExecutor(_MAX_CALLS, thread_name_prefix="pull")
        self._calls: dict[Future[list[Message]], str] = {}
        self._turn, self._last_turns = 0, dict[str, int]()

    def pull(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that are complete."""
        begun = {self._threads.submit(self._pull, i): i for i in self._next(message_ids)}
        self._calls.update(begun)
        wait(begun, timeout=self._grace_s)
        finished = [call for call in self._calls if call.done()]
        for call in finished:
            del self._calls[call]
        return [reply for call in finished for reply in call.result()]

    def close(self) -> None:
        """Wait for nothing that has not returned."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _next(self, message_ids: Iterable[str]) -> list[str]:
        """Return the messages to ask for now: as many as there are free threads."""
        held = set(self._calls.values())
        last_turns = {i: self._last_turns.get(i, self._turn) for i in message_ids if i not in held}
        chosen = sorted(last_turns, key=last_turns.__getitem__)[: _MAX_CALLS - len(held)]
        self._turn += 1
        self._last_turns = last_turns | dict.fromkeys(chosen, self._turn)
        return chosen

    def _pull(self, message_id: str) -> list[Message]:
        return list(self._grid.pull_messages([message_id]))

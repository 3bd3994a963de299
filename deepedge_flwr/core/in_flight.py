"""What is on its way: dispatched, settled, expired. The server's bookkeeping, without I/O."""

import heapq
from collections import Counter

from .state import Names, Stateful
from .types import Dispatch


class InFlight(Stateful):
    """Training messages that were sent and not yet answered.

    One that expires frees its node but stays known until the node's next one expires, so that a
    late reply is recognised; a second reply is not.

    Parameters
    ----------
    per_node : int (default: 1)
        Most unexpired dispatches of a node.
    """

    STATE: Names = (
        "_waiting",
        "_expired",
        "_last_expired",
        "_busy",
        "_deadlines",
        "_num_dispatched",
        "_num_waiting",
    )

    def __init__(self, per_node: int = 1) -> None:
        self._per_node = per_node
        self._waiting: dict[str, Dispatch] = {}
        self._expired: dict[str, Dispatch] = {}
        self._last_expired: dict[int, str] = {}
        self._busy: dict[int, list[str]] = {}
        self._deadlines: list[tuple[float, int, str]] = []
        self._num_dispatched: dict[int, int] = {}
        self._num_waiting: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def message_ids(self) -> list[str]:
        """Ids worth pulling: unanswered dispatches, expired ones included."""
        return [*self._waiting, *self._expired]

    @property
    def model_versions(self) -> set[int]:
        """Versions that an unanswered dispatch started from."""
        return {d.model_version for group in (self._waiting, self._expired) for d in group.values()}

    def num_waiting(self, model_version: int) -> int:
        """Return how many unexpired dispatches started from a version."""
        return self._num_waiting[model_version]

    def is_busy(self, node_id: int) -> bool:
        """Return whether the node has as many unexpired dispatches as it may have."""
        return len(self._busy.get(node_id, ())) >= self._per_node

    def is_idle(self, node_id: int) -> bool:
        """Return whether the node has no unexpired dispatch."""
        return node_id not in self._busy

    def next_index(self, node_id: int) -> int:
        """Return how many messages the node has been sent so far."""
        return self._num_dispatched.get(node_id, 0)

    def add(self, dispatch: Dispatch) -> None:
        """Remember a dispatch.

        Raises
        ------
        ValueError
            If the message id is known or the node is busy.
        """
        if dispatch.message_id in self._waiting or dispatch.message_id in self._expired:
            raise ValueError(f"message {dispatch.message_id!r} is already in flight")
        if self.is_busy(dispatch.node_id):
            raise ValueError(f"node {dispatch.node_id} already has {self._per_node} in flight")
        self._waiting[dispatch.message_id] = dispatch
        self._busy.setdefault(dispatch.node_id, []).append(dispatch.message_id)
        self._num_waiting[dispatch.model_version] += 1
        self._num_dispatched[dispatch.node_id] = self.next_index(dispatch.node_id) + 1
        entry = (dispatch.expires_at_s, dispatch.node_id, dispatch.message_id)
        heapq.heappush(self._deadlines, entry)

    def settle(self, message_id: str) -> Dispatch | None:
        """Return the dispatch a reply belongs to, once; None if unknown or settled before."""
        return self._stop_waiting(message_id) or self._expired.pop(message_id, None)

    def expire(self, now_s: float) -> list[Dispatch]:
        """Free the nodes whose dispatch is overdue; return those, by expiry and then by node."""
        overdue = []
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, _, message_id = heapq.heappop(self._deadlines)
            if (dispatch := self._stop_waiting(message_id)) is not None:
                self._keep_expired(dispatch)
                overdue.append(dispatch)
        return overdue

    def give_up(self, node_id: int) -> list[Dispatch]:
        """Expire a node's dispatches before their time, and return them."""
        found = [self._stop_waiting(message_id) for message_id in [*self._busy.get(node_id, ())]]
        given_up = [dispatch for dispatch in found if dispatch is not None]
        for dispatch in given_up:
            self._keep_expired(dispatch)
        return given_up

    def _keep_expired(self, dispatch: Dispatch) -> None:
        """Know the late reply of a dispatch, and no longer that of the node's former one."""
        self._expired.pop(self._last_expired.get(dispatch.node_id, ""), None)
        self._expired[dispatch.message_id] = dispatch
        self._last_expired[dispatch.node_id] = dispatch.message_id

    def abandon(self) -> list[int]:
        """Forget everything on its way; the nodes waited for are sent the same indices again."""
        node_ids = sorted(self._busy)
        for node_id in node_ids:
            self._num_dispatched[node_id] -= len(self._busy[node_id])
        for pending in (self._waiting, self._expired, self._last_expired, self._busy,
                        self._deadlines, self._num_waiting):  # fmt: skip
            pending.clear()
        return node_ids

    def _stop_waiting(self, message_id: str) -> Dispatch | None:
        dispatch = self._waiting.pop(message_id, None)
        if dispatch is not None:
            self._busy[dispatch.node_id].remove(message_id)
            if not self._busy[dispatch.node_id]:
                del self._busy[dispatch.node_id]
            self._num_waiting[dispatch.model_version] -= 1
            if not self._num_waiting[dispatch.model_version]:
                del self._num_waiting[dispatch.model_version]
        return dispatch

    def next_expiry_s(self) -> float | None:
        """Return when the next unanswered dispatch expires; None if nothing is in flight."""
        while self._deadlines and self._deadlines[0][2] not in self._waiting:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

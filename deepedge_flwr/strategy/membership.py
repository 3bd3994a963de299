"""Which nodes may be given work now: idle, connected, and not backing off after a failure."""

from collections.abc import Iterable

from ..core.state import Names, Stateful

_BACK_OFF_S = (1.0, 60.0)


class Membership(Stateful):
    """Nodes of a run, sans I/O.

    After a failure a node is left alone for 1 s, doubled with every further failure in a row up
    to 60 s; one good reply clears the record, and so does leaving and coming back.
    """

    STATE: Names = ("_connected", "_known", "_free", "_busy", "_failures", "_retry_at_s")

    def __init__(self) -> None:
        self._connected: set[int] = set()
        self._known: set[int] = set()
        self._free: set[int] = set()
        self._busy: set[int] = set()
        self._failures: dict[int, int] = {}
        self._retry_at_s: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._connected)

    @property
    def node_ids(self) -> frozenset[int]:
        """The connected nodes."""
        return frozenset(self._connected)

    @property
    def num_known(self) -> int:
        """How many nodes have been connected, now or before."""
        return len(self._known)

    @property
    def is_complete(self) -> bool:
        """Whether there are nodes, and none that ever was connected is missing."""
        return bool(self._connected) and len(self._connected) == len(self._known)

    def update(self, node_ids: Iterable[int]) -> None:
        """Take over the grid's list of connected nodes; all but those with work are free."""
        before, self._connected = self._connected, set(node_ids)
        self._known |= self._connected
        for node_id in self._connected - before:
            self.succeeded(node_id)
        self._free = self._connected - self._busy

    def forget_connections(self) -> None:
        """Start over with nobody connected or at work; who was known stays known."""
        for nodes in (self._connected, self._free, self._busy, self._failures, self._retry_at_s):
            nodes.clear()

    def ready(self, now_s: float) -> list[int]:
        """Return the free nodes that are not backing off, in ascending order."""
        return sorted(n for n in self._free if self._retry_at_s.get(n, now_s) <= now_s)

    def occupy(self, node_id: int) -> None:
        """Note that a node was given work."""
        self._free.discard(node_id)
        self._busy.add(node_id)

    def release(self, node_id: int) -> None:
        """Note that a node can be given work again."""
        self._busy.discard(node_id)
        if node_id in self._connected:
            self._free.add(node_id)

    def succeeded(self, node_id: int) -> None:
        """Clear a node's record of failures."""
        self._failures.pop(node_id, None)
        self._retry_at_s.pop(node_id, None)

    def failed(self, node_id: int, now_s: float) -> None:
        """Note a failure, and when to try the node again."""
        failures = self._failures.get(node_id, 0)
        first_s, longest_s = _BACK_OFF_S
        self._failures[node_id] = failures + 1
        self._retry_at_s[node_id] = now_s + min(longest_s, first_s * 2.0 ** min(failures, 16))

    def next_retry_s(self, now_s: float) -> float | None:
        """Return when the next free node stops backing off; None if none is backing off."""
        later_s = (t for n, t in self._retry_at_s.items() if n in self._free and t > now_s)
        return min(later_s, default=None)

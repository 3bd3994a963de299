"""Which nodes may be given work now: idle, connected, and not backing off after a failure."""

import math
from collections.abc import Iterable

from ..core.state import Names, Stateful

_BACK_OFF_S = (1.0, 60.0)
#: Failures in a row after which a node is in quarantine.
QUARANTINE_AFTER = 5


class Membership(Stateful):
    """Nodes of a run, sans I/O.

    After a failure a node is left alone for 1 s, doubled with every further failure in a row up
    to 60 s. After five it is in quarantine: it is tried again every 60 s. One good reply clears the
    record, and so does leaving and coming back. A suspect is given no work until it is heard of.

    Attributes
    ----------
    deferred_until_s : float
        The latest time until which a node has asked to be left alone.
    """

    STATE: Names = (
        "_connected",
        "_known",
        "_free",
        "_busy",
        "_failures",
        "_retry_at_s",
        "_alone_until_s",
        "_suspects",
        "deferred_until_s",
    )

    def __init__(self) -> None:
        self._connected: set[int] = set()
        self._known: set[int] = set()
        self._free: set[int] = set()
        self._busy: set[int] = set()
        self._failures: dict[int, int] = {}
        self._retry_at_s: dict[int, float] = {}
        self._alone_until_s: dict[int, float] = {}
        self._suspects: set[int] = set()
        self.deferred_until_s = -math.inf

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

    @property
    def quarantined(self) -> list[int]:
        """Nodes that have failed so often in a row that they are hardly tried any more."""
        return sorted(n for n, count in self._failures.items() if count >= QUARANTINE_AFTER)

    def update(self, node_ids: Iterable[int]) -> None:
        """Take over the grid's list of connected nodes; all but those with work are free."""
        before, self._connected = self._connected, set(node_ids)
        self._known |= self._connected
        for node_id in self._connected - before:
            self.succeeded(node_id)
        self._free = self._connected - self._busy

    def forget_connections(self) -> None:
        """Start over with nobody connected or at work; who was known stays known."""
        for nodes in (self._connected, self._free, self._busy, self._failures, self._retry_at_s,
                      self._alone_until_s, self._suspects):  # fmt: skip
            nodes.clear()
        self.deferred_until_s = -math.inf

    def ready(self, now_s: float) -> list[int]:
        """Return the free nodes that are not backing off, in ascending order."""
        idle = self._free - self._suspects
        return sorted(n for n in idle if (self._waits_until_s(n) or now_s) <= now_s)

    def suspect(self, node_ids: set[int]) -> tuple[list[int], list[int]]:
        """Take over who is suspected to be gone; return who is new among them, and who is not."""
        new, cleared = node_ids - self._suspects, self._suspects - node_ids
        self._suspects = set(node_ids)
        return sorted(new), sorted(cleared)

    def rename(self, old_id: int, new_id: int) -> None:
        """Take two nodes for one: the first will not come back."""
        self._known.discard(old_id)
        self._retry_at_s.pop(old_id, None)
        if (until_s := self._alone_until_s.pop(old_id, None)) is not None:
            self._alone_until_s[new_id] = until_s
        if (failures := self._failures.pop(old_id, None)) is not None:
            self._failures.setdefault(new_id, failures)

    def occupy(self, node_id: int) -> None:
        """Note that a node was given work."""
        self._free.discard(node_id)
        self._busy.add(node_id)

    def release(self, node_id: int) -> None:
        """Note that a node can be given work again."""
        self._busy.discard(node_id)
        if node_id in self._connected:
            self._free.add(node_id)

    def succeeded(self, node_id: int) -> bool:
        """Clear a node's record of failures; return whether it was in quarantine."""
        self._retry_at_s.pop(node_id, None)
        return self._failures.pop(node_id, 0) >= QUARANTINE_AFTER

    def failed(self, node_id: int, now_s: float) -> bool:
        """Note a failure, and when to try the node again; return whether quarantine begins."""
        failures = self._failures.get(node_id, 0)
        first_s, longest_s = _BACK_OFF_S
        self._failures[node_id] = failures + 1
        self._retry_at_s[node_id] = now_s + min(longest_s, first_s * 2.0 ** min(failures, 16))
        return failures + 1 == QUARANTINE_AFTER

    def defer(self, node_id: int, until_s: float) -> None:
        """Leave a node alone until a time that it has named, with no blame."""
        self.leave_alone(node_id, until_s)
        self.deferred_until_s = max(self.deferred_until_s, until_s)

    def leave_alone(self, node_id: int, until_s: float) -> None:
        """Leave a node alone until a time, whatever it delivers until then."""
        self._alone_until_s[node_id] = max(until_s, self._alone_until_s.get(node_id, until_s))

    def next_retry_s(self, now_s: float) -> float | None:
        """Return when the next free node stops backing off; None if none is backing off."""
        waits = (self._waits_until_s(n) for n in self._free)
        return min((t for t in waits if t is not None and t > now_s), default=None)

    def _waits_until_s(self, node_id: int) -> float | None:
        times_s = (self._retry_at_s.get(node_id), self._alone_until_s.get(node_id))
        return max((time_s for time_s in times_s if time_s is not None), default=None)

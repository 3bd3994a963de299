"""The last update of every node, which speaks for it while it is not heard."""

import math

import numpy as np

from .state import Names, Stateful
from .types import Vector


class UpdateMemory(Stateful):
    """Calibrate the mean of a buffer B with what all N nodes said last.

        v = 1/|B| sum_{i in B} w_i (delta_i - m h_i) + m/N sum_j v_j h_j

    h_i is the last update of node i, 0 if none is remembered, and v_j the weight that it was kept
    with. A node that answers often only adds what is new, and one that is away is represented: the
    direction no longer depends on who happens to be in the buffer. What is remembered is stale,
    and of a node that answers rarely very stale. With m = 1 and weights of 1 this is algorithm 1
    of CA2FL (Wang et al., ICLR 2024); MIFA (Gu et al., arXiv:2106.04159) takes the second term
    alone.

    Updates that are kept count from the next version on. They are kept as they came, 8 bytes per
    parameter, until the next one of the node takes their place.

    Parameters
    ----------
    num_parameters : int
        Length of an update.
    share : float (default: 1.0)
        m, how far to trust what is remembered, in [0, 1]; 0 remembers nothing.
    max_nodes : float (default: math.inf)
        Most nodes to remember; those who come when it is full are not.
    """

    STATE: Names = ("_updates", "_sum", "_fresh")

    def __init__(
        self, num_parameters: int, share: float = 1.0, max_nodes: float = math.inf
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share must be in [0, 1], got {share}")
        self._share, self._max_nodes = share, max_nodes if share else 0
        #: Update, weight, version it was made from, and version since which it counts.
        self._updates: dict[int, tuple[Vector, float, int, int]] = {}
        self._fresh: dict[int, tuple[Vector, float, int]] = {}
        self._sum: Vector = np.zeros(num_parameters)

    def __contains__(self, node_id: int) -> bool:
        """Return whether an update of a node counts."""
        return node_id in self._updates

    def has_room(self, node_id: int) -> bool:
        """Return whether an update of a node is remembered, or would be."""
        known = self._updates.keys() | self._fresh.keys()
        return node_id in known or len(known) < self._max_nodes

    def news(self, node_id: int, delta: Vector) -> Vector:
        """Return delta - m h of a node."""
        if node_id not in self._updates:
            return delta
        return delta - self._share * self._updates[node_id][0]

    def keep(self, node_id: int, delta: Vector, weight: float = 1.0, base_version: int = 0) -> None:
        """Remember an update from the next version on, unless one from a later base is known."""
        last = self._fresh.get(node_id) or self._updates.get(node_id)
        if self.has_room(node_id) if last is None else base_version >= last[2]:
            self._fresh[node_id] = delta, weight, base_version

    def discard(self) -> None:
        """Forget what was kept for the next version."""
        self._fresh = {}

    def calibrated(self, mean: Vector, num_nodes: int) -> Vector:
        """Return the mean of a buffer plus m/N sum_j v_j h_j; who is remembered is in N."""
        if not self._updates:
            return mean
        return mean + self._share * self._sum / max(num_nodes, len(self._updates))

    def advance(self, version: int, max_age: float = math.inf) -> None:
        """Begin a version: what was kept counts, what is older than `max_age` versions no more."""
        for node_id, (delta, weight, base_version) in self._fresh.items():
            self._forget(node_id)
            # Not in place: a checkpoint that is being written may share the array.
            self._sum = self._sum + weight * delta
            self._updates[node_id] = delta, weight, base_version, version
        self._fresh = {}
        for node_id in [i for i, (*_, since) in self._updates.items() if version - since > max_age]:
            self._forget(node_id)

    def renamed(self, old_id: int, new_id: int) -> None:
        """Take what is remembered of one id for that of another, whose own wins."""
        if new_id in self._updates or new_id in self._fresh:
            self._forget(old_id)
            self._fresh.pop(old_id, None)
        if (last := self._updates.pop(old_id, None)) is not None:
            self._updates[new_id] = last
        if (fresh := self._fresh.pop(old_id, None)) is not None:
            self._fresh[new_id] = fresh

    def _forget(self, node_id: int) -> None:
        if node_id in self._updates:
            delta, weight, *_ = self._updates.pop(node_id)
            self._sum = self._sum - weight * delta

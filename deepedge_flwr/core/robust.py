"""Combining a buffer in which some updates may be hostile.

Neither costs nothing: where nodes have different data, a rare update is not always a wrong one.
"""

import math

import numpy as np

from .aggregation import UpdateBuffer
from .guard import Window
from .state import Names, Stateful
from .types import Vector

#: Updates of a node before it may be left out.
_JUDGED_FROM = 3


class TrimmedBuffer(UpdateBuffer):
    """The coordinate-wise trimmed mean of the weighted updates.

    Of the K values of every coordinate the k = floor(trim K) largest and smallest are left out, at
    least one of each from K = 3 on; the mean is that of the others. It withstands k hostile updates
    in a buffer, whatever they say. On skewed data it is biased: what only few nodes have learned is
    trimmed. Memory is K x model, time K log K per coordinate.

    Source: Yin et al., "Byzantine-Robust Distributed Learning", arXiv:1803.01498, sec. 4.

    Parameters
    ----------
    num_parameters : int
        Length of the model vector.
    trim : float (default: 0.2)
        Share of the values left out at each end, in [0, 0.5).
    """

    STATE: Names = ("_updates",)

    def __init__(self, num_parameters: int, trim: float = 0.2) -> None:
        super().__init__(num_parameters)
        self._trim = trim
        self._updates: list[Vector] = []

    def add(self, delta: Vector, weight: float) -> None:
        """Keep weight * delta."""
        super().add(delta, weight)
        self._updates.append(weight * delta)

    def absorb(self, other: UpdateBuffer) -> None:
        """Take over the updates of another such buffer."""
        if isinstance(other, TrimmedBuffer):
            self._updates += other._updates
            other._updates = []
        super().absorb(other)

    def take_sum(self) -> Vector:
        """Return the trimmed mean times the number of updates, and empty the buffer."""
        updates, self._updates = self._updates, []
        total = super().take_sum()
        num_updates = len(updates)
        if num_updates < 3:
            return total
        num_trimmed = max(1, math.floor(self._trim * num_updates))
        kept = np.sort(np.stack(updates), axis=0)[num_trimmed : num_updates - num_trimmed]
        trimmed: Vector = num_updates * kept.mean(axis=0)
        return trimmed


class NormClip(Stateful):
    """Shorten weighted updates to the median length of the last ones.

        u <- u min(1, median / |u|)

    A hostile update then pulls no harder than a usual one, whatever it says; which way it pulls is
    not checked. Memory is O(model). It slows down nodes whose updates are rightly long.

    Source: norm clipping, Sun et al., "Can You Really Backdoor Federated Learning?",
    arXiv:1911.07963, sec. 4.
    """

    STATE: Names = ("_norms",)

    def __init__(self) -> None:
        self._norms = Window()

    def __call__(self, vector: Vector, weight: float) -> Vector:
        """Return the vector, shortened if weight * vector is longer than usual."""
        norm = abs(weight) * math.sqrt(_square(vector))
        usual = self._norms.median
        self._norms.add(norm)
        if usual is None or norm <= usual:
            return vector
        return vector * (usual / norm)


class Consensus(Stateful):
    """Leave out nodes that keep pulling otherwise than the fleet does.

    With m <- 0.9 m + (w' - w) the way the model goes, every update of a node i is judged by

        c = cos(u, m),  S_i <- 0.99 S_i + c mean(c)

    where the mean is a moving one over all updates. While training makes progress, honest updates
    point ahead, c > 0 on average; close to the end they may all point back, and then c < 0 for all
    of them: an honest node does what the others do, and S_i grows. A node that flips the sign of
    its updates does the opposite. It is left out while S_i < 0, from its third update on, and goes
    on being judged. Needs an honest majority; it hides nodes whose data contradict those of all
    others. Memory is O(model), and two numbers per node.

    The server has no data of its own to compare with, as in FLTrust (Cao et al., arXiv:2012.13995,
    sec. IV); the model's past takes that place.
    """

    STATE: Names = ("_direction", "_mean", "_score", "_num_judged")

    def __init__(self) -> None:
        self._direction: Vector | None = None
        self._mean = 0.0
        self._score: dict[int, float] = {}
        self._num_judged: dict[int, int] = {}

    def moved(self, step: Vector) -> None:
        """Take note of how a version differs from the one before."""
        past = self._direction
        self._direction = step if past is None else 0.9 * past + step

    def admits(self, node_id: int, update: Vector) -> bool:
        """Judge an update, and return whether its node is to be heard."""
        if self._direction is None:
            return True
        length = math.sqrt(_square(update)) * math.sqrt(_square(self._direction))
        cosine = float(update @ self._direction) / length if 0 < length < math.inf else 0.0
        self._mean += 0.02 * (cosine - self._mean)
        self._score[node_id] = 0.99 * self._score.get(node_id, 0.0) + cosine * self._mean
        self._num_judged[node_id] = self._num_judged.get(node_id, 0) + 1
        return self._num_judged[node_id] < _JUDGED_FROM or self._score[node_id] >= 0


def _square(vector: Vector) -> float:
    with np.errstate(over="ignore"):
        return float(vector @ vector)

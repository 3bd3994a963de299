"""How much the updates of different nodes agree, read off two sums that aggregation keeps."""

import math

from .state import Names, Stateful

#: Agreement at which updates count as fully aligned.
_ALIGNED = 0.08
#: Agreement that halves the server's step.
_HALVES = 0.12
#: Agreement below zero at which they count as fully opposed. Updates can be aligned without
#: limit, but m of them oppose each other by 1 / (m - 1) at the most.
_OPPOSED = 0.0125


class Agreement(Stateful):
    """Mean cosine between the updates of two nodes, tracked from version to version.

    For a version made of m weighted updates u_i

        C = (|sum_i u_i|^2 - sum_i |u_i|^2) / (m - 1),   Q = sum_i |u_i|^2
        agreement = EMA(C) / EMA(Q)

    It is 1 if all updates are the same, 0 if they are orthogonal, and below 0 if they undo each
    other: nodes whose data differ pull the model to and fro. A node that is in a version twice
    agrees with itself, which reads as more agreement than there is. With a memory the u_i are
    weighted news (`core.memory`). The quantity is behind
    gradient diversity (Yin et al., arXiv:1706.05699, sec. 3) and the server step of FedExP
    (Jhunjhunwala et al., arXiv:2301.09604, sec. 3), which grows where updates agree less.

    Parameters
    ----------
    memory : float (default: 0.95)
        Weight of the past in both averages, in [0, 1).
    """

    STATE: Names = ("_pairs", "_squares")

    def __init__(self, memory: float = 0.95) -> None:
        if not 0 <= memory < 1:
            raise ValueError(f"memory must be in [0, 1), got {memory}")
        self._memory = memory
        self._pairs, self._squares = 0.0, 0.0

    def observe(self, num_updates: int, square_of_sum: float, sum_of_squares: float) -> None:
        """Take note of a version; a single update, or sums that overflow, say nothing."""
        if num_updates < 2 or not math.isfinite(square_of_sum + sum_of_squares):
            return
        pairs = (square_of_sum - sum_of_squares) / (num_updates - 1)
        self._pairs += (1 - self._memory) * (pairs - self._pairs)
        self._squares += (1 - self._memory) * (sum_of_squares - self._squares)

    @property
    def value(self) -> float:
        """The agreement; 0 before the first version."""
        return self._pairs / self._squares if self._squares > 0 else 0.0

    @property
    def step_factor(self) -> float:
        """Factor 1 / (1 + agreement / 0.12) on the server's step; 1 for updates that do not agree.

        Orthogonal updates cancel as noise does, so their mean is short and a long step is safe;
        the mean of equal updates is as long as they are, and a long step overshoots.
        """
        return 1 / (1 + max(0.0, self.value) / _HALVES)

    @property
    def aligned(self) -> float:
        """How far updates point the same way: 0 for orthogonal ones, 1 from 0.08 on."""
        return min(1.0, max(0.0, self.value / _ALIGNED))

    @property
    def opposed(self) -> float:
        """How far updates undo each other: 0 for orthogonal ones, 1 from -0.0125 on."""
        return min(1.0, max(0.0, -self.value / _OPPOSED))

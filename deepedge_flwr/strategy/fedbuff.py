"""FedBuff [Nguyen et al., 2022]: buffered asynchronous aggregation.

Paper: arXiv:2106.06639, algorithm 1.
"""

from logging import INFO
from typing import Any

from flwr.common import log

from ..core.staleness import polynomial
from ..core.types import Update, Vector
from .async_strategy import AsyncStrategy
from .options import require_count, require_non_negative, require_positive


class FedBuff(AsyncStrategy):
    """Publish a version for every K updates: w += eta / K * sum (1 + staleness)^-a delta.

    Parameters
    ----------
    buffer_size : int (default: 10)
        K, updates per version.
    server_learning_rate : float (default: 1.0)
        eta.
    staleness_exponent : float (default: 0.5)
        a; 0.5 is the paper's 1 / sqrt(1 + staleness).
    **options
        See `BufferedHooks`.

    Raises
    ------
    ValueError
        If an option is out of range, or at the start if K exceeds the fleet: a node has one
        update under way at a time, so such a buffer would mix several of the same node.
    """

    def __init__(
        self,
        *,
        buffer_size: int = 10,
        server_learning_rate: float = 1.0,
        staleness_exponent: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_count(buffer_size=buffer_size)
        require_positive(server_learning_rate=server_learning_rate)
        require_non_negative(staleness_exponent=staleness_exponent)
        self.buffer_size: int = buffer_size
        self.server_learning_rate = server_learning_rate
        self.staleness_exponent = staleness_exponent

    def weight(self, update: Update, staleness: int) -> float:
        """Return (1 + staleness)^-a."""
        return polynomial(staleness, self.staleness_exponent)

    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return whether K updates are buffered."""
        return num_updates >= self.buffer_size

    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return w + eta * mean."""
        return model + self.server_learning_rate * mean

    def summary(self) -> None:
        """Log the strategy's settings."""
        log(INFO, "\t├──> FedBuff:")
        log(INFO, "\t│\t├── Buffer size: %d", self.buffer_size)
        log(INFO, "\t│\t├── Server learning rate: %.3g", self.server_learning_rate)
        log(INFO, "\t│\t└── Staleness exponent: %.3g", self.staleness_exponent)
        super().summary()

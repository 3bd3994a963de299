"""CA2FL [Wang et al., 2024]: cached update calibration for asynchronous federated learning.

Paper: "Tackling the Data Heterogeneity in Asynchronous Federated Learning with Cached Update
Calibration", ICLR 2024, algorithm 1.
"""

from logging import INFO
from typing import Any

from flwr.app import ArrayRecord
from flwr.common import log

from ..core.clock import Clock
from ..core.memory import UpdateMemory
from ..core.types import Update, Vector
from ..layout import ModelLayout
from .async_strategy import AsyncStrategy
from .options import require_count, require_positive
from .remembering import Remembering


class CA2FL(Remembering, AsyncStrategy):
    """Calibrate K updates with the last known update of every node.

        v = h + 1/K sum_{i in buffer} (delta_i - h_i);  w += eta v

    h_i is the node's last update at the previous version (0 before its first), h the mean of h_i
    over the nodes. A node that is not in the buffer is represented by its cache, so fast nodes do
    not bias the model; stale caches can make training unstable. The server keeps one update of
    every node: memory is N x model.

    Parameters
    ----------
    buffer_size : int (default: 10)
        K, updates per version.
    server_learning_rate : float (default: 1.0)
        eta.
    **options
        See `BufferedHooks`.

    Raises
    ------
    ValueError
        If an option is out of range, or at the start if K exceeds the fleet.
    """

    keeps_private = False

    def __init__(
        self, *, buffer_size: int = 10, server_learning_rate: float = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        require_count(buffer_size=buffer_size)
        require_positive(server_learning_rate=server_learning_rate)
        self.buffer_size: int = buffer_size
        self.server_learning_rate = server_learning_rate

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        super()._begin(layout, arrays, clock, timeout_s)
        self._memory = UpdateMemory(layout.num_parameters)

    def weight(self, update: Update, staleness: int) -> float:
        """Return 1: the caches, not weights, stand for the nodes that are missing."""
        return 1.0

    def folded(self, update: Update, now_s: float) -> None:
        """Keep the update for the caches of the next version."""
        self._memory.keep(update.node_id, update.delta)

    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return whether K updates are buffered."""
        return num_updates >= self.buffer_size

    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return w + eta (h + mean)."""
        # The cache of a node that is away still counts, and so must the node.
        num_nodes = max(1, self._exchange.members.num_known)
        return model + self.server_learning_rate * self._memory.calibrated(mean, num_nodes)

    def advanced(self) -> None:
        """Refresh the caches of the nodes that were in the buffer."""
        self._memory.advance(self.version)

    def summary(self) -> None:
        """Log the strategy's settings."""
        log(INFO, "\t├──> CA2FL:")
        log(INFO, "\t│\t├── Buffer size: %d", self.buffer_size)
        log(INFO, "\t│\t└── Server learning rate: %.3g", self.server_learning_rate)
        super().summary()

"""A buffer that is used when it is full, or when its oldest update has waited long enough."""

from flwr.app import ArrayRecord

from ..core.clock import Clock
from ..core.state import Names
from ..core.types import Update
from ..layout import ModelLayout
from .profiled import ProfiledStrategy


class PatientStrategy(ProfiledStrategy):
    """Buffer K updates, but for no longer than `patience_cycles` median cycles of the nodes.

    Attributes
    ----------
    buffer_size : int | None
        K; None for max(2, N/5).
    """

    buffer_size: int | None
    STATE: Names = ("_buffering_since_s",)

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        super()._begin(layout, arrays, clock, timeout_s)
        self._buffering_since_s: float | None = None

    def folded(self, update: Update, now_s: float) -> None:
        """Note since when the buffer is not empty."""
        if self._buffering_since_s is None:
            self._buffering_since_s = now_s

    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return whether K updates are buffered, or the oldest has waited long enough."""
        due_at_s = self.due_at_s()
        return num_updates >= self._buffer_size or (due_at_s is not None and now_s >= due_at_s)

    def due_at_s(self) -> float | None:
        """Return when the oldest buffered update has waited for `patience_cycles`."""
        if self._buffering_since_s is None or self._fleet.median_cycle_s is None:
            return None
        return self._buffering_since_s + self.patience_cycles * self._fleet.median_cycle_s

    def advanced(self) -> None:
        """Begin an empty buffer."""
        self._buffering_since_s = None

    def resumed(self, offset_s: float) -> None:
        """Leave the time without a server out of the age of the buffer, too."""
        super().resumed(offset_s)
        if self._buffering_since_s is not None:
            self._buffering_since_s += offset_s

    @property
    def _num_nodes(self) -> int:
        return max(1, len(self._exchange.members))

    @property
    def _buffer_size(self) -> int:
        if self.buffer_size is not None:
            return min(self.buffer_size, self._num_nodes)
        return min(self._num_nodes, max(2, round(self._num_nodes / 5)))

"""Synchronous rounds on the event loop of the asynchronous strategies."""

from flwr.app import ArrayRecord

from ..core.clock import Clock
from ..core.state import Names
from ..core.types import Update, Vector
from ..layout import ModelLayout
from .async_strategy import AsyncStrategy


class SynchronousStrategy(AsyncStrategy):
    """Average the replies of one round, weighted by their examples.

        w += sum_i p_i d_i,  p_i = n_i / sum n over the replies of the round

    d_i is the node's update, or what the algorithm makes of it (`direction`). A round is sent to
    all nodes that are idle when it begins, and to no other. It ends when none of its messages is
    under way: a node that fails or is given up does not block it, and if all do, the round begins
    anew. A reply that comes after its round enters no model.
    """

    pipelines = False
    STATE: Names = ("_num_updates", "_sum_examples")

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        super()._begin(layout, arrays, clock, timeout_s)
        self._begin_round()

    def _begin_round(self) -> None:
        self._num_updates, self._sum_examples = 0, 0.0

    def may_dispatch(self, node_id: int) -> bool:
        """Return whether the round has not begun, or has to begin anew."""
        return not self._num_updates and not self._num_missing

    def is_usable(self, update: Update) -> bool:
        """Return whether the update belongs to the round."""
        return update.base_version == self.version

    def weight(self, update: Update, staleness: int) -> float:
        """Return n_i."""
        return update.num_examples

    def folded(self, update: Update, now_s: float) -> None:
        """Add to sum n."""
        self._num_updates += 1
        self._sum_examples += update.num_examples

    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return whether no message of the round is under way."""
        return not self._num_missing

    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return w + sum p_i d_i."""
        return model + self.round_mean(mean)

    def round_mean(self, mean: Vector) -> Vector:
        """Return sum p_i d_i, given the mean of n_i d_i over the replies."""
        return mean * (self._num_updates / self._sum_examples)

    def advanced(self) -> None:
        """Begin the next round."""
        self._begin_round()
        # A round may have waited for a lost reply as long as a run may be without any update.
        self._last_update_s = self._clock.now_s()

    @property
    def _num_missing(self) -> int:
        """Messages of the round that are under way."""
        return self._exchange.in_flight.num_waiting(self.version)

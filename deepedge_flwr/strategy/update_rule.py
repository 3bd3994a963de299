"""What an asynchronous algorithm decides; the rest of a strategy is the same for all."""

from abc import abstractmethod

from flwr.serverapp.strategy import Strategy

from ..core.aggregation import UpdateBuffer
from ..core.state import Stateful
from ..core.types import TrainPlan, Update, Vector
from .contributions import Contributions
from .exchange import Accepted


class UpdateRule(Stateful, Strategy):
    """The decisions of an algorithm, in the order in which a message and its reply meet them.

    A subclass says how much an update weighs (`weight`), when the buffer is due (`is_due`) and
    what a full buffer does to the model (`step`); it may send plans (`plan`) and publish another
    model than the one it trains (`published`).
    """

    buffer_size: int | None = None
    #: Whether a node may be sent its next message before it has answered.
    pipelines = True
    #: Whether an update is used once, as privacy has to count.
    keeps_private = True
    _model: Vector
    _next: Contributions
    _timeout_s: float

    @abstractmethod
    def weight(self, update: Update, staleness: int) -> float:
        """Return the weight of an update in the buffer."""

    def direction(self, update: Update) -> Vector:
        """Return what is buffered of an update: its delta, unless the algorithm says otherwise."""
        return update.delta

    @abstractmethod
    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return whether a buffer of at least one update is to become a new version now."""

    @abstractmethod
    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return the next version of the model from the buffer's weighted mean."""

    def is_usable(self, update: Update) -> bool:
        """Return whether an update may enter the model; one that may not is discarded."""
        return True

    def check_fleet(self, num_nodes: int) -> None:
        """Raise ValueError if a buffer could not be filled by `num_nodes` different nodes."""
        if self.buffer_size is not None and self.buffer_size > num_nodes:
            raise ValueError(
                f"buffer_size must be at most the number of nodes ({num_nodes}), got "
                f"{self.buffer_size}: lower it or connect more nodes (min_available_nodes)"
            )

    def plan(self, node_id: int) -> TrainPlan | None:
        """Return the plan for a node's next message; None sends none."""
        return None

    def in_order(self, node_ids: list[int]) -> list[int]:
        """Return idle nodes in the order in which they are planned and sent their messages."""
        return node_ids

    def may_dispatch(self, node_id: int) -> bool:
        """Return whether an idle node is to be given work now."""
        return True

    def reply_timeout_s(self, node_id: int, plan: TrainPlan | None) -> float:
        """Return after how many seconds a reply is no longer expected."""
        return self._timeout_s

    def due_at_s(self) -> float | None:
        """Return when the buffer becomes due by time alone; None if it does not."""
        return None

    def renamed(self, old_id: int, new_id: int) -> None:
        """Take note that a device is back under another node id; the old one is gone for good."""

    def learn(self, accepted: Accepted, now_s: float) -> None:
        """Take note of a good reply, before its update is weighed."""

    def expectation(self, node_id: int) -> dict[str, float]:
        """Return what was expected of the node's latest report, for who watches the run."""
        return {}

    def destination(self, update: Update) -> Contributions:
        """Return where to buffer an update, if not for the next version."""
        return self._next

    def folded(self, update: Update, now_s: float) -> None:
        """Take note of an update that is now in a buffer."""

    def settled(self, lost: list[int], now_s: float) -> None:
        """Take note of nodes without an answer; fill the next version from other buffers."""

    def drained(self, buffer: UpdateBuffer) -> Vector:
        """Return what a due buffer amounts to, and empty it: its mean, unless it is to be a sum."""
        return buffer.take_mean()

    def refused(self) -> None:
        """Take note that the version is to be the same model: the buffer's would not be finite."""

    def advanced(self) -> None:
        """Take note of a new version of the model."""

    def resumed(self, offset_s: float) -> None:
        """Take note that the clock has been set forward by so much: the server was away."""

    def published(self) -> Vector:
        """Return the model to evaluate and to hand out."""
        return self._model

"""Updates on their way into the same version, and what their nodes said about them."""

from flwr.app import MetricRecord, RecordDict

from ..core.aggregation import UpdateBuffer
from ..core.state import Names, State, Stateful
from ..core.types import Vector
from ..records import records_from_bytes, records_to_bytes
from .metrics import MetricsAggregator, aggregate_metrics


class Contributions(Stateful):
    """A buffer of updates with the metrics of the replies they came in.

    Parameters
    ----------
    num_parameters : int
        Length of the model vector.
    updates : UpdateBuffer | None (default: None)
        An empty buffer to use; None for a plain one.

    Attributes
    ----------
    updates : UpdateBuffer
        Their weighted sum.
    """

    STATE: Names = ("updates", "_staleness_sum")

    def __init__(self, num_parameters: int, updates: UpdateBuffer | None = None) -> None:
        self.updates = UpdateBuffer(num_parameters) if updates is None else updates
        self._metrics: list[RecordDict] = []
        self._staleness_sum = 0

    def __len__(self) -> int:
        return len(self.updates)

    def add(self, vector: Vector, weight: float, staleness: int, content: RecordDict) -> None:
        """Fold weight * vector in, and keep the metrics of the reply's content."""
        self.updates.add(vector, weight)
        self._staleness_sum += staleness
        # Flower's `metric_records` builds a new dictionary of checked entries at every use.
        records = content.items()
        self._metrics.append(RecordDict({n: r for n, r in records if isinstance(r, MetricRecord)}))

    def absorb(self, other: "Contributions") -> None:
        """Take over all of another buffer, which must not be used any more."""
        self.updates.absorb(other.updates)
        self._staleness_sum += other._staleness_sum
        self._metrics += other._metrics

    def state(self) -> State:
        """Return the state."""
        return super().state() | {"metrics": [records_to_bytes(m) for m in self._metrics]}

    def restore(self, state: State) -> None:
        """Take over a state."""
        super().restore(state)
        self._metrics = [records_from_bytes(data) for data in state["metrics"]]

    def metrics(self, weighted_by_key: str, aggregate: MetricsAggregator) -> MetricRecord:
        """Return the nodes' metrics in one record, with the number of updates and their staleness.

        The number is that of the updates ever folded in: the sum may have been taken already.
        """
        metrics = aggregate_metrics(self._metrics, weighted_by_key, aggregate)
        metrics = MetricRecord() if metrics is None else metrics
        metrics["num-updates"] = len(self._metrics)
        metrics["mean-staleness"] = self._staleness_sum / len(self._metrics)
        return metrics

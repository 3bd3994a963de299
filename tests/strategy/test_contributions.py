import numpy as np
import pytest
from flwr.app import MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_metricrecords

from deepedge_flwr.strategy.contributions import Contributions


def contributions(*updates: tuple[float, int, float]) -> Contributions:
    """Updates of one parameter: its value, the staleness and the node's loss; the weight is 2."""
    buffer = Contributions(1)
    for value, staleness, loss in updates:
        content = RecordDict({"metrics": MetricRecord({"n": 1, "loss": loss})})
        buffer.add(np.array([value]), 2.0, staleness, content)
    return buffer


def test_what_is_taken_over_counts_as_if_it_had_been_added_here() -> None:
    buffer = contributions((1.0, 0, 4.0))
    buffer.absorb(contributions((2.0, 5, 1.0), (4.0, 1, 1.0)))
    assert len(buffer) == 3
    assert buffer.updates.take_sum().tolist() == [14.0]
    metrics = buffer.metrics("n", aggregate_metricrecords)
    expected = {"loss": 2.0, "num-updates": 3, "mean-staleness": 2.0}
    assert dict(metrics) == pytest.approx(expected, rel=1e-12)


def test_metrics_that_do_not_fit_leave_the_counts() -> None:
    buffer = contributions((1.0, 3, 4.0))
    buffer.add(np.array([1.0]), 1.0, 0, RecordDict({"metrics": MetricRecord({"other": 1})}))
    metrics = buffer.metrics("n", aggregate_metricrecords)
    assert dict(metrics) == {"num-updates": 2, "mean-staleness": 1.5}

from typing import Any

import pytest
from flwr.app import MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_metricrecords

from deepedge_flwr.strategy.metrics import aggregate_metrics


def content(**metrics: Any) -> RecordDict:
    return RecordDict({"metrics": MetricRecord(metrics)})


def test_weighted_mean() -> None:
    contents = [content(n=1, loss=1.0), content(n=3, loss=5.0)]
    record = aggregate_metrics(contents, "n", aggregate_metricrecords)
    assert record is not None
    assert dict(record) == {"loss": 4.0}


def test_nothing_to_aggregate() -> None:
    assert aggregate_metrics([], "n", aggregate_metricrecords) is None


def test_metrics_that_do_not_fit_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    contents = [content(n=1, loss=[1.0]), content(n=1, loss=[1.0, 2.0])]
    assert aggregate_metrics(contents, "n", aggregate_metricrecords) is None
    assert "Cannot aggregate the nodes' metrics (ValueError" in caplog.text

"""Metrics of many nodes in one record."""

from collections.abc import Callable
from logging import WARNING

from flwr.app import MetricRecord, RecordDict
from flwr.common import log

#: Aggregates the MetricRecords of replies, weighted by one of their keys; as in Flower's FedAvg.
MetricsAggregator = Callable[[list[RecordDict], str], MetricRecord]


def aggregate_metrics(
    contents: list[RecordDict], weighted_by_key: str, aggregate: MetricsAggregator
) -> MetricRecord | None:
    """Aggregate the metrics of replies; None, and a warning, if they do not fit together.

    Metrics are for people: nodes that disagree about them must not stop the training.
    """
    if not contents:
        return None
    try:
        return aggregate(contents, weighted_by_key)
    except Exception as error:
        log(WARNING, "Cannot aggregate the nodes' metrics (%s: %s)", type(error).__name__, error)
        return None

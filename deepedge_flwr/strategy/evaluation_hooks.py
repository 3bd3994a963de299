"""Flower's hooks for the evaluation of the published model on the nodes."""

from collections.abc import Iterable
from logging import INFO

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid

from ..records import SERVER_ROUND
from .evaluation import evaluators
from .metrics import MetricsAggregator, aggregate_metrics
from .update_rule import UpdateRule


class EvaluationHooks(UpdateRule):
    """A share of the nodes evaluates the published model every few versions."""

    fraction_evaluate: float
    evaluate_every: int
    arrayrecord_key: str
    configrecord_key: str
    weighted_by_key: str
    evaluate_metrics_aggr_fn: MetricsAggregator

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Make messages for a share of the nodes, a different one each time."""
        turn = server_round // self.evaluate_every - 1
        messages = []
        for node_id in evaluators(grid.get_node_ids(), self.fraction_evaluate, turn):
            record = ConfigRecord({**config, SERVER_ROUND: server_round})
            content = RecordDict({self.arrayrecord_key: arrays, self.configrecord_key: record})
            messages.append(Message(content, node_id, MessageType.EVALUATE))
        return messages

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate the metrics of the nodes' evaluations."""
        replies = list(replies)
        good = [reply.content for reply in replies if reply.has_content()]
        if failures := len(replies) - len(good):
            log(INFO, "\t> %d nodes failed to evaluate version %d", failures, server_round)
        return aggregate_metrics(good, self.weighted_by_key, self.evaluate_metrics_aggr_fn)

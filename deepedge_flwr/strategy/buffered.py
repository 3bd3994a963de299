"""Flower's strategy hooks on a buffer of updates: what AsyncStrategy's loop calls."""

from collections.abc import Iterable
from dataclasses import replace
from logging import ERROR, INFO

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy.strategy_utils import aggregate_metricrecords

from ..core.clock import Clock
from ..core.guard import UpdateGuard
from ..core.privacy import Privacy
from ..core.state import Names, State
from ..core.types import Update
from ..layout import ModelLayout
from ..records import SERVER_ROUND, put_plan
from .combining import Combination, Combiner
from .contributions import Contributions
from .evaluation import EvaluationRounds
from .evaluation_hooks import EvaluationHooks
from .exchange import Exchange
from .metrics import MetricsAggregator
from .options import require_count

_WRAPPED = (
    "{0}.configure_train was called without {0}.start: a wrapper such as Flower's server-side "
    "differential privacy runs synchronous rounds of its own and would bypass all that {0} does: "
    "call {0}.start, with {0}(privacy=Privacy(...)) or Flower's client-side mods for privacy"
)


class BufferedHooks(EvaluationHooks):
    """State and hooks of a strategy that buffers updates and publishes model versions.

    What the buffer holds and what it does to the model is up to the subclass: see `UpdateRule`.

    Parameters
    ----------
    fraction_evaluate : float (default: 0.0)
        Share of the nodes that evaluate the published model. Off by default: evaluation takes
        devices from training.
    evaluate_every : int (default: 10)
        Versions between two such evaluations.
    min_available_nodes : int (default: 2)
        Nodes that must be connected before the run starts.
    outstanding : int (default: 1)
        Messages under way to one node. With 2 a node finds its next work as soon as it has
        answered, which saves the 3 s that Flower's SuperNode sleeps when it finds none, and makes
        every update staler by one. For deployments only: in simulation it is 1.
    weighted_by_key : str (default: "num-examples")
        The reply metric that holds a node's weight.
    arrayrecord_key, configrecord_key : str (default: "arrays", "config")
        Names of the records in a message.
    update_norm_bound, examples_bound : float | None (default: 100.0, 1000.0)
        Which updates are believed, see `core.guard.UpdateGuard`; None believes all.
    combine : {"mean", "trimmed_mean", "clipped_mean", "consensus"} (default: "mean")
        How a buffer becomes one update; for fleets with hostile nodes see `core.robust`.
    trim : float (default: 0.2)
        Share of the values that `trimmed_mean` leaves out at each end, in [0, 0.5).
    privacy : Privacy | None (default: None)
        Differential privacy of the models for every node, see `core.privacy`. All nodes then have
        the same number of examples, and the clients' own metrics are not told.
    train_metrics_aggr_fn, evaluate_metrics_aggr_fn : Callable, optional
        Aggregate metrics as in Flower's FedAvg; the weighted mean by default.
    """

    _per_node = 1
    STATE: Names = ("version", "_model", "_next", "_exchange", "_evaluations", "_last_update_s",
             "_started_at_s", "_combiner")  # fmt: skip

    def __init__(
        self,
        *,
        fraction_evaluate: float = 0.0,
        evaluate_every: int = 10,
        min_available_nodes: int = 2,
        outstanding: int = 1,
        weighted_by_key: str = "num-examples",
        arrayrecord_key: str = "arrays",
        configrecord_key: str = "config",
        update_norm_bound: float | None = 100.0,
        examples_bound: float | None = 1000.0,
        combine: Combination = "mean",
        trim: float = 0.2,
        privacy: Privacy | None = None,
        train_metrics_aggr_fn: MetricsAggregator = aggregate_metricrecords,
        evaluate_metrics_aggr_fn: MetricsAggregator = aggregate_metricrecords,
    ) -> None:
        if not 0 <= fraction_evaluate <= 1:
            raise ValueError(f"fraction_evaluate must be in [0, 1], got {fraction_evaluate}")
        require_count(evaluate_every=evaluate_every, min_available_nodes=min_available_nodes,
                      outstanding=outstanding)  # fmt: skip
        if outstanding > 1 and not self.pipelines:
            raise ValueError(f"{type(self).__name__} sends a node one message at a time: "
                             f"outstanding must be 1, got {outstanding}")  # fmt: skip
        self.outstanding = outstanding
        self.fraction_evaluate, self.evaluate_every = fraction_evaluate, evaluate_every
        self.min_available_nodes, self.weighted_by_key = min_available_nodes, weighted_by_key
        self.arrayrecord_key, self.configrecord_key = arrayrecord_key, configrecord_key
        UpdateGuard(update_norm_bound, examples_bound)
        if privacy is not None and not self.keeps_private:
            raise ValueError(f"{type(self).__name__} remembers updates of nodes: it has no privacy")
        Combiner(combine, trim, privacy)
        self.update_norm_bound, self.examples_bound = update_norm_bound, examples_bound
        self.combine, self.trim, self.privacy = combine, trim, privacy
        self.train_metrics_aggr_fn = train_metrics_aggr_fn
        self.evaluate_metrics_aggr_fn = evaluate_metrics_aggr_fn
        self.version = 0

    # Flower's hooks -----------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Make a message for every node that is idle now.

        Raises
        ------
        RuntimeError
            If a wrapper around this strategy has put its own `start` before ours.
        """
        if not hasattr(self, "_exchange"):
            raise RuntimeError(_WRAPPED.format(type(self).__name__))
        messages = []
        for node_id in self.in_order(self._exchange.members.ready(self._clock.now_s())):
            if self.may_dispatch(node_id):
                index = self._exchange.in_flight.next_index(node_id)
                record = put_plan(config, self.plan(node_id), index)
                record[SERVER_ROUND] = server_round
                content = RecordDict({self.arrayrecord_key: arrays, self.configrecord_key: record})
                messages.append(Message(content, node_id, MessageType.TRAIN))
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Fold replies into the buffer; return the new model if that made a version due."""
        now_s = self._clock.now_s()
        self._exchange.expire(now_s)
        for reply in replies:
            if (accepted := self._exchange.settle(reply, now_s)) is not None:
                if accepted.update.num_steps != 0:
                    self._last_update_s = now_s
                if self.privacy is not None:  # whose share is large is not to be told
                    alike = replace(accepted.update, num_examples=1.0)
                    accepted = replace(accepted, update=alike)
                if accepted.former_node_id is not None:
                    self._combiner.renamed(accepted.former_node_id, accepted.update.node_id)
                    self.renamed(accepted.former_node_id, accepted.update.node_id)
                self.learn(accepted, now_s)
                self._fold(accepted.update, reply, now_s)
        self.settled(self._exchange.take_lost(), now_s)
        if not len(self._next) or not self.is_due(len(self._next), now_s):
            return None, None
        return self._advance()

    def summary(self) -> None:
        """Log the strategy's settings."""
        log(INFO, "\t├──> Evaluation on nodes:")
        log(INFO, "\t│\t├── Fraction: %.2f", self.fraction_evaluate)
        log(INFO, "\t│\t└── Every %d versions", self.evaluate_every)
        log(INFO, "\t├──> Minimum available nodes: %d", self.min_available_nodes)
        log(INFO, "\t└──> Keys in records:")
        log(INFO, "\t\t├── Weighted by: '%s'", self.weighted_by_key)
        log(INFO, "\t\t├── ArrayRecord key: '%s'", self.arrayrecord_key)
        log(INFO, "\t\t└── ConfigRecord key: '%s'", self.configrecord_key)

    def published_arrays(self) -> ArrayRecord:
        """Return the model to evaluate and to hand out, as Flower's record."""
        return self._layout.to_record(self.published())

    # State --------------------------------------------------------------------------------

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        """Start a run: everything below is the state of one."""
        self.version = 0
        self._layout, self._clock, self._timeout_s = layout, clock, timeout_s
        self._live, self._model = arrays, layout.to_vector(arrays)
        self._combiner = Combiner(self.combine, self.trim, self.privacy)
        self._next = self.contributions()
        # What the guard compares with would tell about the updates: clipping takes its place.
        bounds = (self.update_norm_bound, self.examples_bound) if not self.privacy else (None, None)
        guard = UpdateGuard(*bounds)
        self._exchange = Exchange(layout, self.weighted_by_key, guard, self._per_node)
        self._evaluations = EvaluationRounds()
        self._started_at_s = self._last_update_s = clock.now_s()

    def restore(self, state: State) -> None:
        """Take over the state of a run that was begun with the same model and options."""
        super().restore(state)
        self._live = self._layout.to_record(self._model)

    @property
    def discarded(self) -> set[str]:
        """Ids of the messages whose reply has arrived but enters no model."""
        return self._exchange.discarded

    def contributions(self) -> Contributions:
        """Return an empty buffer of the kind that `combine` asks for."""
        return self._combiner.contributions(self._layout.num_parameters)

    def _fold(self, update: Update, reply: Message, now_s: float) -> None:
        reason = self._reason_to_discard(update)
        if reason is not None:
            log(INFO, "\t> node %d %s: its update is discarded", update.node_id, reason)
            self.discarded.add(reply.metadata.reply_to_message_id)
            return
        staleness = self.version - update.base_version
        vector, weight = self.direction(update), self.weight(update, staleness)
        vector = self._combiner.shortened(update.node_id, vector, weight)
        self.destination(update).add(vector, weight, staleness, reply.content)
        self.folded(update, now_s)

    def _reason_to_discard(self, update: Update) -> str | None:
        if update.num_steps == 0:
            return "yielded to its service"
        if not self.is_usable(update):
            return "came too late"
        return self._combiner.reason_against(update)

    def _advance(self) -> tuple[ArrayRecord, MetricRecord]:
        """Turn the buffer into a new version."""
        contributions, self._next = self._next, self.contributions()
        self._combiner.complete(contributions, self.version, self._layout.num_parameters)
        with np.errstate(over="ignore"):
            model = self.step(self._model, self.drained(contributions.updates))
            live = self._layout.to_record(model)
        if np.all(np.isfinite(self._layout.to_vector(live))):
            self._combiner.moved(model - self._model)
            self._model, self._live = model, live
        else:
            log(ERROR, "Version %d would not be finite: its updates are dropped", self.version + 1)
            self.refused()
        self.version += 1
        self.advanced()
        self._exchange.forget_unused_models()
        metrics = self._combiner.loss() if self.privacy else contributions.metrics(
            self.weighted_by_key, self.train_metrics_aggr_fn)  # fmt: skip
        counts = self._exchange.events.counts
        metrics["num-failures"], metrics["num-expired"] = counts["failed"], counts["expired"]
        metrics["num-rejected"] = counts["rejected"]
        metrics["num-quarantined"] = len(self._exchange.members.quarantined)
        return self._live, metrics

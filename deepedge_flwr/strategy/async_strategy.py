"""Asynchronous strategies for Flower: no round waits for its slowest node.

The loop pushes a message to every idle node, pulls whatever has arrived, folds each result into a
buffer, and publishes a new model version when the buffer is due. What a version is made of is up
to the subclass; Flower's hook names, `Result` and log style are kept.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from logging import ERROR, INFO

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result
from flwr.serverapp.strategy.strategy_utils import log_strategy_start_info

from ..core.clock import Clock, WallClock
from ..layout import ModelLayout
from .connected import ConnectedHooks
from .stop import StopSignals

EvaluateFn = Callable[[int, ArrayRecord], MetricRecord | None]


class AsyncStrategy(ConnectedHooks):
    """The event loop of every asynchronous strategy; see `BufferedHooks` for the hooks.

    `num_rounds` counts published model versions, the asynchronous counterpart of a round. All
    replies of one instant are folded before any node is sent a new message, so a buffer of all
    nodes on an equal fleet is exactly FedAvg.

    In real time, SIGINT and SIGTERM end a run between two events: with a last checkpoint, where it
    has a folder for them, and a summary. So does an error, of the grid for instance; it is raised
    after that.
    """

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: EvaluateFn | None = None,
    ) -> Result:
        """Run until `num_rounds` model versions are published.

        Parameters
        ----------
        grid : Grid
            Any Flower grid; one with a `clock` (`VirtualGrid`) also decides what time it is.
        initial_arrays : ArrayRecord
            Version 0 of the model.
        num_rounds : int (default: 3)
            Model versions to publish.
        timeout : float (default: 3600)
            Seconds to wait for nodes, for a node that nothing is known about yet, and the longest
            time without any accepted update before the run ends early.
        train_config, evaluate_config : ConfigRecord, optional
            Sent with every message; copied, never changed.
        evaluate_fn : Callable[[int, ArrayRecord], Optional[MetricRecord]], optional
            Evaluates the published model, before the first version and after each.

        Returns
        -------
        Result
            The published model and the metrics by version.

        Raises
        ------
        ValueError
            If options or arguments do not fit, or a checkpoint is of another run.
        TimeoutError
            If too few nodes connect in time.
        """
        if num_rounds < 0 or not timeout > 0:
            raise ValueError(f"need num_rounds >= 0, timeout > 0, got {num_rounds} and {timeout}")
        log(INFO, "Starting %s strategy:", self.__class__.__name__)
        log_strategy_start_info(num_rounds, initial_arrays, train_config, evaluate_config)
        self.summary()
        log(INFO, "")
        clock: Clock = getattr(grid, "clock", None) or WallClock()
        result, self._stop = Result(arrays=initial_arrays), StopSignals()
        self._connect(grid)
        self._begin(ModelLayout.of(initial_arrays), initial_arrays, clock, timeout)
        self._watch(grid)
        with self._stop if isinstance(clock, WallClock) else contextlib.nullcontext():
            try:
                if not self._resume(grid):
                    self._wait_for_nodes(grid)
                    self._evaluate(result, evaluate_fn)
                with self._last_words(grid, result):
                    self._train(grid, num_rounds, train_config or ConfigRecord(), evaluate_config,
                                result, evaluate_fn)  # fmt: skip
                    self._finish_evaluations(grid, result)
                self._checkpoint(grid, is_last=True)
            finally:
                self._close_checkpoints()
                self._disconnect()
                self._stop_watching()
            result.arrays = self.published_arrays()
            self._log_end(result)
        return result

    @contextlib.contextmanager
    def _last_words(self, grid: Grid, result: Result) -> Iterator[None]:
        """Save what there is and sum it up if an error ends the run; that error is what is told."""
        try:
            yield
        except Exception:
            # In virtual time it stands for the death of the server, which has no last words.
            if isinstance(self._clock, WallClock):
                try:
                    self._checkpoint(grid, is_last=True)
                    self._log_end(result)
                except Exception as error:
                    log(ERROR, "No last checkpoint: %s", str(error) or repr(error))
            raise

    def _train(
        self,
        grid: Grid,
        num_rounds: int,
        config: ConfigRecord,
        evaluate_config: ConfigRecord | None,
        result: Result,
        evaluate_fn: EvaluateFn | None,
    ) -> None:
        while self.version < num_rounds and not self._is_over():
            self._checkpoint(grid)
            self._refresh_nodes(grid)
            replies = self._take(grid, result)
            for batch in [[reply] for reply in replies] or [[]]:
                arrays, metrics = self.aggregate_train(self.version + 1, batch)
                if arrays is None:
                    continue
                self._count(grid)
                self._show_version(metrics)
                if metrics is not None:
                    result.train_metrics_clientapp[self.version] = metrics
                self._evaluate(result, evaluate_fn)
                self._push_evaluation(grid, evaluate_config or ConfigRecord(), result)
                if self.version >= num_rounds:
                    return
            # Before any wait: time alone may have made a version that nodes were waiting for.
            self._push(self.configure_train(self.version + 1, self._live, config, grid), grid)
            if replies:
                self._clock.stir()
            else:
                self._clock.wait(self._patience_s())

    def _evaluate(self, result: Result, evaluate_fn: EvaluateFn | None) -> None:
        """Evaluate the published model on the server."""
        result.arrays = self.published_arrays()
        if evaluate_fn is None:
            return
        metrics = evaluate_fn(self.version, result.arrays)
        if metrics is not None:
            log(INFO, "[VERSION %s] evaluation: %s", self.version, metrics)
            result.evaluate_metrics_serverapp[self.version] = metrics
            self._show_evaluation(self.version, "server", metrics)

    def _take(self, grid: Grid, result: Result) -> list[Message]:
        """Return the training replies that have arrived; file those to evaluations."""
        training = []
        for reply in self._pull(grid):
            if not self._evaluations.owns(reply):
                training.append(reply)
            elif (complete := self._evaluations.settle(reply)) is not None:
                self._file_evaluation(complete, result)
        return training

    def _file_evaluation(self, complete: tuple[int, list[Message]], result: Result) -> None:
        if (metrics := self.aggregate_evaluate(*complete)) is not None:
            result.evaluate_metrics_clientapp[complete[0]] = metrics
            self._show_evaluation(complete[0], "nodes", metrics)

    def _push_evaluation(self, grid: Grid, config: ConfigRecord, result: Result) -> None:
        if self.version % self.evaluate_every or not self.fraction_evaluate:
            return
        now_s = self._clock.now_s()
        # A node that never answers must not keep the answers of the others.
        for incomplete in self._evaluations.give_up(now_s):
            self._file_evaluation(incomplete, result)
        arrays = self.published_arrays()
        messages = list(self.configure_evaluate(self.version, arrays, config, grid))
        accepted = [i for message in messages for i in grid.push_messages([message]) if i]
        if accepted:
            self._evaluations.add(self.version, accepted, now_s + self._timeout_s)

    def _finish_evaluations(self, grid: Grid, result: Result) -> None:
        # They wait behind a training job at the most: a node that hangs must not hold up the end.
        longest_s = self._exchange.longest_round_trip_s
        give_up_at_s = self._clock.now_s() + min(self._timeout_s, 3 * longest_s)
        while (
            self._evaluations.message_ids
            and self._clock.now_s() < give_up_at_s
            and not self._stop.is_requested
        ):
            self._take(grid, result)
            if self._evaluations.message_ids:
                self._clock.wait(give_up_at_s - self._clock.now_s())
        for incomplete in self._evaluations.give_up(math.inf):
            self._file_evaluation(incomplete, result)

    def _log_end(self, result: Result) -> None:
        """Log the end of a run: of thousands of versions only the last."""
        elapsed_s = self._clock.now_s() - self._started_at_s
        log(INFO, "")
        log(INFO, "%d versions in %.2f s", self.version, elapsed_s)
        self._exchange.events.log_summary()
        for name in ("train_metrics_clientapp", "evaluate_metrics_clientapp",
                     "evaluate_metrics_serverapp"):  # fmt: skip
            if history := getattr(result, name):
                log(INFO, "\t%s, version %d: %s", name, max(history), history[max(history)])

    def _is_over(self) -> bool:
        """Return whether to stop, or no node has delivered anything for longer than the timeout."""
        # Exactly the moment that `_patience_s` waits for: a difference would round otherwise.
        if self._stop.is_requested or self._clock.now_s() < self._give_up_at_s:
            return self._stop.is_requested
        log(ERROR, "No update was accepted for %.0f s (%d failures so far, last: %s): stopping at "
            "version %d", self._timeout_s, self._exchange.num_failures, self._exchange.last_failure,
            self.version)  # fmt: skip
        return True

    @property
    def _give_up_at_s(self) -> float:
        """When to stop if nothing is accepted; nodes that train only at night are waited for."""
        since_s = max(self._last_update_s, self._exchange.members.deferred_until_s)
        return since_s + self._timeout_s

    def _patience_s(self) -> float:
        """Return how long the loop may wait for the next reply before it has to act."""
        now_s = self._clock.now_s()
        moments = [
            self._exchange.in_flight.next_expiry_s(),
            self._exchange.members.next_retry_s(now_s),
            self.due_at_s(),
            self._give_up_at_s,
            # A node that comes back is no event of the loop's own.
            None if self._exchange.members.is_complete else self._refresh_at_s,
        ]
        return max(0.0, min(moment for moment in moments if moment is not None) - now_s)

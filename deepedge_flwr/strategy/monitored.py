"""Runs that can be watched."""

import os
from collections.abc import Mapping
from typing import Any

from flwr.app import Message, MetricRecord
from flwr.serverapp import Grid

from ..core.clock import WallClock
from ..core.types import Update
from ..records import get_telemetry
from .monitor import MetricsFile, Monitor, PrometheusEndpoint
from .options import require_port
from .resumable import ResumableHooks


class MonitoredHooks(ResumableHooks):
    """Tells monitors of updates, versions, evaluations and events.

    Parameters
    ----------
    metrics_file : str | os.PathLike | None (default: None)
        Where to append a line per update, version, evaluation and event; see `MetricsFile`.
    prometheus_port : int | None (default: None)
        Port of a `PrometheusEndpoint`; None opens none.
    **options
        See `ResumableHooks`.
    """

    _monitors: tuple[Monitor, ...] = ()

    def __init__(
        self,
        *,
        metrics_file: str | os.PathLike[str] | None = None,
        prometheus_port: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_port(prometheus_port=prometheus_port)
        self.metrics_file, self.prometheus_port = metrics_file, prometheus_port

    def _watch(self, grid: Grid) -> None:
        """Begin to tell."""
        monitors: list[Monitor] = []
        if self.metrics_file is not None:
            monitors.append(MetricsFile(self.metrics_file))
        if self.prometheus_port is not None:
            monitors.append(PrometheusEndpoint(self.prometheus_port))
        self._monitors = tuple(monitors)
        note = getattr(grid, "note", None)

        def listen(kind: str, node_id: int) -> None:
            """Tell monitors and grid of an event."""
            self._show("event", {"event": kind, "node": node_id})
            if note is not None:
                note(kind, node_id)

        self._exchange.events.listener = listen

    def _fold(self, update: Update, reply: Message, now_s: float) -> None:
        if self._monitors:
            told = get_telemetry(reply.content)
            values = {} if told is None else {
                "device": told.device_id, "num-steps": told.num_steps, "busy-s": told.busy_s,
                "paused-s": told.paused_s, "num-requests": told.num_requests,
                "num-violations": told.num_violations, "service-p99-s": told.service_p99_s,
                "trouble": told.trouble, "isolation": told.isolation,
                **self.expectation(update.node_id)}  # fmt: skip
            staleness = self.version - update.base_version
            self._show("update", {"node": update.node_id, "staleness": staleness, **values})
        super()._fold(update, reply, now_s)

    def _show_version(self, metrics: MetricRecord | None) -> None:
        members, waiting = len(self._exchange.members), len(self._exchange.in_flight)
        state = {"version": self.version, "num-nodes": members, "num-in-flight": waiting}
        self._show("version", {**state, **(metrics or {})})

    def _show_evaluation(self, version: int, where: str, metrics: MetricRecord) -> None:
        self._show("evaluation", {"version": version, "where": where, **metrics})

    def _show(self, kind: str, values: Mapping[str, Any]) -> None:
        clock = self._clock
        time_s = clock.epoch_s() if isinstance(clock, WallClock) else clock.now_s()
        for monitor in self._monitors:
            monitor.show(kind, time_s, values)

    def _stop_watching(self) -> None:
        for monitor in self._monitors:
            monitor.close()
        self._monitors = ()

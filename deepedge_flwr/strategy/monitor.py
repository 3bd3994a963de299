"""What a dashboard reads while a run goes on: JSON lines in a file, and a Prometheus endpoint."""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from logging import ERROR, INFO
from pathlib import Path
from typing import Any, Protocol, TextIO

from flwr.common import log

_ADDRESS = "127.0.0.1"


class Monitor(Protocol):
    """Is told what happens in a run; never raises, as nobody stops training for a dashboard."""

    def show(self, kind: str, time_s: float, values: Mapping[str, Any]) -> None:
        """Take note of something: an `update`, a `version`, an `evaluation` or an `event`."""

    def close(self) -> None:
        """Take note of the end."""


class MetricsFile:
    """Append one JSON object per line: `kind`, `time_s` and what belongs to it.

    Parameters
    ----------
    path : str | os.PathLike
        The file; it and its folder are made if they do not exist. A run that goes on appends.

    Raises
    ------
    ValueError
        If it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO | None = self._path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise ValueError(
                f"metrics_file must be a file that can be written, got {path}: {error.strerror}: "
                "give another path"
            ) from error

    def show(self, kind: str, time_s: float, values: Mapping[str, Any]) -> None:
        """Write a line; after the first that fails no more are tried."""
        if self._file is None:
            return
        # JSON has no word for what is not finite, and a dashboard none for it either.
        finite = {name: _finite(value) for name, value in values.items()}
        try:
            self._file.write(json.dumps({"kind": kind, "time_s": time_s, **finite}) + "\n")
        except OSError as error:
            log(ERROR, "Cannot write %s (%s): no more metrics are written", self._path, error)
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


class PrometheusEndpoint:
    """Serve the newest values on `http://127.0.0.1:PORT/metrics`.

    Parameters
    ----------
    port : int
        The port, of the loopback interface only: put a proxy before it to let others in.

    Raises
    ------
    ValueError
        If `prometheus_client` is not installed, or the port is taken.
    """

    def __init__(self, port: int) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise ValueError(
                "prometheus_port needs prometheus_client: pip install 'deepedge-flwr[prometheus]'"
            ) from None
        registry = prometheus_client.CollectorRegistry()
        self._events = prometheus_client.Counter(
            "deepedge_events", "Events by kind.", ["name"], registry=registry
        )
        self._gauges = {
            kind: prometheus_client.Gauge(
                f"deepedge_{kind}", f"Of the newest {kind}.", ["name"], registry=registry
            )
            for kind in ("version", "evaluation")
        }
        try:
            self._server, _ = prometheus_client.start_http_server(port, _ADDRESS, registry)
        except OSError as error:
            raise ValueError(
                f"prometheus_port must be free, got {port}: {error.strerror}: give another one"
            ) from error
        log(INFO, "Metrics for Prometheus: http://%s:%d/metrics", _ADDRESS, port)

    def show(self, kind: str, time_s: float, values: Mapping[str, Any]) -> None:
        """Take over the numbers."""
        if kind in ("event", "update"):
            self._events.labels(values.get("event", kind)).inc()
            return
        for name, value in values.items():
            if isinstance(value, int | float):
                self._gauges[kind].labels(name).set(value)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _finite(value: Any) -> Any:
    """Return a value, with None for every number in it that is not finite."""
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

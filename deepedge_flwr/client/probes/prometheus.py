"""The latency histogram that a service exports for Prometheus as a probe."""

import contextlib
import math
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence

from ...core.clock import WallClock
from ...core.device import ProbeFailed

_MOST = 1000
_TIMEOUT_S = 1.0


class PrometheusProbe:
    """Scrape a text endpoint; every new request counts as the middle of its bucket.

    One in the last bucket, which has no end, counts as twice the highest bound. So all requests of
    the bucket that holds the budget are in time, or all late, by where its middle is: a bound at
    the budget, or just below it, makes that exact enough.

    Parameters
    ----------
    url : str
        The endpoint, such as `http://127.0.0.1:9100/metrics`.
    metric : str
        Name of the histogram, in seconds; its series are added up.
    interval_s : float (default: 0.2)
        Least time between two scrapes.

    Raises
    ------
    ValueError
        If `prometheus_client`, whose parser is used, is not installed.
    """

    def __init__(self, url: str, metric: str, interval_s: float = 0.2) -> None:
        try:
            from prometheus_client import parser
        except ImportError:
            raise ValueError(
                "needs prometheus_client: pip install 'deepedge-flwr[prometheus]'"
            ) from None
        self._parse = parser.text_string_to_metric_families
        self._url, self._metric, self._interval_s = url, metric, interval_s
        self._clock, self._last_s = WallClock(), -math.inf
        self._before: Mapping[float, float] | None = None

    def start(self) -> None:
        """Count what was served before; an endpoint that fails is the first call's to tell."""
        with contextlib.suppress(ProbeFailed):
            self._before = self._buckets()

    def __call__(self) -> Sequence[float]:
        """Return the requests since the last call or the start, a thousand at most.

        Raises
        ------
        ProbeFailed
            If the endpoint does not answer, or has no such histogram.
        """
        now_s = self._clock.now_s()
        if now_s - self._last_s < self._interval_s:
            return []
        self._last_s = now_s
        counts, before = self._buckets(), self._before
        self._before = counts
        if before is None:
            return []
        bounds = sorted(counts)
        latencies_s: list[float] = []
        below = 0.0
        for bound, lower in zip(bounds, [0.0, *bounds[:-1]], strict=True):
            new = counts[bound] - before.get(bound, 0.0)
            if new < below:  # the service has begun anew
                return []
            latency_s = 2 * lower if math.isinf(bound) else (lower + bound) / 2
            latencies_s += [latency_s] * int(min(_MOST, new - below))
            below = new
        return latencies_s[-_MOST:]

    def _buckets(self) -> Mapping[float, float]:
        """Return how many requests took at most how long, by bound."""
        try:
            with urllib.request.urlopen(self._url, timeout=_TIMEOUT_S) as response:
                text = response.read().decode()
            families = [f for f in self._parse(text) if f.name == self._metric]
        except (OSError, ValueError) as error:
            raise ProbeFailed(f"cannot scrape {self._url}: {error}") from error
        if not any(family.type == "histogram" for family in families):
            raise ProbeFailed(f"{self._url} has no histogram {self._metric!r}")
        counts: defaultdict[float, float] = defaultdict(float)
        for sample in (sample for family in families for sample in family.samples):
            if sample.name == f"{self._metric}_bucket":
                counts[float(sample.labels["le"])] += sample.value
        return counts

    def close(self) -> None:
        """Do nothing: no connection is held open."""

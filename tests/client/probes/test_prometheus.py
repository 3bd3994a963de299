"""A histogram as a probe, served by Prometheus's own client library."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from deepedge_flwr.client.probes import PrometheusProbe
from deepedge_flwr.core.device import ProbeFailed


@pytest.fixture
def served() -> Iterator[tuple[str, Histogram]]:
    registry = CollectorRegistry()
    Counter("parts", "Of the line.", registry=registry).inc()
    histogram = Histogram(
        "latency_seconds", "Of the service.", ["cell"], registry=registry, buckets=(0.25, 0.5, 1.0)
    )
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield f"http://127.0.0.1:{server.server_port}/metrics", histogram
    server.shutdown()
    server.server_close()
    thread.join()


def test_new_requests_count_as_the_upper_bound_of_their_bucket(
    served: tuple[str, Histogram],
) -> None:
    address, histogram = served
    histogram.labels("a").observe(0.1)
    probe = PrometheusProbe(address, "latency_seconds", interval_s=0.0)
    assert list(probe()) == []  # what was before is not this job's
    for cell, latency_s in (("a", 0.1), ("a", 0.3), ("b", 0.3), ("b", 0.7), ("b", 7.0)):
        histogram.labels(cell).observe(latency_s)
    assert list(probe()) == [0.25, 0.5, 0.5, 1.0, 2.0]
    assert list(probe()) == []


def test_a_service_that_begins_anew_is_no_news(served: tuple[str, Histogram]) -> None:
    address, histogram = served
    probe = PrometheusProbe(address, "latency_seconds", interval_s=0.0)
    histogram.labels("a").observe(0.3)
    probe()
    histogram.clear()
    histogram.labels("b")
    assert list(probe()) == []
    histogram.labels("b").observe(0.1)
    assert list(probe()) == [0.25]


def test_scrapes_keep_their_distance(served: tuple[str, Histogram]) -> None:
    address, histogram = served
    probe = PrometheusProbe(address, "latency_seconds", interval_s=1e6)
    probe()
    histogram.labels("a").observe(0.1)
    assert list(probe()) == []


def test_without_the_histogram_it_fails(served: tuple[str, Histogram]) -> None:
    with pytest.raises(ProbeFailed, match="has no histogram 'parts'"):
        PrometheusProbe(served[0], "parts")()


def test_without_the_endpoint_it_fails() -> None:
    with pytest.raises(ProbeFailed, match=r"cannot scrape http://127\.0\.0\.1:1/metrics"):
        PrometheusProbe("http://127.0.0.1:1/metrics", "latency_seconds")()

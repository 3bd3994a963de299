"""A histogram as a probe, served by Prometheus's own client library."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from deepedge_flwr.client.probes import PrometheusProbe
from deepedge_flwr.core.device import ProbeFailed
from deepedge_flwr.core.gate import Gate


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


def test_new_requests_count_as_the_middle_of_their_bucket(
    served: tuple[str, Histogram],
) -> None:
    address, histogram = served
    histogram.labels("a").observe(0.1)
    probe = PrometheusProbe(address, "latency_seconds", interval_s=0.0)
    assert list(probe()) == []  # what was before is not this job's
    for cell, latency_s in (("a", 0.1), ("a", 0.3), ("b", 0.3), ("b", 0.7), ("b", 7.0)):
        histogram.labels(cell).observe(latency_s)
    assert list(probe()) == [0.125, 0.375, 0.375, 0.75, 2.0]
    assert list(probe()) == []


def test_requests_below_a_budget_that_is_a_bound_leave_room_for_training(
    served: tuple[str, Histogram],
) -> None:
    address, histogram = served
    probe = PrometheusProbe(address, "latency_seconds", interval_s=0.0)
    probe.start()
    for _ in range(100):
        histogram.labels("a").observe(0.3)
    gate = Gate(0.5)
    gate.observe(probe())
    assert gate.decide().pause_s == 0
    for _ in range(100):
        histogram.labels("a").observe(0.6)
    gate.observe(probe())
    assert gate.decide().pause_s > 0


def test_after_a_start_the_first_look_tells(served: tuple[str, Histogram]) -> None:
    address, histogram = served
    histogram.labels("a").observe(0.1)
    probe = PrometheusProbe(address, "latency_seconds")
    probe.start()
    histogram.labels("a").observe(0.3)
    assert list(probe()) == [0.375]


def test_a_start_leaves_it_to_the_first_look_to_fail() -> None:
    probe = PrometheusProbe("http://127.0.0.1:1/metrics", "latency_seconds")
    probe.start()
    with pytest.raises(ProbeFailed, match="cannot scrape"):
        probe()


def test_a_service_that_begins_anew_is_no_news(served: tuple[str, Histogram]) -> None:
    address, histogram = served
    probe = PrometheusProbe(address, "latency_seconds", interval_s=0.0)
    histogram.labels("a").observe(0.3)
    probe()
    histogram.clear()
    histogram.labels("b")
    assert list(probe()) == []
    histogram.labels("b").observe(0.1)
    assert list(probe()) == [0.125]


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

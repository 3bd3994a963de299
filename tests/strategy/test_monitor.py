"""What a dashboard can read while a run goes on."""

import json
import logging
import math
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ArrayRecord, Context, Message, MetricRecord
from flwr.clientapp.typing import ClientAppCallable

from deepedge_flwr import FedBuff
from deepedge_flwr.strategy.monitor import MetricsFile, PrometheusEndpoint
from tests.numpy_app import arrays, fleet, follow_target, virtual_grid


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def fail_once(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    if context.node_id == 2 and "failed" not in context.state:
        context.state["failed"] = MetricRecord({"once": 1})
        reply = call_next(message, context)
        del reply.content["metrics"]
        return reply
    return call_next(message, context)


def test_a_run_writes_a_line_per_version_evaluation_and_event(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.jsonl"

    def evaluate(version: int, _: ArrayRecord) -> MetricRecord:
        return MetricRecord({"loss": 1.0 / version if version else math.inf})

    def start() -> None:
        app = follow_target([1.0, 1.0], mods=[fail_once])
        strategy = FedBuff(buffer_size=1, metrics_file=path)
        grid = virtual_grid(app, fleet(1.0, 10.0))
        strategy.start(grid, arrays([0.0]), num_rounds=20, evaluate_fn=evaluate)
        assert grid.ledger.count("server-failed") == 1  # its other listener is told, too

    start()
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    versions = [row for row in rows if row["kind"] == "version"]
    assert [row["version"] for row in versions] == list(range(1, 21))
    assert versions[0]["time_s"] == pytest.approx(1.0)
    assert versions[0]["num-nodes"] == 2 and versions[0]["num-updates"] == 1
    losses = [row["loss"] for row in rows if row["kind"] == "evaluation"]
    assert losses == [None, *(1.0 / v for v in range(1, 21))]
    events = [row for row in rows if row["kind"] == "event"]
    assert [(row["event"], row["node"]) for row in events] == [("rejected", 2), ("failed", 2)]
    updates = [row for row in rows if row["kind"] == "update"]
    assert [row["node"] for row in updates[:9]] == [1] * 9 and len(updates) == 20
    assert updates[0]["staleness"] == 0
    start()
    assert len(path.read_text().splitlines()) == 2 * len(rows)


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"metrics_file must be a file .*{tmp_path}: Is a dir"):
        MetricsFile(tmp_path)


def test_what_is_not_finite_is_null_in_lists_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = MetricsFile("~/metrics.jsonl")
    file.show("version", 1.0, {"losses": [0.5, math.nan, -math.inf], "loss": math.inf, "n": 3})
    file.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text) == {
        "kind": "version", "time_s": 1.0, "losses": [0.5, None, None], "loss": None, "n": 3
    }  # fmt: skip


@pytest.mark.parametrize("port", [0, 70000, 9094.0])
def test_a_port_that_does_not_exist_is_named(port: Any) -> None:
    with pytest.raises(ValueError, match=f"prometheus_port must be .* to 65535, got {port}: give"):
        FedBuff(prometheus_port=port)


def test_a_full_disk_ends_the_metrics_and_not_the_run(caplog: pytest.LogCaptureFixture) -> None:
    file = MetricsFile("/dev/full")
    for _ in range(3):
        file.show("event", 0.0, {})
    file.close()
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "Cannot write /dev/full" in record.getMessage()


def test_prometheus_reads_the_newest_values() -> None:
    port = free_port()
    endpoint = PrometheusEndpoint(port)
    endpoint.show("version", 0.0, {"version": 1})
    endpoint.show("version", 0.0, {"version": 2, "train-loss": 0.5, "odd": [1.0]})
    endpoint.show("update", 0.0, {"node": 3, "staleness": 1})
    endpoint.show("evaluation", 0.0, {"accuracy": 0.9, "where": "server"})
    for _ in range(3):
        endpoint.show("event", 0.0, {"event": "failed", "node": 3})
    text = scrape(port)
    assert 'deepedge_version{name="version"} 2.0' in text
    assert 'deepedge_version{name="train-loss"} 0.5' in text
    assert 'deepedge_evaluation{name="accuracy"} 0.9' in text
    assert 'deepedge_events_total{name="failed"} 3.0' in text
    assert 'deepedge_events_total{name="update"} 1.0' in text
    with pytest.raises(ValueError, match=f"prometheus_port must be free, got {port}"):
        PrometheusEndpoint(port)
    endpoint.close()


def test_a_run_can_be_scraped_and_leaves_the_port() -> None:
    port, seen = free_port(), list[str]()

    def evaluate(version: int, _: ArrayRecord) -> None:
        if version == 3:
            seen.append(scrape(port))

    for _ in range(2):
        grid = virtual_grid(follow_target([1.0, 1.0]), fleet(1.0, 1.0))
        strategy = FedBuff(buffer_size=2, prometheus_port=port)
        strategy.start(grid, arrays([0.0]), num_rounds=3, evaluate_fn=evaluate)
    assert all('deepedge_version{name="version"} 3.0' in text for text in seen) and len(seen) == 2
    with pytest.raises(OSError, match="refused"):
        scrape(port)

import logging
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict

from deepedge_flwr import DeepEdge, FedBuff
from tests.numpy_app import arrays, fleet, follow_target, vector, virtual_grid


def run(app: Any, *step_times_s: float, num_rounds: int = 4, **options: Any) -> tuple[Any, Any]:
    grid = virtual_grid(app, fleet(*step_times_s))
    strategy = FedBuff(buffer_size=1, **options)
    return strategy.start(grid, arrays([0.0]), num_rounds=num_rounds, timeout=500), grid


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, "flwr")
    return lambda: [record.getMessage() for record in caplog.records]


def test_evaluate_fn_sees_the_initial_model_and_every_version() -> None:
    seen: list[tuple[int, list[float]]] = []

    def evaluate(version: int, record: ArrayRecord) -> MetricRecord:
        seen.append((version, vector(record)))
        return MetricRecord({"loss": 1.0 / (version + 1)})

    grid = virtual_grid(follow_target([1.0, 1.0]), fleet(1.0, 1.0))
    result = FedBuff(buffer_size=2).start(grid, arrays([0.0]), num_rounds=3, evaluate_fn=evaluate)
    assert seen == [(0, [0.0]), (1, [0.5]), (2, [0.75]), (3, [0.875])]
    assert result.evaluate_metrics_serverapp[3]["loss"] == 0.25
    assert sorted(result.train_metrics_clientapp) == [1, 2, 3]


def test_zero_rounds_returns_the_initial_model() -> None:
    result, grid = run(follow_target([1.0]), 1.0, num_rounds=0, min_available_nodes=1)
    assert vector(result.arrays) == [0.0]
    assert grid.ledger.rows == []


def test_the_users_config_reaches_the_client_and_is_never_changed() -> None:
    seen: list[dict[str, Any]] = []

    def spy(message: Message, content: RecordDict) -> Message:
        seen.append(dict(message.content["config"]))
        return Message(content, reply_to=message)

    config = ConfigRecord({"learning-rate": 0.1})
    grid = virtual_grid(follow_target([1.0, 1.0], reply=spy), fleet(1.0, 1.0))
    FedBuff(buffer_size=2).start(grid, arrays([0.0]), num_rounds=2, train_config=config)
    assert dict(config) == {"learning-rate": 0.1}
    assert [(s["learning-rate"], s["server-round"]) for s in seen] == [(0.1, 1)] * 2 + [
        (0.1, 2)
    ] * 2
    assert [s["deepedge.dispatch-index"] for s in seen] == [0, 0, 1, 1]


BROKEN = {
    "error": lambda message, content: Message(Error(2, "boom\nValueError: boom"), reply_to=message),
    "nothing": lambda message, content: None,
    "no metrics": lambda message, content: Message(
        RecordDict({"arrays": content["arrays"]}), reply_to=message
    ),
    "not finite": lambda message, content: Message(
        RecordDict({**content, "arrays": arrays([np.nan])}), reply_to=message
    ),
    "another shape": lambda message, content: Message(
        RecordDict({**content, "arrays": arrays([1.0, 2.0])}), reply_to=message
    ),
    "no arrays": lambda message, content: Message(
        RecordDict({"metrics": content["metrics"]}), reply_to=message
    ),
    "zero weight": lambda message, content: Message(
        RecordDict({**content, "metrics": MetricRecord({"num-examples": 0})}), reply_to=message
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_node_is_an_event_and_the_others_go_on(kind: str, messages: Any) -> None:
    def broken_on_node_1(message: Message, content: RecordDict) -> Message | None:
        if content["metrics"]["loss"] == 0.0:
            return BROKEN[kind](message, content)
        return Message(content, reply_to=message)

    result, _ = run(follow_target([9.0, 1.0], reply=broken_on_node_1), 1.0, 1.5)
    assert vector(result.arrays) == pytest.approx([1 - 0.5**4])
    assert result.train_metrics_clientapp[4]["num-failures"] >= 1
    assert any("node 1: " in message for message in messages())
    assert not any("Traceback" in message for message in messages())


@pytest.mark.parametrize("kind", BROKEN)
def test_a_fleet_that_is_broken_throughout_ends_the_run(kind: str, messages: Any) -> None:
    result, grid = run(follow_target([9.0, 9.0], reply=BROKEN[kind]), 1.0, 1.0)
    assert vector(result.arrays) == [0.0]
    assert grid.clock.now_s() == pytest.approx(500, abs=1)
    assert any("No update was accepted for 500 s" in message for message in messages())


def test_evaluation_on_nodes_does_not_stop_training() -> None:
    result, _ = run(
        follow_target([1.0, 1.0, 1.0, 1.0]), 1, 1, 1, 1, num_rounds=8,
        fraction_evaluate=0.5, evaluate_every=4,
    )  # fmt: skip
    metrics = result.evaluate_metrics_clientapp
    assert {version: record["accuracy"] for version, record in metrics.items()} == {4: 0.5, 8: 2.5}
    assert sorted(result.train_metrics_clientapp) == list(range(1, 9))


def test_a_fleet_that_never_connects_is_a_clear_error() -> None:
    grid = virtual_grid(follow_target([1.0]), fleet(1.0))
    with pytest.raises(
        TimeoutError, match="1 nodes connected within 30 s, min_available_nodes is 2"
    ):
        FedBuff(buffer_size=1).start(grid, arrays([0.0]), timeout=30)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fraction_evaluate": 1.5}, "fraction_evaluate must be in"),
        ({"evaluate_every": 0}, "must be >= 1, got 0"),
        ({"min_available_nodes": 0}, "must be >= 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        FedBuff(**options)


def test_arguments_of_start_are_checked() -> None:
    grid = virtual_grid(follow_target([1.0]), fleet(1.0))
    with pytest.raises(ValueError, match="timeout > 0, got 3 and 0"):
        FedBuff().start(grid, arrays([0.0]), timeout=0)


def test_summary_names_the_settings(messages: Any) -> None:
    DeepEdge(latency_budget_s=0.02).summary()
    text = "\n".join(messages())
    assert "Latency budget: 0.02 s" in text
    assert "Buffer size: auto" in text
    assert "ArrayRecord key: 'arrays'" in text

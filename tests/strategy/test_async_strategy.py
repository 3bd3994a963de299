import logging
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp.typing import ClientAppCallable

from deepedge_flwr import DeepEdge, FedBuff
from deepedge_flwr.core.types import Update
from deepedge_flwr.records import closed_error
from deepedge_flwr.simulation import HorizonReached, InProcessGrid, VirtualGrid
from tests.numpy_app import arrays, deepedge_mod, fleet, follow_target, vector, virtual_grid


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


class Timed(FedBuff):
    """A version 3 s after its first update; who is in it waits for it."""

    waiting: tuple[int, ...] = ()
    version_at_s = math.inf

    def may_dispatch(self, node_id: int) -> bool:
        return node_id not in self.waiting

    def folded(self, update: Update, now_s: float) -> None:
        self.waiting, self.version_at_s = (*self.waiting, update.node_id), now_s + 3

    def due_at_s(self) -> float | None:
        return self.version_at_s if self.waiting else None

    def is_due(self, num_updates: int, now_s: float) -> bool:
        return now_s >= self.version_at_s

    def advanced(self) -> None:
        self.waiting = ()


def test_a_version_made_by_time_alone_is_sent_at_once() -> None:
    grid = virtual_grid(follow_target([1.0, 1.0]), fleet(1.0, 100.0))
    Timed(buffer_size=1).start(grid, arrays([0.0]), num_rounds=3)
    times_s = [row.time_s for row in grid.ledger.of("dispatch") if row.node_id == 1]
    assert times_s == pytest.approx([0.0, 4.0, 8.0], abs=1e-6)
    assert grid.clock.now_s() == pytest.approx(12.0, abs=1e-6)


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


@pytest.mark.parametrize("strategy", [FedBuff(buffer_size=1), DeepEdge(buffer_size=1)])
@pytest.mark.parametrize(
    ("timeout_s", "step_s"), [(100, 7.3), (60, 3.3), (1000, 31.7), (3600, 171.3)]
)
def test_a_run_ends_one_timeout_after_its_last_update(
    strategy: Any, timeout_s: float, step_s: float, messages: Any
) -> None:
    def fail_after_three(message: Message, content: RecordDict) -> Message:
        if int(message.content["config"]["deepedge.dispatch-index"]) < 3:
            return Message(content, reply_to=message)
        return Message(Error(2, "out of memory"), reply_to=message)

    app = follow_target([1.0] * 3, reply=fail_after_three, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(*[step_s] * 3))
    result = strategy.start(grid, arrays([0.0]), num_rounds=1000, timeout=timeout_s)
    replies = grid.ledger.of("reply")
    assert len(replies) == len(result.train_metrics_clientapp) == 9
    assert grid.clock.now_s() == pytest.approx(replies[-1].time_s + timeout_s, rel=1e-12)
    assert any(f"No update was accepted for {timeout_s} s" in message for message in messages())


@pytest.mark.parametrize(
    "strategy",
    [
        FedBuff(buffer_size=1, server_learning_rate=4, update_norm_bound=None),
        DeepEdge(buffer_size=1, server_learning_rate=4, update_norm_bound=None),
        DeepEdge(buffer_size=1, server_learning_rate=4, averaging=0, update_norm_bound=None),
    ],
)
def test_an_update_beyond_the_models_numbers_is_dropped(
    strategy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Node 1 goes half way to 3e38, four times that is no float32; node 2 stays where it is."""
    app = follow_target([3e38, 0.0])
    initial = ArrayRecord({"w": Array(np.zeros(2, np.float32))})
    seen: list[list[float]] = []
    result = strategy.start(
        virtual_grid(app, fleet(1.0, 1.3), follows_plans=False), initial, num_rounds=6,
        evaluate_fn=lambda _version, record: seen.append(vector(record)),
    )  # fmt: skip
    assert seen == [[0.0, 0.0]] * 7
    assert sorted(result.train_metrics_clientapp) == [1, 2, 3, 4, 5, 6]
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "Version 1 would not be finite: its updates are dropped" in errors
    assert 0 < len(errors) < 6


class LosesAnswers(VirtualGrid):
    """A grid that never delivers what node 2 answers to an evaluation."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [
            reply
            for reply in super().pull_messages(message_ids)
            if reply.metadata.message_type == "train" or reply.metadata.src_node_id != 2
        ]


def test_a_node_that_never_answers_does_not_cost_the_others_answers() -> None:
    app = follow_target([1.0] * 3)
    grid = LosesAnswers(InProcessGrid(app, 3), fleet(1.0, 1.0, 1.0), num_steps=1)
    strategy = FedBuff(buffer_size=3, fraction_evaluate=1.0, evaluate_every=4)
    result = strategy.start(grid, arrays([0.0]), num_rounds=8, timeout=50)
    metrics = result.evaluate_metrics_clientapp
    # The mean of nodes 1 and 3, whose partitions are 0 and 2; each evaluated both versions.
    assert {v: record["accuracy"] for v, record in metrics.items()} == {4: 1.0, 8: 1.0}
    # 8 rounds of 1 s, one of them after an evaluation of 1 s; the last answer is waited for three
    # times as long as a reply has taken, 2 s behind an evaluation.
    assert grid.clock.now_s() == pytest.approx(8 + 1 + 3 * 2, abs=1e-6)


def test_the_others_answers_are_there_before_the_run_has_ended() -> None:
    """Version 2 is evaluated at 2 s; by version 6, at about 7 s, 4 s are over."""
    app = follow_target([1.0] * 3)
    grid = LosesAnswers(InProcessGrid(app, 3), fleet(1.0, 1.0, 1.0), num_steps=1, horizon_s=9.5)
    filed: list[list[int]] = []

    class Filing(FedBuff):
        def aggregate_evaluate(
            self, server_round: int, replies: Iterable[Message]
        ) -> MetricRecord | None:
            replies = list(replies)
            filed.append([server_round, *sorted(reply.metadata.src_node_id for reply in replies)])
            return super().aggregate_evaluate(server_round, replies)

    strategy = Filing(buffer_size=3, fraction_evaluate=1.0, evaluate_every=2)
    with pytest.raises(HorizonReached):
        strategy.start(grid, arrays([0.0]), num_rounds=100, timeout=4)
    assert filed == [[2, 1, 3]]


def test_answers_that_take_longer_than_the_next_evaluation_still_count() -> None:
    """Six versions take 2 s, node 1 answers for version 2 when version 4 is evaluated already."""
    result, grid = run(
        follow_target([1.0] * 4), 1, 1, 1, 1, num_rounds=6, fraction_evaluate=0.01, evaluate_every=2
    )
    metrics = result.evaluate_metrics_clientapp
    assert {v: record["accuracy"] for v, record in metrics.items()} == {2: 0.0, 4: 1.0, 6: 2.0}
    answers = {row.version: row.time_s for row in grid.ledger.of("answer")}
    sent = {row.message_id: row for row in grid.ledger.of("dispatch")}
    assert answers[2] > min(row.time_s for row in sent.values() if row.version == 5)


def test_a_round_that_nobody_answers_has_no_metrics() -> None:
    class Silent(VirtualGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            replies = super().pull_messages(message_ids)
            return [reply for reply in replies if reply.metadata.message_type == "train"]

    grid = Silent(InProcessGrid(follow_target([1.0] * 2), 2), fleet(1.0, 1.0))
    strategy = FedBuff(buffer_size=2, fraction_evaluate=1.0, evaluate_every=1)
    result = strategy.start(grid, arrays([0.0]), num_rounds=3, timeout=50)
    assert result.evaluate_metrics_clientapp == {}
    assert sorted(result.train_metrics_clientapp) == [1, 2, 3]


def test_answers_to_evaluations_are_not_updates() -> None:
    result, grid = run(
        follow_target([1.0] * 4), 1, 1, 1, 1, num_rounds=8, fraction_evaluate=0.5, evaluate_every=4
    )
    assert sorted(result.evaluate_metrics_clientapp) == [4, 8]
    assert [row.node_id for row in grid.ledger.of("answer")] == [1, 2, 3, 4]
    evaluated = {row.message_id for row in grid.ledger.of("answer")}
    assert evaluated.isdisjoint({row.message_id for row in grid.ledger.of("reply")})


def test_a_small_fraction_is_one_node() -> None:
    _, grid = run(
        follow_target([1.0] * 4), 1, 1, 1, 1, num_rounds=6, fraction_evaluate=0.01, evaluate_every=2
    )
    assert [row.node_id for row in grid.ledger.of("answer")] == [1, 2, 3]


def test_a_fraction_of_zero_is_no_node() -> None:
    result, grid = run(follow_target([1.0] * 2), 1, 1, num_rounds=6, evaluate_every=1)
    assert grid.ledger.of("answer") == []
    assert result.evaluate_metrics_clientapp == {}


def test_nodes_that_fail_to_evaluate_are_logged(messages: Any) -> None:
    def refuse(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        if message.metadata.message_type == "evaluate" and context.node_id != 2:
            raise RuntimeError("no test data")
        return call_next(message, context)

    result, _ = run(
        follow_target([1.0] * 3, mods=[refuse]), 1, 1, 1,
        num_rounds=2, fraction_evaluate=1.0, evaluate_every=2,
    )  # fmt: skip
    assert result.evaluate_metrics_clientapp[2]["accuracy"] == 1.0
    assert any("2 nodes failed to evaluate version 2" in message for message in messages())


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
        ({"evaluate_every": 0}, "evaluate_every must be an integer >= 1, got 0"),
        ({"min_available_nodes": 0}, "min_available_nodes must be an integer >= 1, got 0"),
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


def closed_until(opens_at_s: float) -> Any:
    """A mod that lets node 2 train after a time only; its clock is the message's version."""
    tries: list[int] = []

    def mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        if context.node_id == 2 and not tries:
            tries.append(1)
            return Message(closed_error(opens_at_s), reply_to=message)
        return call_next(message, context)

    return mod


def test_a_node_outside_its_window_is_left_alone_until_it_opens(messages: Any) -> None:
    app = follow_target([1.0, 1.0], mods=[closed_until(30.0)])
    result, grid = run(app, 10.0, 10.0, num_rounds=8)
    asked_s = [row.time_s for row in grid.ledger.of("dispatch") if row.node_id == 2]
    assert asked_s[0] == 0.0
    assert asked_s[1] == pytest.approx(40.0, abs=1e-6)
    assert result.train_metrics_clientapp[8]["num-failures"] == 0
    assert "\t> node 2: trains again in 30 s" in messages()


def test_a_fleet_that_trains_at_night_is_waited_for() -> None:
    app = follow_target([1.0, 1.0], mods=[closed_until(30_000.0)])
    grid = virtual_grid(app, fleet(10.0, 10.0))

    class OnlyTwo(FedBuff):
        def may_dispatch(self, node_id: int) -> bool:
            return node_id == 2

    strategy = OnlyTwo(buffer_size=1)
    strategy.start(grid, arrays([0.0]), num_rounds=1, timeout=100)
    assert strategy.version == 1
    assert grid.clock.now_s() == pytest.approx(30_020.0, abs=1e-3)

"""The in-process grid: Flower's semantics of errors, states and node ids."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from deepedge_flwr.simulation import InProcessGrid

Train = Callable[[Message, Context], Message]


def grid_of(train: Train, num_nodes: int = 3) -> InProcessGrid:
    app = ClientApp()
    app.train()(train)
    return InProcessGrid(app, num_nodes)


def to_node(node_id: int, **config: int) -> Message:
    return Message(RecordDict({"config": ConfigRecord(dict(config))}), node_id, "train")


def echo(message: Message, context: Context) -> Message:
    metrics = MetricRecord(
        {
            "node-id": context.node_id,
            "partition-id": int(context.node_config["partition-id"]),
            "num-partitions": int(context.node_config["num-partitions"]),
        }
    )
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def count_calls(message: Message, context: Context) -> Message:
    """Count in a fresh record; raise where asked to."""
    old = context.state.metric_records.get("calls")
    calls = 1 if old is None else int(str(old["n"])) + 1
    context.state["calls"] = MetricRecord({"n": calls})
    return _answer(message, calls)


def count_calls_in_place(message: Message, context: Context) -> Message:
    """Count in the record that is there."""
    record = context.state.metric_records.setdefault("calls", MetricRecord({"n": 0}))
    record["n"] = int(str(record["n"])) + 1
    return _answer(message, int(str(record["n"])))


def count_calls_in_a_list(message: Message, context: Context) -> Message:
    """Count in the value that is there."""
    record = context.state.metric_records.setdefault("calls", MetricRecord({"n": [0]}))
    calls: Any = record["n"]
    calls[0] += 1
    return _answer(message, calls[0])


def _answer(message: Message, calls: int) -> Message:
    if message.content.config_records["config"].get("fail"):
        raise RuntimeError("the battery is empty")
    return Message(RecordDict({"metrics": MetricRecord({"n": calls})}), reply_to=message)


def ask(grid: InProcessGrid, node_id: int, **config: int) -> Message:
    (reply,) = grid.send_and_receive([to_node(node_id, **config)])
    return reply


def test_nodes_are_numbered_from_one_in_the_order_of_partitions() -> None:
    grid = grid_of(echo)
    assert list(grid.get_node_ids()) == [1, 2, 3]
    assert [node.node_id for node in grid.get_nodes()] == [1, 2, 3]
    metrics = [dict(ask(grid, n).content.metric_records["metrics"]) for n in (1, 2, 3)]
    assert metrics == [
        {"node-id": n, "partition-id": n - 1, "num-partitions": 3} for n in (1, 2, 3)
    ]


def test_a_reply_is_pulled_once_and_by_its_id() -> None:
    grid = grid_of(echo)
    ids = list(grid.push_messages([to_node(1), to_node(2)]))
    assert len(set(ids)) == 2
    (second,) = grid.pull_messages([ids[1]])
    assert second.metadata.reply_to_message_id == ids[1]
    assert second.metadata.src_node_id == 2
    (first,) = grid.pull_messages(ids)
    assert first.metadata.src_node_id == 1
    assert list(grid.pull_messages([*ids, "unknown"])) == []


def test_an_exception_becomes_an_error_reply() -> None:
    reply = ask(grid_of(count_calls), 1, fail=1)
    assert reply.has_error()
    assert reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION == 2
    assert reply.error.reason == "RuntimeError: the battery is empty"


def test_an_app_that_returns_nothing_becomes_an_error_reply() -> None:
    reply = ask(grid_of(lambda message, context: None), 1)  # type: ignore[arg-type, return-value]
    assert reply.error.code == 2
    assert reply.error.reason == "the ClientApp returned NoneType, it must return a Message"


def test_an_unknown_node_becomes_an_error_reply() -> None:
    reply = ask(grid_of(echo), 4)
    assert reply.error.code == ErrorCode.NODE_UNAVAILABLE == 5
    assert reply.error.reason == "there is no node 4"


@pytest.mark.parametrize("train", [count_calls, count_calls_in_place, count_calls_in_a_list])
def test_a_nodes_state_lasts_and_is_its_own(train: Train) -> None:
    grid = grid_of(train)
    replies = [ask(grid, node_id) for node_id in (1, 1, 2, 1)]
    assert [reply.content.metric_records["metrics"]["n"] for reply in replies] == [1, 2, 1, 3]


@pytest.mark.parametrize("train", [count_calls, count_calls_in_place, count_calls_in_a_list])
def test_an_exception_discards_the_change_of_state(train: Train) -> None:
    grid = grid_of(train)
    ask(grid, 1)
    assert ask(grid, 1, fail=1).has_error()
    assert ask(grid, 1).content.metric_records["metrics"]["n"] == 2


def test_what_a_client_changes_in_place_stays_its_own() -> None:
    def overwrite(message: Message, context: Context) -> Message:
        message.content.config_records["config"]["lr"] = 9
        weights = message.content.array_records["arrays"]
        weights["w"] = Array(np.ones(2))
        del message.content["extra"]
        return Message(RecordDict({"arrays": weights}), reply_to=message)

    sent = to_node(1, lr=1)
    arrays = ArrayRecord({"w": Array(np.zeros(2))})
    sent.content["arrays"], sent.content["extra"] = arrays, MetricRecord({"n": 1})
    (reply,) = grid_of(overwrite).send_and_receive([sent])
    assert reply.content.array_records["arrays"]["w"].numpy().tolist() == [1.0, 1.0]
    assert arrays["w"].numpy().tolist() == [0.0, 0.0]
    assert list(sent.content) == ["config", "arrays", "extra"]
    assert dict(sent.content.config_records["config"]) == {"lr": 1}


def test_what_a_client_changes_inside_a_value_stays_its_own() -> None:
    def overwrite(message: Message, context: Context) -> Message:
        message.content.array_records["arrays"]["w"].data = b""
        message.content.config_records["config"]["rates"].append(9)  # type: ignore[union-attr]
        message.content.metric_records["extra"]["n"].append(9)  # type: ignore[union-attr]
        message.metadata.message_type = "train.changed"
        return Message(RecordDict(), reply_to=message)

    sent = to_node(1)
    sent.content.config_records["config"]["rates"] = [1]
    arrays = ArrayRecord({"w": Array(np.zeros(2))})
    sent.content["arrays"], sent.content["extra"] = arrays, MetricRecord({"n": [1]})
    (reply,) = grid_of(overwrite).send_and_receive([sent])
    assert reply.has_content()
    assert arrays["w"].numpy().tolist() == [0.0, 0.0]
    assert sent.content.config_records["config"]["rates"] == [1]
    assert sent.content.metric_records["extra"]["n"] == [1]
    assert sent.metadata.message_type == "train"


def test_create_message_is_flowers() -> None:
    message = grid_of(echo).create_message(RecordDict(), "train", 2, "group", ttl=5.0)
    assert message.metadata.dst_node_id == 2
    assert message.metadata.group_id == "group"


def test_the_run_is_empty() -> None:
    grid = grid_of(echo)
    grid.set_run(grid.run)
    assert grid.run.run_id == 1


def test_a_grid_needs_a_node() -> None:
    with pytest.raises(ValueError, match="num_nodes must be >= 1, got 0"):
        grid_of(echo, num_nodes=0)

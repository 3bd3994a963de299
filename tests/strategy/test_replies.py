from typing import Any

import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict

from deepedge_flwr.core.types import Dispatch, Telemetry, TrainPlan
from deepedge_flwr.layout import ModelLayout
from deepedge_flwr.records import put_telemetry
from deepedge_flwr.simulation import InProcessGrid
from deepedge_flwr.strategy.replies import BadReply, read_update
from tests.numpy_app import arrays, follow_target

LAYOUT = ModelLayout.of(arrays([0.0, 0.0]))
DISPATCH = Dispatch(
    message_id="a", node_id=3, model_version=5, index=0, sent_at_s=0.0, expires_at_s=1.0,
    plan=TrainPlan(num_steps=4),
)  # fmt: skip


def good(num_steps: int = 4, **changes: Any) -> RecordDict:
    records = {"arrays": arrays([1.0, 2.0]), "metrics": MetricRecord({"num-examples": 2})}
    content = RecordDict({**records, **changes})
    put_telemetry(content, Telemetry(num_steps=num_steps, busy_s=1.0))
    return content


def read(content: RecordDict | Error) -> Any:
    InProcessGrid(follow_target([1.0]), 1)  # messages can be made from here on
    message = Message(RecordDict(), 3, "train")
    reply = Message(content, reply_to=message)
    return read_update(
        reply, DISPATCH, LAYOUT.to_vector(arrays([1.0, 1.0])), LAYOUT, "num-examples"
    )


def test_a_good_reply() -> None:
    update, telemetry = read(good())
    assert update.delta.tolist() == [0.0, 1.0]
    assert (update.node_id, update.base_version, update.num_steps) == (3, 5, 4)
    assert telemetry == Telemetry(num_steps=4, busy_s=1.0)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), [1, 2]])
def test_a_weight_must_be_a_positive_number(value: Any) -> None:
    with pytest.raises(BadReply, match="'num-examples' must be a finite number > 0"):
        read(good(metrics=MetricRecord({"num-examples": value})))


def test_more_steps_than_planned() -> None:
    with pytest.raises(BadReply, match="5 local steps reported, 4 were planned"):
        read(good(num_steps=5))


def test_two_array_records() -> None:
    with pytest.raises(BadReply, match="has 2 ArrayRecords, it must have exactly one"):
        read(good(more=arrays([1.0])))


def test_garbled_telemetry() -> None:
    content = good()
    content["deepedge.telemetry"] = ConfigRecord({"num-steps": "many"})
    with pytest.raises(BadReply, match="malformed reply: telemetry num_steps must be"):
        read(content)


def test_garbled_array() -> None:
    content = good()
    content["arrays"]["w"].data = b"garbage"  # type: ignore[union-attr, call-overload]
    with pytest.raises(BadReply, match="malformed reply"):
        read(content)


@pytest.mark.parametrize(
    ("reason", "line"),
    [("a\nb\n\x1b[31mValueError: c\x1b[0m\n", "ValueError: c"), (None, "no reason"), ("", "no re")],
)
def test_the_reason_of_an_error_is_one_line(reason: str | None, line: str) -> None:
    with pytest.raises(BadReply, match=f"error 2: {line}"):
        read(Error(2, reason))

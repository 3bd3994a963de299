"""Plans and reports survive the way through Flower's records."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from deepedge_flwr.core.types import Telemetry, TrainPlan
from deepedge_flwr.records import (
    DISPATCH_INDEX,
    SIMULATED_DEVICE,
    TELEMETRY,
    count_bytes,
    get_config,
    get_gate_memory,
    get_plan,
    get_telemetry,
    is_train,
    put_gate_memory,
    put_plan,
    put_telemetry,
    records_of,
)
from deepedge_flwr.simulation import InProcessGrid

PLAN = TrainPlan(num_steps=3, model_version=2, deadline_s=1.5, latency_budget_s=0.02)
REPORT = Telemetry(
    num_steps=3,
    busy_s=1.25,
    paused_s=0.5,
    num_requests=40,
    num_violations=1,
    service_p99_s=0.019,
    device_id="camera-3",
)


def model(**arrays: NDArray[Any]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


# Plans and reports ------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [PLAN, TrainPlan(num_steps=1)])
def test_a_plan_arrives_as_it_was_sent(plan: TrainPlan) -> None:
    content = RecordDict({"config": put_plan(ConfigRecord({"lr": 0.1}), plan, 4)})
    assert get_plan(content) == plan
    assert get_config(content)["lr"] == 0.1
    assert get_config(content)[DISPATCH_INDEX] == 4


def test_the_user_s_config_is_never_touched() -> None:
    config = ConfigRecord({"lr": 0.1})
    first, second = put_plan(config, PLAN, 0), put_plan(config, TrainPlan(num_steps=1), 1)
    assert dict(config) == {"lr": 0.1}
    # A plan without a deadline must not inherit the one of the message before.
    assert get_plan(RecordDict({"config": first})) == PLAN
    assert get_plan(RecordDict({"config": second})) == TrainPlan(num_steps=1)


def test_without_a_plan_only_the_dispatch_index_is_added() -> None:
    config = put_plan(ConfigRecord({"lr": 0.1}), None, 2)
    assert dict(config) == {"lr": 0.1, DISPATCH_INDEX: 2}
    assert get_plan(RecordDict({"config": config})) is None


def test_a_message_without_a_config_has_no_plan() -> None:
    assert get_plan(RecordDict()) is None
    assert get_config(RecordDict()) == {}


def test_a_plan_that_was_tampered_with_is_an_error() -> None:
    config = put_plan(ConfigRecord(), PLAN, 0)
    config["deepedge.num-steps"] = 0
    with pytest.raises(ValueError, match="num_steps must be >= 1, got 0"):
        get_plan(RecordDict({"config": config}))


def test_a_report_arrives_as_it_was_sent_beside_the_user_s_records() -> None:
    content = RecordDict({"config": ConfigRecord({"lr": 0.1}), "metrics": MetricRecord({"a": 1})})
    put_telemetry(content, REPORT)
    assert get_telemetry(content) == REPORT
    assert dict(get_config(content)) == {"lr": 0.1}
    # A second MetricRecord would abort stock FedAvg.
    assert list(content.metric_records) == ["metrics"]


def test_flower_can_count_the_bytes_of_a_report_without_a_device_id() -> None:
    content = RecordDict()
    put_telemetry(content, replace(REPORT, device_id=""))
    assert content.config_records[TELEMETRY].count_bytes() > 0
    assert get_telemetry(content) == replace(REPORT, device_id="")


def test_the_telemetry_is_never_mistaken_for_the_config() -> None:
    content = RecordDict()
    put_telemetry(content, REPORT)
    content["config"] = ConfigRecord({"lr": 0.1})
    assert dict(get_config(content)) == {"lr": 0.1}


def test_a_reply_without_a_report_has_none() -> None:
    assert get_telemetry(RecordDict({"metrics": MetricRecord({"loss": 0.5})})) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"busy-s": -1.0}, "busy_s must be a finite number >= 0, got -1.0"),
        ({"busy-s": float("nan")}, "busy_s must be a finite number >= 0, got nan"),
        ({"paused-s": float("inf")}, "paused_s must be a finite number >= 0, got inf"),
        ({"num-steps": "3"}, "num_steps must be a finite number >= 0, got '3'"),
        ({"num-steps": [3]}, r"num_steps must be a finite number >= 0, got \[3\]"),
        ({"battery": 0.5}, "telemetry has the wrong fields.*battery"),
        ({"busy-s": None}, "telemetry has the wrong fields.*busy_s"),
    ],
)
def test_a_report_that_makes_no_sense_is_an_error(change: dict[str, Any], message: str) -> None:
    content = RecordDict()
    put_telemetry(content, REPORT)
    values = {**content.config_records[TELEMETRY], **change}
    content[TELEMETRY] = ConfigRecord({k: v for k, v in values.items() if v is not None})
    with pytest.raises(ValueError, match=message):
        get_telemetry(content)


def test_the_records_of_a_kind_keep_their_order() -> None:
    first, second = MetricRecord({"a": 1}), MetricRecord({"b": 2})
    content = RecordDict({"m": first, "config": ConfigRecord({"lr": 0.1}), "n": second})
    assert records_of(content, MetricRecord) == [first, second]
    assert records_of(content, ArrayRecord) == []


# Bytes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "num_bytes"),
    [
        # Flower's own count_bytes raises on the first two.
        ("", 0),
        ([], 0),
        ("é", 2),
        (b"\x00\x01\x02", 3),
        (1, 8),
        (0.5, 8),
        (True, 8),
        ([1, 2, 3], 24),
        (["ab", ""], 2),
        ([b"ab", b"c"], 3),
    ],
)
def test_a_value_costs_its_key_and_its_bytes(value: Any, num_bytes: int) -> None:
    assert count_bytes(RecordDict({"config": ConfigRecord({"key": value})})) == 3 + num_bytes


def test_a_message_costs_its_arrays_as_they_travel() -> None:
    arrays = model(w=np.zeros((2, 3), np.float32), n=np.array(7))
    content = RecordDict({"arrays": arrays})
    on_the_wire = sum(len(array.data) for array in arrays.values())
    assert count_bytes(content) == on_the_wire >= 6 * 4 + 8
    content["metrics"] = MetricRecord({"loss": 0.5, "per-class": [1, 2]})
    assert count_bytes(content) == on_the_wire + (4 + 8) + (9 + 16)


def test_the_simulator_s_own_key_costs_nothing() -> None:
    content = RecordDict({"config": ConfigRecord({"lr": 0.1, SIMULATED_DEVICE: "x" * 1000})})
    assert count_bytes(content) == 2 + 8
    assert count_bytes(RecordDict()) == 0


def test_what_a_node_remarks_travels_if_it_says_anything_and_is_cut_to_a_line() -> None:
    content = RecordDict()
    put_telemetry(content, Telemetry(num_steps=1, busy_s=1.0))
    assert not {"trouble", "isolation"} & set(content["deepedge.telemetry"])
    told = Telemetry(num_steps=1, busy_s=1.0, trouble="no\nprobe " + "x" * 999, isolation="idle")
    put_telemetry(content, told)
    read = get_telemetry(content)
    assert read is not None
    assert read.trouble.startswith("no probe xxx") and len(read.trouble) == 300
    assert read.isolation == "idle"


@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        ({"num-violations": 6}, "cannot be true: 6 violations of 5 requests"),
        ({"num-requests": 10**12}, "num_requests must be an integer <= 1000000000"),
        ({"num-requests": 1e200}, "num_requests must be an integer"),
        ({"num-steps": 1.5}, "num_steps must be an integer"),
        ({"latency-quantile": 1.0}, "cannot be true: .* quantile 1.0"),
        ({"num-violations": True}, "must be a finite number >= 0, got True"),
    ],
)
def test_a_report_that_cannot_be_true_is_refused(lie: dict[str, Any], rule: str) -> None:
    content = RecordDict()
    put_telemetry(content, Telemetry(num_steps=1, busy_s=1.0, num_requests=5))
    content[TELEMETRY].update(lie)
    with pytest.raises(ValueError, match=rule):
        get_telemetry(content)


def test_what_a_node_says_cannot_paint_the_log() -> None:
    content = RecordDict()
    put_telemetry(content, Telemetry(num_steps=1, busy_s=1.0, trouble="\x1b[31mred\x07"))
    read = get_telemetry(content)
    assert read is not None and read.trouble == "[31mred"


def test_a_gate_leaves_its_memory_in_the_node_s_state() -> None:
    state = RecordDict()
    assert get_gate_memory(state) == []
    put_gate_memory(state, [])
    assert not state
    put_gate_memory(state, [-4.5, 0.25, 1.5, 0.0])
    assert get_gate_memory(state) == [-4.5, 0.25, 1.5, 0.0]
    put_gate_memory(state, [])  # a gate that has forgotten does not leave what it had before
    assert get_gate_memory(state) == []


# Message types ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message_type", "expected"),
    [
        ("train", True),
        ("train.personal", True),
        ("evaluate", False),
        ("query", False),
        ("query.train", False),
    ],
)
def test_training_is_any_action_of_the_type_train(message_type: str, expected: bool) -> None:
    InProcessGrid(ClientApp(), 1)  # Flower builds messages only inside one of its tasks.
    message = Message(RecordDict(), dst_node_id=1, message_type=message_type)
    assert is_train(message) is expected

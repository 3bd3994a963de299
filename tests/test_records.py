"""Plans and reports survive the way through Flower's records, and models that through a vector."""

from dataclasses import replace
from io import BytesIO
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
    ModelLayout,
    count_bytes,
    decode_array,
    encode_array,
    get_config,
    get_plan,
    get_telemetry,
    is_train,
    model_sha256,
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


# Arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        np.array([1 / 3, -0.0, np.inf]),
        np.array([1, -2], ">i4"),
        np.array([True, False]),
        np.array(3, np.int64),
        np.zeros((2, 0, 3), np.float16),
    ],
)
def test_an_array_is_encoded_and_decoded_as_by_flower(values: NDArray[Any]) -> None:
    assert encode_array(values) == Array(values)
    decoded = decode_array(Array(values))
    assert (decoded.dtype, decoded.shape) == (values.dtype, values.shape)
    assert decoded.tobytes() == values.tobytes()


def test_a_decoded_array_shares_the_message_s_bytes_and_cannot_change_them() -> None:
    array = Array(np.zeros(3))
    assert np.shares_memory(decode_array(array), np.frombuffer(array.data, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        decode_array(array)[0] = 1.0


def test_columns_in_a_row_are_decoded_too() -> None:
    values = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert decode_array(Array(values)).tolist() == values.tolist()


def pickled(values: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (Array("float64", (3,), "numpy.ndarray", Array(np.zeros(3)).data[:-8]), "buffer"),
        (Array("float64", (3,), "numpy.ndarray", b"garbage"), "pickle"),
        (Array("object", (1,), "numpy.ndarray", pickled(np.array([None]))), "OBJECT"),
    ],
)
def test_garbled_bytes_are_an_error(array: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_array(array)


def test_a_foreign_serialisation_is_flower_s_error() -> None:
    with pytest.raises(TypeError, match="Unsupported serialization type"):
        decode_array(Array("float64", (1,), "pickle", Array(np.zeros(1)).data))


# Models -----------------------------------------------------------------------------------

MODEL = model(
    weight=np.arange(6, dtype=np.float32).reshape(2, 3) / 8,
    bias=np.array([1 / 3, -2.0]),
    count=np.array([7, -8], np.int64),
    scale=np.array(0.25, np.float32),
    steps=np.array(12, np.int64),
    nothing=np.zeros((0, 4), np.float32),
)


def test_a_model_survives_being_a_vector() -> None:
    layout = ModelLayout.of(MODEL)
    vector = layout.to_vector(MODEL)
    assert vector.dtype == np.float64
    assert len(vector) == layout.num_parameters == 12
    assert vector[:7].tolist() == [0, 0.125, 0.25, 0.375, 0.5, 0.625, 1 / 3]
    again = layout.to_record(vector)
    assert list(again) == list(MODEL)
    assert model_sha256(again) == model_sha256(MODEL)


def test_integers_are_rounded_and_not_cut() -> None:
    layout = ModelLayout.of(model(count=np.zeros(4, np.int64)))
    one = layout.to_vector(model(count=np.ones(4, np.int64)))
    record = layout.to_record(one * [0.6, 1.4, -0.6, 2.0])
    assert record["count"].numpy().tolist() == [1, 1, -1, 2]


def test_counters_do_not_outweigh_the_weights() -> None:
    """A normalisation layer has counted 100 batches that have moved a weight by 0.1."""
    before = model(w=np.zeros(1), num_batches_tracked=np.array(0, np.int64))
    after = model(w=np.array([0.1]), num_batches_tracked=np.array(100, np.int64))
    layout = ModelLayout.of(before)
    delta = layout.to_vector(after) - layout.to_vector(before)
    assert np.linalg.norm(delta) == pytest.approx(0.1, rel=1e-6)
    half = layout.to_record(layout.to_vector(before) + delta / 2)
    assert half["num_batches_tracked"].numpy() == 50


def test_the_vector_follows_the_layout_and_not_the_reply_s_order() -> None:
    a, b = np.array([1.0]), np.array([2.0, 3.0])
    layout = ModelLayout.of(model(a=a, b=b))
    assert layout.to_vector(model(b=b, a=a)).tolist() == [1.0, 2.0, 3.0]


def test_the_vector_is_the_caller_s_own() -> None:
    record = model(a=np.array([1.0, 2.0]))
    ModelLayout.of(record).to_vector(record)[0] = 99.0
    assert record["a"].numpy().tolist() == [1.0, 2.0]


def test_a_model_without_arrays_is_an_empty_vector() -> None:
    layout = ModelLayout.of(ArrayRecord())
    assert (layout.num_parameters, layout.to_vector(ArrayRecord()).shape) == (0, (0,))
    assert len(layout.to_record(np.zeros(0))) == 0


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            model(w=np.zeros((3, 2), np.float32)),
            r"'w' is \(\(3, 2\), 'float32'\), must be \(\(2, 3\), 'float32'\)",
        ),
        (
            model(w=np.zeros((2, 3), np.float64)),
            r"'w' is \(\(2, 3\), 'float64'\), must be \(\(2, 3\), 'float32'\)",
        ),
        (ArrayRecord(), r"'w' is missing, must be \(\(2, 3\), 'float32'\)"),
        (
            model(w=np.zeros((2, 3), np.float32), extra=np.zeros(1)),
            r"'extra' is \(\(1,\), 'float64'\), must be absent",
        ),
    ],
)
def test_a_reply_with_another_layout_is_an_error(reply: ArrayRecord, message: str) -> None:
    layout = ModelLayout.of(model(w=np.zeros((2, 3), np.float32)))
    with pytest.raises(ValueError, match=f"arrays differ from the model's: {message}"):
        layout.to_vector(reply)


def test_the_fingerprint_is_that_of_the_values_and_not_of_their_order() -> None:
    a, b = np.array([1.0, 2.0]), np.array([3.0])
    assert model_sha256(model(a=a, b=b)) == model_sha256(model(b=b, a=a))
    fingerprints = {
        model_sha256(record)
        for record in (
            model(a=a, b=b),
            model(a=b, b=a),
            model(a=a, c=b),
            model(a=a.reshape(2, 1), b=b),
            model(a=a, b=b.view(np.int64)),
            model(a=a, b=np.nextafter(b, 4.0)),
        )
    }
    assert len(fingerprints) == 6


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
    content = RecordDict({"arrays": MODEL})
    on_the_wire = sum(len(array.data) for array in MODEL.values())
    assert count_bytes(content) == on_the_wire >= 6 * 4 + 2 * 8 + 2 * 8 + 4 + 8
    content["metrics"] = MetricRecord({"loss": 0.5, "per-class": [1, 2]})
    assert count_bytes(content) == on_the_wire + (4 + 8) + (9 + 16)


def test_the_simulator_s_own_key_costs_nothing() -> None:
    content = RecordDict({"config": ConfigRecord({"lr": 0.1, SIMULATED_DEVICE: "x" * 1000})})
    assert count_bytes(content) == 2 + 8
    assert count_bytes(RecordDict()) == 0


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

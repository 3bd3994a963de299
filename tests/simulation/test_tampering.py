"""What spoilt replies look like."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from deepedge_flwr.core.types import Telemetry
from deepedge_flwr.records import TELEMETRY, put_telemetry
from deepedge_flwr.simulation.tampering import CORRUPTIONS, tamper

SENT = RecordDict({"arrays": ArrayRecord({"w": Array(np.array([1.0, 2.0], np.float32))})})


def reply() -> RecordDict:
    content = RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.array([1.5, 1.0], np.float32))}),
            "metrics": MetricRecord({"num-examples": 3, "loss": 0.5}),
        }
    )
    put_telemetry(content, Telemetry(num_steps=2, busy_s=0.1))
    return content


def weights(content: RecordDict) -> list[float]:
    array = content.array_records["arrays"]["w"].numpy()
    assert array.dtype == np.float32
    return [float(x) for x in array]


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("nan", 0.0, [np.nan, np.nan]),
        ("inf", 0.0, [np.inf, np.inf]),
        ("huge", 0.0, [5e11, -1e12]),
        ("sign_flip", 0.0, [0.5, 3.0]),
        ("scale", 10.0, [6.0, -8.0]),
    ],
)
def test_a_model_is_moved(kind: str, amount: float, expected: list[float]) -> None:
    content = reply()
    spoilt = tamper(kind, content, SENT, amount)
    assert weights(spoilt) == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert weights(content) == [1.5, 1.0]
    assert spoilt["metrics"] == content["metrics"]


@pytest.mark.parametrize("place", range(len(CORRUPTIONS)), ids=lambda i: CORRUPTIONS[i].__name__)
def test_a_corruption_changes_a_copy(place: int) -> None:
    content, untouched = reply(), reply()
    spoilt = tamper("corrupt", content, SENT, float(place))
    assert content == untouched
    assert spoilt != untouched


def test_corruptions_by_hand() -> None:
    by_name = {c.__name__: tamper("corrupt", reply(), SENT, i) for i, c in enumerate(CORRUPTIONS)}
    assert list(by_name["empty"]) == []
    assert "arrays" not in by_name["without_arrays"]
    assert list(by_name["lacks_an_array"].array_records["arrays"]) == []
    assert by_name["wrong_shape"].array_records["arrays"]["w"].shape == (3,)
    assert by_name["wrong_dtype"].array_records["arrays"]["w"].dtype == "complex128"
    assert by_name["negative_weight"].metric_records["metrics"]["num-examples"] == -1
    assert by_name["huge_weight"].metric_records["metrics"]["num-examples"] == 10**15
    report = by_name["too_many_steps"][TELEMETRY]
    assert isinstance(report, ConfigRecord) and report["num-steps"] == 10**6

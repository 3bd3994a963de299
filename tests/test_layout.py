"""Models survive the way through a vector, and arrays that through Flower's bytes."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from deepedge_flwr.layout import ModelLayout, decode_array, encode_array, model_sha256


def model(**arrays: NDArray[Any]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


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

"""Models between Flower's arrays and the one vector that the algorithms work on."""

import functools
import hashlib
import math
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.common.constant import SType
from numpy.typing import NDArray

from .core.types import Vector

#: Integer arrays count things, such as the batches that a normalisation has seen. They are folded
#: in like weights, but held this small in a vector, where they would outweigh all weights in its
#: length and its angles. A power of two: nothing is rounded.
_INTEGER_SCALE = 2.0**-20


def encode_array(values: NDArray[Any]) -> Array:
    """Return `Array(values)` of values in C order, the same bytes."""
    dtype, header = _npy_format(values.shape, values.dtype)
    return Array(dtype, values.shape, SType.NUMPY, header + values.tobytes())


def decode_array(array: Array) -> NDArray[Any]:
    """Return `array.numpy()`, read-only and without a copy."""
    dtype, header = _npy_format(array.shape, array.dtype)
    if array.stype != SType.NUMPY or not array.data.startswith(header):
        return array.numpy()
    size = math.prod(array.shape)
    return np.frombuffer(array.data, dtype, size, len(header)).reshape(array.shape)


# A model's arrays have the same headers in every message, and numpy parses them slowly.
@functools.lru_cache(maxsize=1024)
def _npy_format(shape: tuple[int, ...], dtype: np.dtype[Any] | str) -> tuple[str, bytes]:
    """Return the dtype's name and what `numpy.save` writes before values in C order."""
    buffer, dtype = BytesIO(), np.dtype(dtype)
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"shape": shape, "fortran_order": False, "descr": descr}
    np.lib.format.write_array_header_1_0(buffer, header)
    return str(dtype), buffer.getvalue()


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """Names, shapes and dtypes of a model's arrays: how a vector becomes a model again.

    Attributes
    ----------
    arrays : tuple of (name, shape, dtype)
        In the order of the ArrayRecord they were read from.
    """

    arrays: tuple[tuple[str, tuple[int, ...], str], ...]

    @classmethod
    def of(cls, record: ArrayRecord) -> "ModelLayout":
        """Read the layout of a model."""
        return cls(tuple((name, tuple(a.shape), a.dtype) for name, a in record.items()))

    @property
    def num_parameters(self) -> int:
        """Length of the model's vector."""
        return sum(math.prod(shape) for _, shape, _ in self.arrays)

    def to_vector(self, record: ArrayRecord) -> Vector:
        """Return a model as one float64 vector.

        Raises
        ------
        ValueError
            If a name, shape or dtype differs from this layout.
        """
        got = {name: (tuple(a.shape), a.dtype) for name, a in record.items()}
        wanted = {name: (shape, dtype) for name, shape, dtype in self.arrays}
        if got != wanted:
            names = sorted(n for n in got.keys() | wanted.keys() if got.get(n) != wanted.get(n))
            raise ValueError(
                f"arrays differ from the model's: {names[0]!r} is {got.get(names[0], 'missing')}, "
                f"must be {wanted.get(names[0], 'absent')}"
            )
        parts = [_scaled(decode_array(record[name]).ravel()) for name in wanted]
        return np.concatenate(parts, dtype=np.float64) if parts else np.zeros(0)

    def to_record(self, vector: Vector) -> ArrayRecord:
        """Return the model that a vector stands for; integer arrays are rounded."""
        record, start = ArrayRecord(), 0
        for name, shape, dtype in self.arrays:
            stop = start + math.prod(shape)
            values = vector[start:stop].reshape(shape)
            if np.issubdtype(np.dtype(dtype), np.integer):
                values = np.rint(values / _INTEGER_SCALE)
            record[name] = encode_array(values.astype(dtype))
            start = stop
        return record


def _scaled(values: NDArray[Any]) -> NDArray[Any]:
    return values * _INTEGER_SCALE if np.issubdtype(values.dtype, np.integer) else values


def model_sha256(record: ArrayRecord) -> str:
    """Fingerprint of a model: names, dtypes, shapes and bytes of its arrays, in name order."""
    digest = hashlib.sha256()
    for name in sorted(record):
        array = np.ascontiguousarray(decode_array(record[name]))
        digest.update(f"{name}|{array.dtype}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

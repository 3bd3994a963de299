"""Contents of messages without the values of their models: small, and of the same size again."""

import functools
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from ..layout import encode_array
from ..records import records_from_bytes, records_to_bytes

#: (name, records as bytes or the layout of a model) for every record.
Outline = list[tuple[str, bytes | list[tuple[Any, ...]]]]


def outline(content: RecordDict) -> Outline:
    """Return the structure and the sizes of a content; the values of its models are left out."""
    return [
        (name, _layout(r) if isinstance(r, ArrayRecord) else records_to_bytes(RecordDict({"": r})))
        for name, r in content.items()
    ]


def filled(content: Outline) -> RecordDict:
    """Return a content of an outline, with zeros for the values of its models."""
    return RecordDict(
        {
            name: records_from_bytes(part)[""] if isinstance(part, bytes) else _zeros(tuple(part))
            for name, part in content
        }
    )


def _layout(record: ArrayRecord) -> list[tuple[Any, ...]]:
    return [(n, a.dtype, tuple(a.shape), a.stype, len(a.data)) for n, a in record.items()]


@functools.lru_cache(maxsize=64)
def _zeros(layout: tuple[tuple[Any, ...], ...]) -> ArrayRecord:
    zeros = ArrayRecord()
    for name, dtype, shape, stype, num_bytes in layout:
        try:
            zeros[name] = encode_array(np.zeros(shape, dtype))
        except (TypeError, ValueError):  # what a client sends need not be an array
            zeros[name] = Array(dtype, shape, stype, bytes(num_bytes))
        if len(zeros[name].data) != num_bytes:
            zeros[name] = Array(dtype, shape, stype, bytes(num_bytes))
    return zeros

"""Replies that a broken or hostile device would send instead of its good one."""

from collections.abc import Callable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from ..layout import decode_array, encode_array
from ..records import TELEMETRY, records_of

Values = NDArray[np.float64]
Corruption = Callable[[RecordDict], None]

_MOVES: dict[str, Callable[[Values, Values, float], Values]] = {
    "nan": lambda base, delta, _: np.full_like(base, np.nan),
    "inf": lambda base, delta, _: np.full_like(base, np.inf),
    "huge": lambda base, delta, _: base + 1e12 * delta,
    "sign_flip": lambda base, delta, _: base - delta,
    "scale": lambda base, delta, amount: base + amount * delta,
}
CONTENT_KINDS = (*_MOVES, "corrupt")


def tamper(kind: str, content: RecordDict, sent: RecordDict, amount: float) -> RecordDict:
    """Return the content of a reply as a fault of some kind leaves it; the original stays.

    Parameters
    ----------
    kind : str
        `nan`, `inf`: all values of the model are. `huge`, `sign_flip`, `scale`: the update is 1e12,
        -1 or `amount` times what it was. `corrupt`: see `CORRUPTIONS`.
    content : RecordDict
        The good reply.
    sent : RecordDict
        The message that it answers: the update is measured against its model.
    amount : float
        Factor of `scale`, place of the corruption in `CORRUPTIONS`.
    """
    twin = RecordDict({name: record.copy() for name, record in content.items()})
    if kind == "corrupt":
        CORRUPTIONS[int(amount)](twin)
        return twin
    for record, base in zip(records_of(twin, ArrayRecord), records_of(sent, ArrayRecord),
                            strict=False):  # fmt: skip
        for name in [n for n in record if n in base]:
            start = decode_array(base[name]).astype(np.float64)
            with np.errstate(all="ignore"):
                delta = decode_array(record[name]).astype(np.float64) - start
                moved = _MOVES[kind](start, delta, amount).astype(record[name].dtype)
            record[name] = encode_array(moved)
    return twin


def without_arrays(content: RecordDict) -> None:
    """No model at all."""
    for name in [n for n, record in content.items() if isinstance(record, ArrayRecord)]:
        del content[name]


def lacks_an_array(content: RecordDict) -> None:
    """A model without its first array."""
    for record in records_of(content, ArrayRecord):
        del record[next(iter(record))]


def wrong_shape(content: RecordDict) -> None:
    """A model whose arrays have one value too many."""
    _replace_arrays(content, lambda a: encode_array(np.append(decode_array(a).ravel(), 0)))


def wrong_dtype(content: RecordDict) -> None:
    """A model of complex numbers."""
    _replace_arrays(content, lambda a: encode_array(decode_array(a).astype(np.complex128)))


def truncated(content: RecordDict) -> None:
    """A model of which half of the bytes are missing."""
    _replace_arrays(content, lambda a: Array(a.dtype, a.shape, a.stype, a.data[: len(a.data) // 2]))


def without_metrics(content: RecordDict) -> None:
    """No number of examples, no metrics."""
    for name in [n for n, record in content.items() if isinstance(record, MetricRecord)]:
        del content[name]


def negative_weight(content: RecordDict) -> None:
    """A negative number of examples, as all other metrics."""
    for record in records_of(content, MetricRecord):
        for name in record:
            record[name] = -1


def huge_weight(content: RecordDict) -> None:
    """A device that claims to have very many examples."""
    for record in records_of(content, MetricRecord):
        for name in record:
            record[name] = 10**15


def wrong_telemetry(content: RecordDict) -> None:
    """A report of texts where numbers should be."""
    _replace_telemetry(content, "nonsense")


def too_many_steps(content: RecordDict) -> None:
    """A report of more local steps than anybody planned."""
    _replace_telemetry(content, 10**6)


def empty(content: RecordDict) -> None:
    """Nothing."""
    content.clear()


#: What `corrupt` can do, by its `value`.
CORRUPTIONS: tuple[Corruption, ...] = (
    without_arrays,
    lacks_an_array,
    wrong_shape,
    wrong_dtype,
    truncated,
    without_metrics,
    negative_weight,
    huge_weight,
    wrong_telemetry,
    too_many_steps,
    empty,
)


def _replace_arrays(content: RecordDict, change: Callable[[Array], Array]) -> None:
    for record in records_of(content, ArrayRecord):
        for name, array in list(record.items()):
            record[name] = change(array)


def _replace_telemetry(content: RecordDict, value: int | str) -> None:
    report = content.get(TELEMETRY)
    if isinstance(report, ConfigRecord):
        for name in list(report):
            report[name] = value

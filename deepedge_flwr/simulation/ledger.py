"""What happened in a simulated run, row by row."""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One event; None where a column does not apply.

    Attributes
    ----------
    time_s : float
        Virtual time (of the start, for intervals).
    kind : str
        `dispatch`, `compute`, `pause`, `reply` (to a training message), `answer` (to another
        one), `error`, `late` (a reply nobody waited for), `lost` (when the server noticed that
        the node had gone with a message), `unfinished` (a job that the end of the run cut off),
        `idle` (the service's requests outside training), `absent` (the node was off the network),
        `upload` (raw data that a node gave away), or `evaluate`. A `dispatch` ends in exactly one
        of `reply`, `answer`, `error`, `late`, `lost` and `unfinished`. Of a fault plan: `fault`
        and its kind, `fault-crash` for instance, when it strikes. Of the server: `server-` and
        what it has noticed.
    node_id : int | None
        The node.
    message_id : str | None
        The message.
    version : int | None
        The model version involved.
    bytes_down, bytes_up : int | None
        Payload sent to the node, whether it was there or not, and sent by it.
    staleness : int | None
        Versions published since the model of this reply was sent.
    num_requests, num_violations : int | None
        Requests of the co-located service, and those over its budget.
    value : float | None
        Local steps of a reply, seconds of an interval, accuracy of an evaluation.
    """

    time_s: float
    kind: str
    node_id: int | None = None
    message_id: str | None = None
    version: int | None = None
    bytes_down: int | None = None
    bytes_up: int | None = None
    staleness: int | None = None
    num_requests: int | None = None
    num_violations: int | None = None
    value: float | None = None


COLUMNS = tuple(field.name for field in fields(LedgerRow))
_SUMMED = {"bytes_down", "bytes_up", "num_requests", "num_violations", "value"}


class RunLedger:
    """All rows of one run, and the totals that are read off them."""

    def __init__(self) -> None:
        self._rows: list[LedgerRow] = []
        self._totals: dict[tuple[str, str], float] = defaultdict(float)

    def add(self, time_s: float, kind: str, **columns: Any) -> None:
        """Append a row; see `LedgerRow` for the columns."""
        self._rows.append(LedgerRow(time_s=time_s, kind=kind, **columns))
        for column in _SUMMED & columns.keys():
            self._totals[kind, column] += columns[column] or 0

    @property
    def rows(self) -> list[LedgerRow]:
        """Rows by time; rows of the same instant in the order in which they were added."""
        return sorted(self._rows, key=lambda row: row.time_s)

    def of(self, *kinds: str) -> list[LedgerRow]:
        """Return the rows of some kinds, by time."""
        return [row for row in self.rows if row.kind in kinds]

    def count(self, kind: str) -> int:
        """Return the number of rows of a kind, without sorting them."""
        return sum(row.kind == kind for row in self._rows)

    def total(self, column: str, *kinds: str) -> float:
        """Sum a column of counts or of `value` over the rows of some kinds, or over all rows."""
        if column not in _SUMMED:
            raise ValueError(f"column must be one of {sorted(_SUMMED)}, got {column!r}")
        chosen = kinds or sorted({kind for kind, _ in self._totals})
        return sum(self._totals[kind, column] for kind in chosen)

    def wasted_bytes(self, discarded: Collection[str] = ()) -> int:
        """Bytes both ways of messages that moved no model.

        They ended in an error, got lost, were answered when nobody waited any more, or are among
        the replies that the strategy says it has `discarded`, given by message id.
        """
        ids = {row.message_id for row in self.of("error", "late", "lost")}.union(discarded)
        rows = [row for row in self._rows if row.message_id in ids]
        return sum((row.bytes_down or 0) + (row.bytes_up or 0) for row in rows)

    def bytes_until(self, time_s: float) -> int:
        """Bytes both ways that were sent or received by `time_s`."""
        rows = [row for row in self._rows if row.time_s <= time_s]
        return sum((row.bytes_down or 0) + (row.bytes_up or 0) for row in rows)

    def mean_staleness(self) -> float:
        """Mean staleness of the replies; 0 without any."""
        replies = self.of("reply")
        return sum(row.staleness or 0 for row in replies) / len(replies) if replies else 0.0

    def sha256(self) -> str:
        """Fingerprint of all rows, exact to the last bit of every time."""
        digest = hashlib.sha256()
        for row in self.rows:
            values = {column: getattr(row, column) for column in COLUMNS}
            digest.update(repr(values).encode())
        return digest.hexdigest()

    def write_csv(self, path: Path | str, *kinds: str) -> None:
        """Write the rows of some kinds, or all rows: floats exact, empty cells for None."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(_cells(self.of(*kinds) if kinds else self.rows))


def _cells(rows: Iterable[LedgerRow]) -> Iterable[list[Any]]:
    return ([getattr(row, column) for column in COLUMNS] for row in rows)

"""Read ledger.csv: the events of one run on the virtual clock."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

COLUMNS = (
    *("time_s", "kind", "node_id", "message_id", "version", "bytes_down", "bytes_up"),
    *("staleness", "num_requests", "num_violations", "value"),
)
KINDS = {
    *("dispatch", "compute", "pause", "reply", "answer", "error", "late", "unfinished", "idle"),
    *("lost", "absent", "evaluate", "upload"),
}

Array = NDArray[np.float64]


class ReportError(ValueError):
    """Input which the report cannot use; the message fits one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the figures need of a ledger, every array in order of time.

    Attributes
    ----------
    evaluations
        Rows of (time in s, accuracy in [0, 1]).
    traffic
        Rows of (time in s, bytes sent in either direction).
    compute, pause
        Rows of (start in s, duration in s, index of the node in ``node_ids``).
    node_ids
        Every node with an event, ascending.
    """

    evaluations: Array
    traffic: Array
    compute: Array
    pause: Array
    node_ids: tuple[int, ...]


def read_ledger(path: Path) -> Ledger:
    """Return the events in the CSV file ``path``.

    Raises
    ------
    ReportError
        If a column is missing, a cell is no number, a kind of event is unknown, or no event is
        an evaluation.
    """
    evaluations: list[tuple[float, ...]] = []
    traffic: list[tuple[float, ...]] = []
    spans: dict[str, list[tuple[float, float, int]]] = {"compute": [], "pause": []}
    ids: set[int] = set()
    for row in _rows(path):
        time_s = row.number("time_s")
        num_bytes = row.number("bytes_down", 0.0) + row.number("bytes_up", 0.0)
        if num_bytes:
            traffic.append((time_s, num_bytes))
        if row.kind == "evaluate":
            evaluations.append((time_s, row.number("value")))
            continue
        ids.add(row.node_id())
        if row.kind in spans:
            spans[row.kind].append((time_s, row.number("value"), row.node_id()))
    if not evaluations:
        raise ReportError(f"{path}: no 'evaluate' row, so no accuracy to report")
    node_ids = tuple(sorted(ids))
    place = {node_id: index for index, node_id in enumerate(node_ids)}
    compute, pause = ([(s, d, place[n]) for s, d, n in spans[k]] for k in ("compute", "pause"))
    return Ledger(
        evaluations=_by_time(evaluations, 2),
        traffic=_by_time(traffic, 2),
        compute=_by_time(compute, 3),
        pause=_by_time(pause, 3),
        node_ids=node_ids,
    )


def read_evaluations(path: Path) -> tuple[list[float], list[float]]:
    """Return the times in s and the accuracies of the evaluations in ``path``, and nothing else.

    Raises
    ------
    ReportError
        If the file cannot be read, or no event is an evaluation.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["kind"] == "evaluate"]
        times_s, accuracies = ([float(row[key]) for row in rows] for key in ("time_s", "value"))
    except (OSError, csv.Error, ValueError, KeyError) as error:
        raise ReportError(f"{path}: not the ledger of a run ({error!r})") from None
    if not rows:
        raise ReportError(f"{path}: no 'evaluate' row, so no accuracy to report")
    return times_s, accuracies


class _Row:
    """One line of the file, which knows where it stands for the error messages."""

    __slots__ = ("cells", "kind", "place")

    def __init__(self, cells: dict[str, str], place: str) -> None:
        self.cells = cells
        self.place = place
        self.kind = cells["kind"]
        if self.kind not in KINDS and not self.kind.startswith(("fault-", "server-")):
            known = ", ".join(sorted(KINDS))
            raise ReportError(f"{place}: kind {self.kind!r} is not supported, known are {known}")

    def number(self, column: str, default: float | None = None) -> float:
        """Return the finite number in ``column``; ``default`` where the cell is empty."""
        text = self.cells[column]
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ReportError(f"{self.place}: {column} must be a finite number, got {text!r}")
        return value

    def node_id(self) -> int:
        """Return the id of the node, exactly: it may need all of 64 bits."""
        try:
            return int(self.cells["node_id"])
        except ValueError:
            text = self.cells["node_id"]
            raise ReportError(f"{self.place}: node_id must be an integer, got {text!r}") from None


def _rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [column for column in COLUMNS if column not in header]
            if missing:
                raise ReportError(f"{path}: missing column(s) {', '.join(missing)}")
            for cells in reader:
                place = f"{path}, line {reader.line_num}"
                if len(cells) != len(header):
                    raise ReportError(f"{place}: {len(cells)} cells, the header has {len(header)}")
                yield _Row(dict(zip(header, cells, strict=True)), place)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: not a CSV text file ({error})") from None


def _by_time(rows: list[tuple[float, ...]] | list[tuple[float, float, int]], width: int) -> Array:
    array = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    return array[np.argsort(array[:, 0], kind="stable")]

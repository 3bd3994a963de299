"""The ledger: rows by time, totals, waste, and a fingerprint of every bit."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from deepedge_flwr.simulation import LedgerRow, RunLedger
from deepedge_flwr.simulation.ledger import COLUMNS


def example() -> RunLedger:
    ledger = RunLedger()
    ledger.add(3.0, "reply", node_id=2, message_id="b", bytes_up=7, staleness=1, value=5.0)
    ledger.add(0.0, "dispatch", node_id=1, message_id="a", bytes_down=10)
    ledger.add(0.0, "dispatch", node_id=2, message_id="b", bytes_down=20)
    ledger.add(0.0, "dispatch", node_id=3, message_id="c", bytes_down=40)
    ledger.add(2.0, "error", node_id=1, message_id="a", bytes_up=0)
    ledger.add(4.0, "late", node_id=3, message_id="c", bytes_up=80, staleness=9)
    ledger.add(3.0, "idle", node_id=2, num_requests=6, num_violations=2)
    return ledger


def test_rows_are_by_time_and_then_in_the_order_of_addition() -> None:
    rows = [(row.time_s, row.kind, row.node_id) for row in example().rows]
    assert rows == [
        (0.0, "dispatch", 1),
        (0.0, "dispatch", 2),
        (0.0, "dispatch", 3),
        (2.0, "error", 1),
        (3.0, "reply", 2),
        (3.0, "idle", 2),
        (4.0, "late", 3),
    ]


def test_rows_of_some_kinds() -> None:
    ledger = example()
    assert [row.kind for row in ledger.of("late", "error")] == ["error", "late"]
    assert (ledger.count("dispatch"), ledger.count("pause")) == (3, 0)


def test_totals_skip_empty_cells() -> None:
    ledger = example()
    assert ledger.total("bytes_down") == 70
    assert ledger.total("bytes_up", "reply") == 7
    assert ledger.total("num_requests", "idle", "reply") == 6


def test_waste_is_both_ways_of_errors_and_late_replies() -> None:
    assert example().wasted_bytes() == (10 + 0) + (40 + 80)


def test_waste_is_also_what_the_strategy_has_discarded_once() -> None:
    assert example().wasted_bytes({"b", "c"}) == (10 + 0) + (40 + 80) + (20 + 7)


@pytest.mark.parametrize(("time_s", "expected"), [(0.0, 70), (2.9, 70), (3.0, 77), (9.0, 157)])
def test_bytes_until_an_instant(time_s: float, expected: int) -> None:
    assert example().bytes_until(time_s) == expected


def test_mean_staleness_is_of_replies_alone() -> None:
    ledger = example()
    assert ledger.mean_staleness() == 1.0
    ledger.add(5.0, "reply", staleness=4)
    assert ledger.mean_staleness() == 2.5
    assert RunLedger().mean_staleness() == 0.0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("time_s", math.nextafter(1.0, 2.0)),
        ("kind", "late"),
        ("node_id", 4),
        ("message_id", "other"),
        ("version", 8),
        ("bytes_down", 1),
        ("bytes_up", None),
        ("staleness", 0),
        ("num_requests", 11),
        ("num_violations", 1),
        ("value", math.nextafter(0.5, 1.0)),
    ],
)
def test_any_bit_changes_the_fingerprint(column: str, value: object) -> None:
    columns: dict[str, Any] = {
        "time_s": 1.0, "kind": "reply", "node_id": 3, "message_id": "m", "version": 7,
        "bytes_down": 0, "bytes_up": 5, "staleness": 2, "num_requests": 10, "num_violations": 0,
        "value": 0.5,
    }  # fmt: skip
    one, same, other = RunLedger(), RunLedger(), RunLedger()
    one.add(**columns)
    same.add(**columns)
    other.add(**columns | {column: value})
    assert one.sha256() == same.sha256()
    assert one.sha256() != other.sha256()


def test_the_fingerprint_is_a_sha256_of_all_rows() -> None:
    ledger = example()
    before = ledger.sha256()
    assert len(before) == 64
    ledger.add(9.0, "idle")
    assert ledger.sha256() != before


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        RunLedger().add(0.0, "reply", colour="red")


def test_csv_has_exact_floats_and_empty_cells(tmp_path: Path) -> None:
    ledger = RunLedger()
    ledger.add(1 / 3, "evaluate", version=2, value=0.1 + 0.2)
    ledger.write_csv(tmp_path / "ledger.csv")
    with (tmp_path / "ledger.csv").open(newline="") as file:
        header, row = csv.reader(file)
    assert tuple(header) == COLUMNS == tuple(LedgerRow.__dataclass_fields__)
    cells = dict(zip(header, row, strict=True))
    assert float(cells["time_s"]) == 1 / 3
    assert float(cells["value"]) == 0.1 + 0.2
    assert (cells["kind"], cells["version"], cells["node_id"]) == ("evaluate", "2", "")


def test_csv_of_some_kinds(tmp_path: Path) -> None:
    example().write_csv(tmp_path / "ledger.csv", "late", "error")
    with (tmp_path / "ledger.csv").open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["error", "late"]

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepedge_flwr.simulation.ledger import COLUMNS as WRITTEN_COLUMNS
from simulations.report import ReportError, find_runs, read_run
from simulations.report.ledger import COLUMNS

HEADER = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("ledger", "message"),
    [
        ("", r"ledger\.csv: missing column\(s\) time_s, kind"),
        (HEADER.replace(",staleness", ""), r"missing column\(s\) staleness$"),
        (HEADER, "no 'evaluate' row"),
        (
            f"{HEADER}\n0,sleep,1,,,,,,,,",
            r"line 2: kind 'sleep' is not supported, known are absent, answer, compute",
        ),
        (f"{HEADER}\nx,evaluate,,,,,,,,,1", "line 2: time_s must be a finite number, got 'x'"),
        (f"{HEADER}\n0,evaluate,,,,,,,,,", "line 2: value must be a finite number, got ''"),
        (f"{HEADER}\n0,compute,n1,,,,,,,,1", "line 2: node_id must be an integer, got 'n1'"),
        (f"{HEADER}\n0,evaluate", "line 2: 2 cells, the header has 11"),
    ],
)
def test_a_malformed_ledger_is_named(
    tmp_path: Path, write_run: Callable[..., Path], ledger: str, message: str
) -> None:
    with pytest.raises(ReportError, match=message):
        read_run(write_run(tmp_path / "a", ledger=ledger))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 3}, "label must be a string, got 3"),
        ({"seed": 1.5}, "seed must be an integer, got 1.5"),
        ({"horizon_s": None}, "horizon_s must be a finite number, got None"),
        ({"horizon_s": float("nan")}, "horizon_s must be a finite number, got nan"),
        ({"bytes_up": -1}, "bytes_up must be >= 0, got -1"),
        ({"final_accuracy": 95.0}, r"final_accuracy must be a fraction in \[0, 1\], got 95\.0"),
    ],
)
def test_a_wrong_figure_is_named(
    tmp_path: Path, write_run: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReportError, match=rf"summary\.json: {message}"):
        read_run(write_run(tmp_path / "a", **changes))


def test_a_run_named_twice_counts_once(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = write_run(tmp_path / "deep" / "a")
    assert find_runs([tmp_path, run]) == [run]


def test_the_columns_are_those_a_run_writes() -> None:
    assert COLUMNS == WRITTEN_COLUMNS

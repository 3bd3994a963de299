"""What a run has written."""

import json
from pathlib import Path

import pytest

from simulations.deployment.metrics import (
    read_rows,
    updates_per_minute,
    wait_for_row,
    wait_for_version,
)


def test_a_file_that_is_not_there_yet_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "none.jsonl") == []


def test_waiting_for_a_version(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"kind": "version", "time_s": 1.0, "version": 3}) + "\n")
    wait_for_version(path, 3, 0.0)
    with pytest.raises(TimeoutError, match="no version 4"):
        wait_for_version(path, 4, 0.0)


def test_waiting_for_a_row_that_has_no_version(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"kind": "event", "time_s": 1.0, "event": "failed"}) + "\n")
    wait_for_row(path, "event", 0.0)
    with pytest.raises(TimeoutError, match="no update in"):
        wait_for_row(path, "update", 0.0)


def test_updates_per_minute_are_counted_from_the_first_new_model() -> None:
    rows = [
        {"kind": "evaluation", "time_s": t, "version": v} for t, v in ((0, 0), (50, 1), (110, 3))
    ]
    assert updates_per_minute([*rows, {"kind": "event", "time_s": 999}], 4) == 4.0

"""What a run has written into its metrics file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepedge_flwr.core.clock import WallClock


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows, one per line; none of a file that is not there yet."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def wait_for_version(path: Path, version: int, timeout_s: float) -> None:
    """Wait until a version was published.

    Raises
    ------
    TimeoutError
        If it takes longer.
    """
    wait_for_row(path, "version", timeout_s, version=version)


def wait_for_row(path: Path, kind: str, timeout_s: float, *, version: int = 0) -> None:
    """Wait until a row of a kind was written, of a version or a later one if it has one.

    Raises
    ------
    TimeoutError
        If it takes longer.
    """
    clock = WallClock()
    until_s = clock.now_s() + timeout_s
    while not any(
        row["kind"] == kind and row.get("version", version) >= version for row in read_rows(path)
    ):
        if clock.now_s() > until_s:
            wanted = f"{kind} {version}" if version else kind
            raise TimeoutError(f"no {wanted} in {path} after {timeout_s:.0f} s")
        clock.sleep(0.2)


def updates_per_minute(rows: Sequence[Mapping[str, Any]], per_version: int) -> float:
    """Return the updates per minute from the first new model to the last."""
    times_s = [row["time_s"] for row in rows if row["kind"] == "evaluation" and row["version"] > 0]
    return float(60 * per_version * (len(times_s) - 1) / (times_s[-1] - times_s[0]))

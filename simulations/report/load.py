"""Find run directories and read their summary.json and ledger.csv."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from simulations.report.ledger import Ledger, ReportError, read_ledger
from simulations.summary import Summary

__all__ = ["ReportError", "Run", "Summary", "find_runs", "read_run"]

FRACTIONS = (
    "target_accuracy",
    "final_accuracy",
    "best_accuracy",
    "violation_rate",
    "utilisation",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One simulated run: where it lies, its key figures and its events."""

    path: Path
    summary: Summary
    ledger: Ledger


def find_runs(dirs: Iterable[Path]) -> list[Path]:
    """Return every folder at or below ``dirs`` with a summary.json and a ledger.csv, each once.

    Raises
    ------
    ReportError
        If one of ``dirs`` is not a directory, or has no run below it.
    """
    found: dict[Path, Path] = {}
    for folder in dirs:
        if not folder.is_dir():
            raise ReportError(f"{folder}: no such directory")
        parents = sorted(path.parent for path in folder.rglob("summary.json"))
        runs = [path for path in parents if (path / "ledger.csv").is_file()]
        if not runs:
            raise ReportError(
                f"{folder}: no run below it; a run directory holds a summary.json "
                "and a ledger.csv, run a simulation first"
            )
        for path in runs:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def read_run(path: Path) -> Run:
    """Return the run in directory ``path``.

    Raises
    ------
    ReportError
        If summary.json or ledger.csv is malformed; the message names file, place and rule.
    """
    summary = read_summary(path / "summary.json")
    return Run(path=path, summary=summary, ledger=read_ledger(path / "ledger.csv"))


def read_summary(path: Path) -> Summary:
    """Return the key figures in the JSON file ``path``, every one checked for its type."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReportError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise ReportError(f"{path}: must hold one JSON object, got {type(content).__name__}")
    missing = [field.name for field in fields(Summary) if field.name not in content]
    if missing:
        raise ReportError(f"{path}: missing key(s) {', '.join(missing)}")
    hints = get_type_hints(Summary)
    return Summary(**{key: _checked(path, key, content[key], hints[key]) for key in hints})


def _checked(path: Path, key: str, value: Any, expected: Any) -> Any:
    """Return ``value``, or raise the error that says what the key ``key`` must hold."""
    kinds = get_args(expected) or (expected,)
    if value is None and type(None) in kinds:
        return None
    if str in kinds:
        if not isinstance(value, str):
            raise ReportError(f"{path}: {key} must be a string, got {value!r}")
        return value
    wanted = (int,) if int in kinds else (int, float)
    noun = "an integer" if int in kinds else "a finite number"
    if isinstance(value, bool) or not isinstance(value, wanted) or not math.isfinite(value):
        raise ReportError(f"{path}: {key} must be {noun}, got {value!r}")
    if key != "seed" and value < 0:
        raise ReportError(f"{path}: {key} must be >= 0, got {value!r}")
    if key in FRACTIONS and value > 1:
        raise ReportError(f"{path}: {key} must be a fraction in [0, 1], got {value!r}")
    return value

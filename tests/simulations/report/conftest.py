"""Tiny run directories, written by hand."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulations.report import Scenario, find_runs, group_runs, read_run

HEADER = (
    "time_s,kind,node_id,message_id,version,bytes_down,bytes_up,staleness,"
    "num_requests,num_violations,value"
)
EVENTS = """
0,evaluate,,,0,,,,,,0.1
0,dispatch,1,a,0,1000000,,,,,
0,dispatch,2,b,0,1000000,,,,,
1,compute,1,a,,,,,,,10
1,compute,2,b,,,,,,,20
5,pause,2,b,,,,,,,2
12,reply,1,a,0,,500000,0,10,1,5
50,evaluate,,,1,,,,,,0.95
60,unfinished,2,b,,,,,,,
"""


def _write_run(path: Path, ledger: str = HEADER + EVENTS, **changes: Any) -> Path:
    """Write a run directory: one DeepEdge seed, or what the keyword arguments change."""
    summary = {
        "strategy": "deepedge",
        "label": "DeepEdge",
        "task": "digits",
        "fleet": "mixed",
        "service": "camera",
        "engine": "virtual",
        "seed": 0,
        "target_accuracy": 0.9,
        "time_to_target_s": 100.0,
        "bytes_to_target": 1_000_000,
        "final_accuracy": 0.95,
        "best_accuracy": 0.95,
        "num_versions": 1,
        "num_updates": 1,
        "bytes_up": 500_000,
        "bytes_down": 2_000_000,
        "bytes_wasted": 250_000,
        "num_requests": 100,
        "num_violations": 1,
        "violation_rate": 0.01,
        "mean_staleness": 0.5,
        "utilisation": 0.25,
        "horizon_s": 1000.0,
        "num_nodes": 2,
        "latency_budget_s": 0.05,
        "model_sha256": "0123456789abcdef",
        "event_log_sha256": hashlib.sha256(str(path).encode()).hexdigest(),
    }
    path.mkdir(parents=True)
    (path / "summary.json").write_text(json.dumps(summary | changes), encoding="utf-8")
    (path / "ledger.csv").write_text(ledger, encoding="utf-8")
    return path


def _write_scenario(folder: Path, *runs: dict[str, Any]) -> Scenario:
    """Write one run directory per argument and return the one scenario they make up."""
    for index, changes in enumerate(runs):
        _write_run(folder / str(index), **changes)
    (scenario,) = group_runs([read_run(path) for path in find_runs([folder])])
    return scenario


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    return _write_run


@pytest.fixture(scope="session")
def write_scenario() -> Callable[..., Scenario]:
    return _write_scenario

"""A folder is found again by what was run, and only if the run is complete."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from simulations.configuration import compose_config
from simulations.suite.folders import finished, run_folder, source_hash
from simulations.suite.plan import PlannedRun
from simulations.summary import Summary
from simulations.sweep import Cost, Outcome

RUN = PlannedRun(
    stage="reported", task="digits", fleet="x16", arm="ours", seed=3, overrides=("seed=3",)
)


def folder_of(*overrides: str, source: str = "abc") -> str:
    return run_folder(RUN, compose_config(overrides), source)


def test_a_name_is_readable_and_exact() -> None:
    name = folder_of("seed=3")
    stem, config, source = name.split("-")
    assert (stem, len(config), source) == ("digits_x16_ours_seed3", 12, "abc")
    assert name == folder_of("seed=3")
    # How a value came about does not matter, what it is does.
    assert name == folder_of("strategy=deepedge", "fleet=x16", "seed=3")
    others = ["seed=4", "horizon_s=301", "strategy.build.smoothing=0.4", "strategy=fedbuff"]
    assert len({name, *(folder_of("seed=3", other) for other in others)}) == 5
    assert name != folder_of("seed=3", source="abd")


def test_code_that_a_run_executes_counts_and_other_code_does_not(tmp_path: Path) -> None:
    def written(**files: str) -> str:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in {"deepedge_flwr/a": "1", "simulations/run": "2", **files}.items():
            path = root / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return source_hash(root)

    first = written()
    assert len(first) == 12
    assert written() == first
    assert written(**{"deepedge_flwr/a": "3"}) != first
    assert written(**{"deepedge_flwr/core/b": ""}) != first
    assert written(**{"simulations/tasks/b": ""}) != first
    assert written(**{"simulations/suite/b": ""}) == first
    assert written(**{"simulations/report/b": ""}) == first


@pytest.fixture
def run_at(tmp_path: Path, summary: Callable[..., Summary]) -> Path:
    """A complete run."""
    folder = tmp_path / "ours-abc-def"
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(asdict(summary(0, 5.0))))
    (folder / "cost.json").write_text('{"wall_s": 2.0, "cpu_s": 1.0}')
    return folder


def test_a_complete_run_is_found(run_at: Path) -> None:
    outcome = finished(run_at)
    assert outcome is not None
    assert outcome.cost == Cost(wall_s=2.0, cpu_s=1.0)
    assert outcome.summary is not None
    assert outcome.summary.time_to_target_s == 5.0


@pytest.mark.parametrize("name", ["summary.json", "cost.json"])
def test_a_half_written_run_is_not(run_at: Path, name: str) -> None:
    text = (run_at / name).read_text()
    (run_at / name).write_text(text[: len(text) // 2])
    assert finished(run_at) is None
    (run_at / name).unlink()
    assert finished(run_at) is None


def test_a_run_of_other_code_counts_only_if_asked_for(run_at: Path) -> None:
    other = run_at.with_name("ours-abc-123")
    assert finished(other) is None
    outcome = finished(other, "config")
    assert isinstance(outcome, Outcome)
    assert outcome.folder == run_at
    assert finished(run_at.with_name("ours-abd-def"), "config") is None


def test_runs_of_one_name_differ_by_their_configuration() -> None:
    again = replace(RUN, overrides=("seed=3", "horizon_s=10"))
    assert run_folder(again, compose_config(again.overrides), "abc") != folder_of("seed=3")

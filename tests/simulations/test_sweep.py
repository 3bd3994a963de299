"""Runs are taken one by one, their cost is kept beside the summary, and errors are theirs alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.sweep import Overrides, by_seed, run_sweep, simulate

TINY = ("num_nodes=2", "horizon_s=5", "num_evaluations=5")


def test_the_next_run_is_made_after_the_outcome_before(tmp_path: Path) -> None:
    made: list[int] = []

    def runs() -> Iterator[tuple[Path, Overrides]]:
        for seed in range(3):
            made.append(seed)
            yield tmp_path / str(seed), (*TINY, f"seed={seed}")

    for count, outcome in enumerate(simulate(runs(), num_processes=1), start=1):
        assert len(made) == count
        assert outcome.summary is not None
        assert outcome.cost is not None
        cost = json.loads((outcome.folder / "cost.json").read_text())
        assert cost == {"wall_s": outcome.cost.wall_s, "cpu_s": outcome.cost.cpu_s}


def test_a_run_that_raises_ends_alone(tmp_path: Path) -> None:
    runs = [(tmp_path / "a", (*TINY, "seed=-1")), (tmp_path / "b", TINY)]
    bad, good = simulate(runs, num_processes=1)
    assert bad.error == "ValueError: seed must be an integer >= 0, got -1"
    assert bad.summary is None
    assert good.summary is not None


def test_folders_are_called_by_arm_and_seed(tmp_path: Path) -> None:
    runs = by_seed({"a": ("gate=true",)}, [1, 2], tmp_path, TINY)
    assert runs == {
        tmp_path / "a" / "seed1": ("gate=true", *TINY, "seed=1"),
        tmp_path / "a" / "seed2": ("gate=true", *TINY, "seed=2"),
    }


def test_a_sweep_ends_with_the_first_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"/a: ValueError: seed must be an integer >= 0"):
        run_sweep({tmp_path / "a": (*TINY, "seed=-1")}, "title")

"""The command line: misspelt words are named with the nearest right one, without a traceback."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.run import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _log_level_of_flower() -> Iterator[None]:
    """Restore what a run sets for its whole process."""
    logger = logging.getLogger("flwr")
    level = logger.level
    yield
    logger.setLevel(level)


def test_an_unknown_strategy_ends_the_command() -> None:
    command = [sys.executable, "-m", "simulations.run", "strategy=deepegde"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown strategy 'deepegde': did you mean 'deepedge'?")
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("fleet=tial", "unknown fleet 'tial': did you mean 'tail'"),
        ("num_node=3", "unknown config key 'num_node': did you mean 'num_nodes'"),
        ("seed", "cannot read override 'seed'"),
    ],
)
def test_misspelt_arguments(monkeypatch: pytest.MonkeyPatch, argument: str, error: str) -> None:
    monkeypatch.setattr(sys, "argv", ["simulations.run", argument])
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value).startswith(f"error: {error}")


def test_a_bad_value_ends_the_command_without_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = ["num_nodes=0", f"hydra.run.dir={tmp_path / 'run'}"]
    monkeypatch.setattr(sys, "argv", ["simulations.run", *arguments])
    with pytest.raises(SystemExit, match="error: num_nodes must be an integer >= 1, got 0"):
        main()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_run_prints_its_figures_and_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    arguments = ["num_nodes=4", "horizon_s=8", "num_evaluations=8", f"hydra.run.dir={folder}"]
    monkeypatch.setattr(sys, "argv", ["simulations.run", *arguments])
    main()
    *_, figures, last = capsys.readouterr().out.splitlines()
    assert figures.startswith("accuracy 0.")
    assert "target 0.945 not reached" in figures
    assert last == os.path.relpath(folder)
    assert (folder / "summary.json").is_file()


def test_the_folder_of_a_run_tells_its_overrides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["num_nodes=4", "horizon_s=8", "num_evaluations=8", "seed=2"]
    monkeypatch.setattr(sys, "argv", ["simulations.run", *arguments])
    main()
    folder = "runs/deepedge_digits_x16_none/horizon_s=8,num_evaluations=8,num_nodes=4/seed2"
    assert (tmp_path / folder / "summary.json").is_file()
    assert capsys.readouterr().out.splitlines()[-1] == f"{folder}"

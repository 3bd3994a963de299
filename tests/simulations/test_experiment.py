"""One run from configuration to files: complete, reproducible, gated, and checked beforehand."""

import csv
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from deepedge_flwr.simulation.ledger import COLUMNS
from simulations.configuration import compose_config
from simulations.experiment import Progress, run_experiment
from simulations.summary import Summary

TINY = ("num_nodes=4", "horizon_s=8", "num_evaluations=8")
TOO_MANY_CPUS = 64 + (os.cpu_count() or 1)
BUSY = ("num_nodes=4", "horizon_s=40", "num_evaluations=5", "service=control_loop")


@pytest.fixture(autouse=True)
def _log_level_of_flower() -> Iterator[None]:
    """Restore what a run sets for its whole process."""
    logger = logging.getLogger("flwr")
    level = logger.level
    yield
    logger.setLevel(level)


def run(folder: Path, *overrides: str) -> Summary:
    return run_experiment(compose_config([*TINY, *overrides]), folder)


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "ledger.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column_sum(rows: list[dict[str, str]], column: str) -> int:
    return sum(int(row[column] or 0) for row in rows)


def test_a_run_leaves_its_configuration_ledger_and_summary(tmp_path: Path) -> None:
    summary = run(tmp_path / "a" / "run", "seed=3")
    folder = tmp_path / "a" / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        "ledger.csv",
        "summary.json",
    ]
    config = OmegaConf.load(folder / "config.yaml")
    assert (config.seed, config.strategy.name, config.fleet.build.step_times_s.num_nodes) == (
        3,
        "deepedge",
        4,
    )
    assert tuple(read_rows(folder)[0]) == COLUMNS
    values = json.loads((folder / "summary.json").read_text())
    assert values == {name: getattr(summary, name) for name in Summary.__slots__}


def test_the_summary_has_every_figure(tmp_path: Path) -> None:
    run(tmp_path, "service=control_loop")
    values: dict[str, Any] = json.loads((tmp_path / "summary.json").read_text())
    wanted = {
        "strategy", "task", "fleet", "engine", "seed", "target_accuracy", "time_to_target_s",
        "final_accuracy", "num_versions", "num_updates", "bytes_up", "bytes_down", "bytes_wasted",
        "num_requests", "num_violations", "violation_rate", "mean_staleness", "utilisation",
        "model_sha256", "event_log_sha256",
    }  # fmt: skip
    assert wanted <= values.keys()
    assert (values["strategy"], values["fleet"], values["engine"]) == (
        "deepedge",
        "x16",
        "inprocess",
    )
    assert len(values["model_sha256"]) == len(values["event_log_sha256"]) == 64
    # A 10 Hz service on 4 devices for 8 s.
    assert values["num_requests"] == 320
    assert values["violation_rate"] == values["num_violations"] / 320
    assert 0 < values["utilisation"] < 1


def test_the_summary_is_read_off_the_ledger(tmp_path: Path) -> None:
    summary = run(tmp_path, "service=control_loop")
    rows = read_rows(tmp_path)
    assert summary.num_updates == sum(row["kind"] == "reply" for row in rows) > 0
    assert summary.bytes_up == column_sum(rows, "bytes_up") > 0
    assert summary.bytes_down == column_sum(rows, "bytes_down") > 0
    assert summary.num_requests == column_sum(rows, "num_requests")
    assert summary.num_violations == column_sum(rows, "num_violations")
    evaluations = [row for row in rows if row["kind"] == "evaluate"]
    assert [float(row["time_s"]) for row in evaluations] == [1.0 * i for i in range(1, 9)]
    last = [float(row["value"]) for row in evaluations[-5:]]
    assert summary.final_accuracy == sum(last) / 5
    assert max(float(row["time_s"]) for row in rows) <= 8.0


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    first, again, other = (
        run(tmp_path / name, f"seed={seed}") for name, seed in [("a", 0), ("b", 0), ("c", 1)]
    )
    assert first == again
    assert (tmp_path / "a/ledger.csv").read_bytes() == (tmp_path / "b/ledger.csv").read_bytes()
    assert first.model_sha256 != other.model_sha256
    assert first.event_log_sha256 != other.event_log_sha256


@pytest.mark.parametrize(
    "overrides",
    [
        ("strategy=fedavg",),
        ("strategy=fedprox",),
        ("strategy=fedavg", "strategy.build.fraction_train=0.5"),
        ("strategy=fedbuff", "strategy.build.buffer_size=2"),
        ("strategy=fednova",),
        ("strategy=deadline",),
        ("strategy=oracle",),
        ("strategy=cloud",),
    ],
)
def test_every_strategy_is_reproducible_and_learns(
    tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    runs = [run(tmp_path / name, "horizon_s=60", *overrides) for name in "ab"]
    assert runs[0] == runs[1]
    assert runs[0].num_versions >= 2
    assert runs[0].final_accuracy > 0.3


def test_the_target_is_the_tasks_and_is_reached_or_null(tmp_path: Path) -> None:
    reached = run(tmp_path / "a", "task.target_accuracy=0.05")
    assert (reached.target_accuracy, reached.time_to_target_s) == (0.05, 5.0)
    assert reached.bytes_to_target is not None
    assert 0 < reached.bytes_to_target < reached.bytes_up + reached.bytes_down
    missed = run(tmp_path / "b", "task.target_accuracy=1.0")
    assert (missed.time_to_target_s, missed.bytes_to_target) == (None, None)
    assert missed.event_log_sha256 == reached.event_log_sha256


def test_late_replies_are_wasted_and_are_no_updates(tmp_path: Path) -> None:
    summary = run(tmp_path, "strategy=deadline", "horizon_s=60")
    replies = [row for row in read_rows(tmp_path) if row["kind"] == "reply"]
    late = [row for row in replies if int(row["staleness"]) > 0]
    assert len(late) > 2
    assert summary.num_updates == len(replies) - len(late)
    assert summary.bytes_wasted > sum(int(row["bytes_up"]) for row in late)


@pytest.mark.parametrize("strategy", ["deepedge", "fedavg_one_step"])
def test_a_run_that_stops_at_its_target_reaches_it_as_the_full_run_does(
    tmp_path: Path, strategy: str
) -> None:
    common = (f"strategy={strategy}", "task.target_accuracy=0.3", "horizon_s=100")
    full = run(tmp_path / "full", *common)
    stopped = run(tmp_path / "stopped", *common, "stop_at_target=true")
    assert stopped.time_to_target_s == full.time_to_target_s is not None
    assert stopped.bytes_to_target == full.bytes_to_target
    assert stopped.num_versions < full.num_versions
    assert 0 < stopped.utilisation <= 1
    rows = read_rows(tmp_path / "stopped")
    last = [float(row["time_s"]) for row in rows if row["kind"] == "evaluate"][-1]
    assert last == stopped.time_to_target_s < 100


def test_a_ledger_can_be_left_out_but_for_its_evaluations(tmp_path: Path) -> None:
    written, left_out = run(tmp_path / "a"), run(tmp_path / "b", "write_ledger=false")
    assert left_out == written
    assert [row for row in read_rows(tmp_path / "a") if row["kind"] == "evaluate"] == read_rows(
        tmp_path / "b"
    )


def test_progress_is_reported_at_every_version(tmp_path: Path) -> None:
    seen = list[Progress]()
    summary = run_experiment(compose_config(TINY), tmp_path, seen.append)
    assert [progress.version for progress in seen] == list(range(summary.num_versions + 1))
    assert [progress.time_s for progress in seen] == sorted(progress.time_s for progress in seen)
    assert {progress.horizon_s for progress in seen} == {8}


def test_the_gate_protects_the_service(tmp_path: Path) -> None:
    gated, ungated = (run(tmp_path / gate, *BUSY, f"gate={gate}") for gate in ("true", "false"))
    assert gated.num_requests == ungated.num_requests == 1600
    assert ungated.num_violations >= 10
    assert gated.num_violations < ungated.num_violations / 2
    assert gated.utilisation < ungated.utilisation


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (
            ("service=control_loop", "service.build.budget_s=-1"),
            "service budget_s must be > 0, got -1",
        ),
        (
            ("strategy=fedbuff", "strategy.build.buffer_size=5"),
            r"buffer_size must be at most the number of nodes \(4\), got 5",
        ),
        (
            ("+strategy.build.buffer_size=5",),
            r"buffer_size must be at most the number of nodes \(4\), got 5",
        ),
        (("num_nodes=0",), "num_nodes must be an integer >= 1, got 0"),
        (("fleet.build.link.uplink_bytes_per_s=0",), "link uplink_bytes_per_s must be > 0, got 0"),
        (("fleet.build.step_times_s.spread=0.5",), "need spread >= 1"),
        (
            ("strategy.build.latency_budget_s=-1",),
            "latency_budget_s must be > 0 and finite, got -1",
        ),
        (("strategy.build.buffer_size=2.5",), "buffer_size must be an integer >= 1, got 2.5"),
        (
            ("fleet.build.step_times_s.num_nodes=3",),
            "the fleet has 3 devices, num_nodes is 4",
        ),
        (
            ("strategy.build.min_available_nodes=5",),
            r"min_available_nodes must be at most num_nodes \(4\), got 5",
        ),
        (
            ("strategy=fedavg", "strategy.build.min_available_nodes=5"),
            r"min_available_nodes must be at most num_nodes \(4\), got 5",
        ),
        (
            ("strategy=fedavg", "strategy.build.min_train_nodes=5"),
            r"min_train_nodes must be at most num_nodes \(4\), got 5",
        ),
        (
            ("engine=ray", f"engine.num_cpus_per_client={TOO_MANY_CPUS}"),
            f"engine.num_cpus_per_client must be an integer .*, got {TOO_MANY_CPUS}",
        ),
        (("+strategy.build.bufer_size=3",), "bufer_size"),
        (("task.alpha=-1",), "alpha must be finite and > 0, got -1"),
        (("task.target_accuracy=2",), r"target_accuracy must be a fraction in \(0, 1\], got 2"),
        (("num_evaluations=4",), "num_evaluations must be an integer >= 5"),
        (("horizon_s=0",), "horizon_s must be a finite number > 0, got 0"),
        (("strategy.local_steps=0",), "strategy.local_steps must be an integer >= 1, got 0"),
    ],
)
def test_bad_values_are_named_before_anything_is_written(
    tmp_path: Path, overrides: tuple[str, ...], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        run(tmp_path / "run", *overrides)
    assert not (tmp_path / "run").exists()


def test_missing_data_names_the_package_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="install Debian's package dataset-fashion-mnist"):
        run(tmp_path / "run", "task=fashion_mnist", f"task.folder={tmp_path}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", ["deepedge", "fedbuff"])
def test_a_run_whose_server_is_killed_ends_as_if_it_had_not_been(
    tmp_path: Path, strategy: str
) -> None:
    common = [f"strategy={strategy}", "horizon_s=20", "num_evaluations=10", "num_nodes=10"]
    plain, killed = (
        run_experiment(compose_config([*common, f"faults={faults}"]), tmp_path / faults)
        for faults in ("none", "server_kills")
    )
    assert killed == plain


def test_a_strategy_without_checkpoints_cannot_be_killed(tmp_path: Path) -> None:
    config = compose_config(["strategy=fedavg", "faults=server_kills", "horizon_s=20"])
    with pytest.raises(ValueError, match="FedAvg has none"):
        run_experiment(config, tmp_path)


def test_faults_are_in_the_ledger_and_spare_the_worlds_to_compare_with(tmp_path: Path) -> None:
    for strategy, struck in (("deepedge", True), ("oracle", False)):
        overrides = [f"strategy={strategy}", "faults=chaos", "horizon_s=30", "num_evaluations=10"]
        run_experiment(compose_config(overrides), tmp_path / strategy)
        ledger = (tmp_path / strategy / "ledger.csv").read_text()
        assert ("fault-" in ledger) == struck

from collections.abc import Callable
from pathlib import Path

from simulations.report import Scenario, group_runs, read_run
from simulations.report.spread import reach


def test_unlike_runs_are_cautioned(tmp_path: Path, write_scenario: Callable[..., Scenario]) -> None:
    other = {"strategy": "fedavg", "label": "FedAvg", "seed": 3}
    text = "\n".join(write_scenario(tmp_path, {}, {"horizon_s": 500.0}, other).cautions)
    assert "differ in horizon_s (1000.0, 500.0)" in text
    assert "DeepEdge has more than one run of seed 0" in text
    assert "did not run with the same seeds" in text


def test_ledgers_of_evaluations_alone_are_cautioned(
    tmp_path: Path, write_scenario: Callable[..., Scenario], write_run: Callable[..., Path]
) -> None:
    whole = (write_run(tmp_path / "whole") / "ledger.csv").read_text()
    rows = [line for line in whole.splitlines() if "evaluate" in line]
    alone = "\n".join([whole.splitlines()[0], *rows])
    other = {"strategy": "fedavg", "label": "FedAvg"}
    text = "\n".join(write_scenario(tmp_path / "b", {"ledger": alone}, other).cautions)
    assert "DeepEdge has ledgers of evaluations alone (write_ledger=false)" in text
    assert "FedAvg has" not in text


def test_runs_are_grouped_by_task_fleet_and_service(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    paths = [write_run(tmp_path / name, fleet=name) for name in ("b", "a")]
    scenarios = group_runs([read_run(path) for path in paths])
    assert [scenario.title for scenario in scenarios] == [
        "digits · a · camera",
        "digits · b · camera",
    ]


def test_the_same_run_in_two_folders_counts_once(
    tmp_path: Path, write_scenario: Callable[..., Scenario]
) -> None:
    same = {"event_log_sha256": "fedcba9876543210"}
    other = same | {"strategy": "fedavg", "label": "FedAvg"}
    scenario = write_scenario(tmp_path, same, same, other)
    assert [len(arm.runs) for arm in scenario.arms] == [1, 1]
    assert not any("more than one run" in caution for caution in scenario.cautions)


def test_reach_counts_the_limit_of_the_seeds_that_did_not() -> None:
    value = reach([1.0, None], [9.0, 5.0])
    assert (value.mean, value.low, value.high, value.reached, value.total) == (3.0, 1.0, 5.0, 1, 2)
    assert not value.complete and not value.never

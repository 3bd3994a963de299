from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulations.report import Scenario
from simulations.report.table import leaders, leads, table_rows

FEDAVG = {"strategy": "fedavg", "label": "FedAvg, 10 local steps"}
NEVER = {"time_to_target_s": None, "bytes_to_target": None}
WriteScenario = Callable[..., Scenario]
SLOW = FEDAVG | {
    "time_to_target_s": 330.0,
    "bytes_to_target": 6_000_000,
    "violation_rate": 0.12,
}
TWO_BY_TWO: tuple[dict[str, Any], ...] = (
    {"seed": 0},
    {"seed": 1, "time_to_target_s": 120.0, "bytes_to_target": 3_000_000},
    SLOW | {"seed": 0},
    SLOW | {"seed": 1},
)


def test_table_holds_mean_range_and_ratio_to_the_best(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    first, second = table_rows(write_scenario(tmp_path, *TWO_BY_TWO))
    assert [cell.text for cell in first] == (
        ["DeepEdge", "2/2", "110", "1.00", "95.0", "2.00", "0.250", "1.0", "0.50", "25.0"]
    )
    assert [cell.detail for cell in first[2:6]] == ["100 – 120", "", "95.0 – 95.0", "1.00 – 3.00"]
    assert [second[column].text for column in (2, 3, 5, 7)] == ["330", "3.00", "6.00", "12.0"]


def test_the_lowest_time_leads_its_column_but_level_figures_do_not(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    rows = table_rows(write_scenario(tmp_path, *TWO_BY_TWO))
    best = leaders(rows)
    assert [leads(row[2], best[2]) for row in rows] == [True, False]
    assert best[4] is None


def test_seeds_that_never_reached_the_target_make_the_mean_a_lower_bound(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    runs = (*TWO_BY_TWO[:3], TWO_BY_TWO[3] | NEVER)
    cells = table_rows(write_scenario(tmp_path, *runs))[1]
    assert [cell.text for cell in cells[1:4]] == ["1/2", "≥ 665", "≥ 6.04"]
    assert cells[2].detail == "330 – >1,000"


def test_a_strategy_that_never_reached_the_target_shows_the_horizon(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    cells = table_rows(write_scenario(tmp_path, {}, FEDAVG | NEVER))[1]
    assert [cell.text for cell in cells[1:4]] == ["0/1", "> 1,000", "> 10.0"]
    assert cells[5].text == "> 2.50"


def test_a_lower_bound_below_the_best_figure_leaves_the_column_without_leader(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    scenario = write_scenario(tmp_path, {"bytes_to_target": 9_000_000}, FEDAVG | NEVER)
    assert leaders(table_rows(scenario))[5] is None


def test_runs_without_requests_have_no_violation_rate(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    scenario = write_scenario(tmp_path, {"num_requests": 0, "violation_rate": 0.0})
    assert scenario.arms[0].violation_rate is None
    assert table_rows(scenario)[0][7].text == "–"

"""Tables say what they know: bounds are marked, bounds do not win, and Markdown is pasteable."""

from collections.abc import Callable
from dataclasses import replace

from simulations.suite.comparison import Comparison, Entry, Ratio
from simulations.suite.index import Results
from simulations.suite.tables import (
    csv_text,
    loss_tables,
    markdown,
    oracle_table,
    ratio_cell,
    scenario_table,
    summary_table,
)
from simulations.suite.values import scenario_values, summary_values

Make = Callable[..., Comparison]
MakeResults = Callable[..., Results]
ARMS = {"ours": 20.0, "a": [40.0, None], "oracle": 10.0}


def test_ratios_as_text() -> None:
    assert ratio_cell(None).text == "–"
    assert ratio_cell(Ratio(value=1.5)).text == "1.50"
    assert ratio_cell(Ratio(value=2, at_least=True)).text == "≥ 2.00"
    assert ratio_cell(Ratio(value=0.5, at_most=True)).text == "≤ 0.500"


def test_the_summary_as_markdown(comparison: Make, results: MakeResults) -> None:
    text = markdown(summary_table(results(comparison("t", ARMS))))
    assert text.splitlines() == [
        "| Strategy | Time / oracle | Time / best baseline | Scenarios won | "
        "Target reached by all seeds | Worst time / oracle |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| Oracle (bound) | 1.00 | ≤ 0.143 | – | 1/1 | 1.00 |",
        "| Ours | **2.00** | ≤ 0.286 | 1/1 | 1/1 | **2.00** |",
        "| A | ≥ 7.00 | ~ 1.00 | 0/1 | 0/1 | ≥ 7.00 |",
    ]


def test_the_oracle_table_has_a_column_per_scenario(comparison: Make, results: MakeResults) -> None:
    found = results(comparison("one", ARMS), comparison("two", {"ours": 45.0, "oracle": 10.0}))
    text = markdown(oracle_table(found))
    assert text.splitlines()[0] == "| Strategy | one · x16 | two · x16 | Geometric mean |"
    assert "| Ours | **2.00** | 4.50 | **3.00** |" in text
    assert "| A | ≥ 7.00 | – | ≥ 7.00 |" in text


def test_a_scenario_lists_the_soonest_first(comparison: Make, results: MakeResults) -> None:
    found = results(comparison("t", ARMS))
    table = scenario_table(found, found.comparisons[0])
    assert [row[0].text for row in table.rows] == ["Oracle", "Ours", "A"]
    assert table.caption == "won by Ours; target accuracies per seed: 88.2, 88.2 %."
    last = dict(zip(table.head, table.rows[-1], strict=True))
    assert (last["Time to 98 % [s]"].text, last["Time to 98 % [s]"].detail) == (
        "≥ 70.0",
        "40.0 – >100",
    )
    assert (last["Reached 98 %"].text, last["Reached 95 %"].text) == ("1/2", "1/2")
    assert last["Final accuracy [%]"].text == "95.0"


def test_the_accuracy_of_runs_that_end_at_the_target_is_not_shown(
    comparison: Make, results: MakeResults
) -> None:
    found = results(comparison("t", ARMS), stops=True)
    row = scenario_table(found, found.comparisons[0]).rows[0]
    assert row[5].text == "–"
    assert "final_accuracy_mean" not in scenario_values(found)[0]


def test_losses_have_a_table_per_measure(comparison: Make, results: MakeResults) -> None:
    assert loss_tables(results(comparison("t", {"ours": 10.0, "a": 20.0, "oracle": 10.0}))) == {}
    tables = loss_tables(results(comparison("t", {"ours": 20.0, "a": 16.0, "oracle": 10.0})))
    assert list(tables) == [
        "Time to 98 %",
        "Time to 95 %",
        "Bytes to 98 %",
        "Over 1.25 times the oracle's time",
    ]
    row = tables["Time to 98 %"].rows[0]
    assert [cell.text for cell in row] == ["t · x16", "A", "1.25×", "20.0 s", "16.0 s", "–"]


def test_an_accuracy_is_ahead_by_points(
    comparison: Make, results: MakeResults, entry: Callable[..., Entry]
) -> None:
    scenario = comparison("t", {"ours": 10.0, "oracle": 10.0})
    better = {**scenario.entries, "a": entry("A", (20.0, 20.0), final_accuracy=0.962)}
    (table,) = loss_tables(results(replace(scenario, entries=better))).values()
    assert table.caption == "Final accuracy: 1 scenario, the largest loss first."
    texts = [cell.text for cell in table.rows[0]]
    assert texts == ["t · x16", "A", "1.2 points", "95.0 %", "96.2 %", "–"]


def test_csv_has_full_precision_and_names_the_bounds(
    comparison: Make, results: MakeResults
) -> None:
    found = results(comparison("t", ARMS))
    rows = {row["arm"]: row for row in scenario_values(found)}
    assert rows["a"]["time_98_s_mean"] == 70.0
    assert (rows["a"]["time_98_s_reached"], rows["a"]["time_98_s_seeds"]) == (1, 2)
    assert (rows["a"]["time_to_oracle"], rows["a"]["time_to_oracle_bound"]) == (7.0, "≥")
    assert (rows["ours"]["winner"], rows["a"]["winner"]) == (True, False)
    head, *lines = csv_text(summary_values(found)).splitlines()
    assert head.startswith("arm,time_to_oracle,time_to_oracle_bound,time_to_best_baseline,")
    assert lines[1].startswith("ours,2.0,,0.28571428571428")

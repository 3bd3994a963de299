"""Ratios know what they bound; means over scenarios are geometric and keep the bounds."""

from collections.abc import Callable

import pytest

from simulations.report.spread import reach
from simulations.suite.comparison import Comparison, Entry, Ratio, geometric_mean, largest, ratio
from simulations.suite.comparison import standings as rows_of

FULL, HALF = reach([10.0, 30.0], [100, 100]), reach([60.0, None], [100, 100])


@pytest.mark.parametrize(
    ("value", "mark", "expected"),
    [
        (ratio(FULL, FULL), "", 1.0),
        (ratio(HALF, FULL), "≥ ", 4.0),  # (60 + 100) / 2 over 20
        (ratio(FULL, HALF), "≤ ", 0.25),
        (ratio(HALF, HALF), "~ ", 1.0),
    ],
)
def test_a_seed_that_never_got_there_makes_a_bound(
    value: Ratio, mark: str, expected: float
) -> None:
    assert value.mark == mark
    assert value.value == expected


def test_the_geometric_mean_keeps_the_bounds() -> None:
    exact = geometric_mean([Ratio(value=2.0), Ratio(value=8.0), None])
    assert exact == Ratio(value=pytest.approx(4.0))
    lower = geometric_mean([Ratio(value=2.0), Ratio(value=8.0, at_least=True)])
    assert lower == Ratio(value=pytest.approx(4.0), at_least=True)
    both = geometric_mean([Ratio(value=1.0, at_most=True), Ratio(value=9.0, at_least=True)])
    assert both == Ratio(value=pytest.approx(3.0), at_least=True, at_most=True)
    assert geometric_mean([None]) is None


def test_the_largest() -> None:
    assert largest([Ratio(value=1.0), None, Ratio(value=3.0, at_least=True)]) == Ratio(
        value=3.0, at_least=True
    )
    assert largest([Ratio(value=1.01, at_least=True), Ratio(value=1.12)]) == Ratio(
        value=1.12, at_least=True
    )
    assert largest([]) is None


def test_an_entry_is_cut_at_the_horizon_and_at_the_bytes_of_the_run(
    entry: Callable[..., Entry],
) -> None:
    half = entry("A", (40.0, 20.0), (None, 30.0))
    assert (half.time_s().mean, half.time_s().reached) == (70.0, 1)
    assert (half.time_s(1).mean, half.time_s(1).complete) == (25.0, True)
    assert half.num_bytes.mean == (40e6 + 100e6) / 2
    assert half.violation_rate is None
    assert half.spread_of("utilisation").mean == 0.5


def test_the_best_baseline_is_the_soonest_and_no_bound(
    comparison: Callable[..., Comparison],
) -> None:
    arms = {"ours": 20.0, "oracle": 10.0, "cloud": 5.0, "a": 40.0, "b": [30.0, None]}
    scenario = comparison("t", arms)
    assert scenario.best_baseline == "a"  # b: (30 + 100) / 2
    assert scenario.winner == "ours"
    assert scenario.to_oracle("ours") == Ratio(value=2.0)
    assert scenario.to_best_baseline("ours") == Ratio(value=0.5)
    assert scenario.to_oracle("absent") is None


def test_who_reaches_the_target_with_more_seeds_wins(
    comparison: Callable[..., Comparison],
) -> None:
    arms = {"ours": [90.0, 90.0], "a": [10.0, None], "oracle": 5.0}
    assert comparison("t", arms).winner == "ours"
    assert comparison("t", arms).best_baseline == "a"  # 55 s, at least
    assert comparison("t", {"ours": None, "a": None, "oracle": 5.0}).winner is None


def test_standings_are_over_all_scenarios(comparison: Callable[..., Comparison]) -> None:
    one = comparison("one", {"ours": 20.0, "a": 80.0, "oracle": 10.0})
    two = comparison("two", {"ours": 40.0, "a": [None], "oracle": 5.0})
    three = comparison("three", {"ours": 30.0, "oracle": 30.0})
    rows = {row.arm: row for row in rows_of([one, two, three])}
    assert list(rows) == ["oracle", "ours", "a"]
    assert rows["ours"].to_oracle == Ratio(value=pytest.approx((2 * 8 * 1) ** (1 / 3)))
    # The third scenario has no baseline.
    assert rows["ours"].to_best_baseline == Ratio(
        value=pytest.approx((0.25 * 0.4) ** 0.5), at_most=True
    )
    assert rows["ours"].worst == Ratio(value=8.0)
    assert (rows["ours"].num_won, rows["ours"].num_complete) == (3, 3)
    assert rows["a"].to_oracle == Ratio(value=pytest.approx((8 * 20) ** 0.5), at_least=True)
    assert (rows["a"].num_won, rows["a"].num_complete, rows["a"].num_scenarios) == (0, 1, 2)
    assert rows["oracle"].num_won == 0

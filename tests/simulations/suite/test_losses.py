"""Every figure in which a baseline is ahead is listed, the largest lead first."""

from collections.abc import Callable

import pytest

from simulations.suite.comparison import Comparison, Entry, Ratio, Roles
from simulations.suite.losses import (
    accuracy_losses,
    bytes_losses,
    oracle_losses,
    time_losses,
)

Make = Callable[..., Comparison]


def test_nothing_is_lost_where_no_baseline_is_ahead(comparison: Make) -> None:
    scenarios = [comparison("t", {"ours": 10.0, "a": 10.0, "oracle": 9.0, "cloud": 1.0})]
    assert time_losses(scenarios, 0, "time") == []
    assert oracle_losses(scenarios, "time") == []
    assert accuracy_losses(scenarios, "accuracy") == []


def test_the_largest_lead_comes_first_and_names_who_else_is_ahead(comparison: Make) -> None:
    scenarios = [
        comparison("small", {"ours": 12.0, "a": 10.0, "oracle": 10.0}),
        comparison("large", {"ours": 30.0, "a": 20.0, "b": 10.0, "oracle": 10.0}),
    ]
    first, second = time_losses(scenarios, 0, "time")
    assert (first.task, first.rival, first.others) == ("large", "B", ("A",))
    assert (first.ours, first.theirs, first.factor) == (30.0, 10.0, Ratio(value=3.0))
    assert (second.task, second.factor.value) == ("small", pytest.approx(1.2))
    (over,) = oracle_losses(scenarios, "time")
    assert (over.task, over.factor) == ("large", Ratio(value=3.0))


def test_a_subject_that_never_got_there_loses_by_at_least(comparison: Make) -> None:
    (loss,) = time_losses([comparison("t", {"ours": None, "a": 50.0, "oracle": 9.0})], 0, "time")
    assert loss.factor == Ratio(value=2.0, at_least=True)


def test_who_sends_little_and_learns_nothing_is_not_ahead(
    comparison: Make, entry: Callable[..., Entry]
) -> None:
    scenario = comparison("t", {"ours": 50.0, "a": 20.0, "oracle": 9.0})
    idle = entry("Idle", (None, None), bytes_up=10, bytes_down=10)
    with_idle = Comparison(
        task="t", fleet="x16", roles=scenario.roles, entries={**scenario.entries, "idle": idle}
    )
    (loss,) = bytes_losses([with_idle], "bytes")
    assert (loss.rival, loss.others) == ("A", ())
    assert loss.factor == Ratio(value=2.5)


def test_accuracy_is_compared_by_its_mean(entry: Callable[..., Entry]) -> None:
    scenario = Comparison(
        task="t",
        fleet="x16",
        roles=Roles(subject="ours", oracle="oracle", bounds=("oracle",)),
        entries={
            "ours": entry("Ours", (1.0, 1.0), final_accuracy=0.8),
            "a": entry("A", (1.0, 1.0), final_accuracy=0.84),
            "oracle": entry("Oracle", (1.0, 1.0), final_accuracy=0.99),
        },
    )
    (loss,) = accuracy_losses([scenario], "accuracy")
    assert (loss.ours, loss.theirs) == (0.8, 0.84)
    assert loss.factor.value == pytest.approx(1.05)

"""Costs are means by arm and fleet; what is not known yet is taken from the nearest."""

from simulations.suite.cost import Costs, longest_first
from simulations.suite.plan import PlannedRun


def run(arm: str, fleet: str, seed: int = 0) -> PlannedRun:
    return PlannedRun(
        stage="reported", task="digits", fleet=fleet, arm=arm, seed=seed, overrides=()
    )


def test_nothing_is_known_before_the_first_run() -> None:
    assert Costs().of(run("a", "x")) is None
    assert Costs().total([run("a", "x")]) is None
    assert Costs().total([]) == 0


def test_the_nearest_measurements_count() -> None:
    costs = Costs()
    for arm, fleet, cost_s in [("a", "x", 2.0), ("a", "x", 4.0), ("a", "y", 9.0), ("b", "x", 1.0)]:
        costs.add(run(arm, fleet), cost_s)
    assert costs.of(run("a", "x")) == 3.0
    assert costs.of(run("a", "z")) == 5.0  # the arm's
    assert costs.of(run("c", "y")) == 9.0  # the fleet's
    assert costs.of(run("c", "z")) == 4.0  # all
    assert costs.total([run("a", "x"), run("a", "x", 1), run("c", "y")]) == 3 + 3 + 9


def test_the_longest_run_starts_first_and_equals_keep_their_order() -> None:
    costs = Costs()
    costs.add(run("slow", "x"), 5.0)
    costs.add(run("quick", "x"), 1.0)
    runs = [run("quick", "x", 1), run("slow", "x", 1), run("slow", "x", 2), run("quick", "x", 2)]
    assert list(longest_first(runs, costs)) == [runs[1], runs[2], runs[0], runs[3]]
    assert list(longest_first(runs, Costs())) == [runs[0], runs[3], runs[1], runs[2]]


def test_the_order_follows_what_is_measured_meanwhile() -> None:
    costs = Costs()
    costs.add(run("a", "x"), 2.0)
    costs.add(run("b", "x"), 1.0)
    queue = longest_first([run("b", "x", 1), run("a", "x", 1), run("a", "x", 2)], costs)
    assert next(queue).arm == "a"
    costs.add(run("b", "x"), 99.0)
    assert [r.arm for r in queue] == ["b", "a"]

"""One common period for the fleet: steps in proportion to measured speed, links included."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepedge_flwr.core.allocation import Allocation, plan_fleet, steps_in_period


def steps(tau: list[float], overhead: list[float], period_s: float, **bounds: Any) -> list[int]:
    return [int(h) for h in steps_in_period(np.array(tau), np.array(overhead), period_s, **bounds)]


def test_steps_are_in_proportion_to_speed() -> None:
    assert steps([1, 2, 4], [0, 0, 0], 4.0) == [4, 2, 1]
    assert steps([1, 2, 4], [0, 0, 0], 400.0) == [400, 200, 100]


def test_the_overhead_is_part_of_the_period() -> None:
    assert steps([1, 1, 1], [0, 3, 9.5], 10.0) == [10, 7, 0]


def test_a_node_that_cannot_finish_one_step_is_excluded_or_answers_late() -> None:
    assert steps([1, 20, 1], [0, 0, 99], 10.0) == [10, 0, 0]
    assert steps([1, 20, 1], [0, 0, 99], 10.0, min_steps=1) == [10, 1, 1]


def test_no_node_gets_more_than_the_most_steps() -> None:
    assert steps([1, 2, 4], [0, 0, 0], 100.0, max_steps=30) == [30, 30, 25]


@settings(deadline=None)
@given(num_steps=st.integers(1, 10_000), tau=st.floats(1e-6, 1e3))
def test_a_period_of_whole_steps_loses_none_to_rounding(num_steps: int, tau: float) -> None:
    assert steps([tau], [0.0], num_steps * tau) == [num_steps]


@settings(deadline=None)
@given(
    tau=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8),
    overhead_s=st.floats(0, 10),
    period_s=st.floats(0, 1e3),
)
def test_every_node_finishes_in_the_period_and_has_no_time_for_one_step_more(
    tau: list[float], overhead_s: float, period_s: float
) -> None:
    for tau_s, h in zip(tau, steps(tau, [overhead_s] * len(tau), period_s), strict=True):
        slack_s = 1e-9 * (period_s + overhead_s)
        assert h == 0 or overhead_s + h * tau_s <= period_s + slack_s
        assert overhead_s + (h + 1) * tau_s > period_s - slack_s


@pytest.mark.parametrize(
    ("tau", "overhead", "bounds", "message"),
    [
        ([1, 0], [0, 0], {}, "step_time_s must be > 0 for every node, got 0.0"),
        ([1, float("nan")], [0, 0], {}, "step_time_s must be > 0 for every node, got nan"),
        ([1, 1], [0, -2], {}, "overhead_s must be >= 0 for every node, got -2.0"),
        ([1], [0], {"min_steps": -1}, "0 <= min_steps <= max_steps, got -1 and None"),
        ([1], [0], {"min_steps": 3, "max_steps": 2}, "min_steps <= max_steps, got 3 and 2"),
    ],
)
def test_impossible_inputs_are_errors(
    tau: list[float], overhead: list[float], bounds: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        steps(tau, overhead, 10.0, **bounds)


@pytest.mark.parametrize(
    ("tau", "overhead", "expected"),
    [
        # 0.2 * 60 / 1 = 12 steps, 11 times as long as the fastest node's job.
        ([1, 2, 4], [60, 60, 60], Allocation(max_steps=12, compute_s=132, period_s=192)),
        # The median is what a long link in an otherwise fast fleet does not move.
        ([1, 2, 4], [60, 60, 6000], Allocation(max_steps=12, compute_s=132, period_s=192)),
        ([1, 2], [0, 0], Allocation(max_steps=6, compute_s=66, period_s=66)),
        ([0.5, 2], [1000, 1000], Allocation(max_steps=30, compute_s=165, period_s=1165)),
    ],
)
def test_the_period_follows_the_fastest_node_and_the_median_link(
    tau: list[float], overhead: list[float], expected: Allocation
) -> None:
    assert plan_fleet(np.array(tau), np.array(overhead)) == expected


def test_a_spread_of_speeds_changes_the_time_of_a_job_and_only_then_its_steps() -> None:
    tau, overhead = np.array([1.0, 11.0, 22.0]), np.full(3, 10.0)
    plan = plan_fleet(tau, overhead, min_max_steps=6)
    h = steps_in_period(tau, overhead, plan.period_s, 1, plan.max_steps)
    assert h.tolist() == [6, 6, 3]


def test_agreement_stretches_the_period_and_disagreement_shortens_jobs() -> None:
    plan = Allocation(max_steps=12, compute_s=100.0, period_s=140.0)
    assert plan.adapted(0.0, 0.0, 12) == plan
    assert plan.adapted(1.0, 0.0, 6) == Allocation(max_steps=12, compute_s=150.0, period_s=190.0)
    assert plan.adapted(0.0, 1.0, 12) == Allocation(max_steps=6, compute_s=100.0, period_s=140.0)
    assert plan.adapted(0.0, 0.5, 12).max_steps == 9
    assert plan.adapted(0.5, 0.25, 6) == Allocation(max_steps=8, compute_s=125.0, period_s=165.0)
    one = Allocation(max_steps=1, compute_s=1.0, period_s=1.0)
    assert one.adapted(0.0, 1.0, 6).max_steps == 1


def test_what_a_long_link_asks_for_is_given_to_aligned_updates_alone() -> None:
    plan = Allocation(max_steps=20, compute_s=22.0, period_s=32.0)
    assert [plan.adapted(aligned, 0.0, 6).max_steps for aligned in (0.0, 0.5, 1.0)] == [10, 15, 20]
    assert plan.adapted(0.0, 1.0, 6).max_steps == 5
    short = Allocation(max_steps=6, compute_s=6.6, period_s=7.6)
    assert [short.adapted(aligned, 0.0, 6).max_steps for aligned in (0.0, 0.5, 1.0)] == [6, 6, 6]

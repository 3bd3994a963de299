"""The fleet's figures against hand computation, and its running sums against recomputation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepedge_flwr.core.fleet import FleetEstimate, FleetOptions
from deepedge_flwr.core.types import DeviceProfile, Telemetry

#: The newest reply is the estimate: spreads can be set to the digit.
NO_MEMORY = FleetOptions(smoothing=1.0, rate_smoothing=1.0)


def learn(
    fleet: FleetEstimate, node_id: int, step_time_s: float, *, overhead_s: float = 0.0,
    num_examples: float = 10.0, sent_at_s: float = 0.0,
) -> None:  # fmt: skip
    """Fold in a job of 5 ungated steps."""
    fleet.learn(
        node_id,
        num_examples=num_examples,
        telemetry=Telemetry(num_steps=5, busy_s=5 * step_time_s),
        sent_at_s=sent_at_s,
        now_s=sent_at_s + 5 * step_time_s + overhead_s,
    )


def two_nodes() -> FleetEstimate:
    """Node 1: 1 s a step, 30 examples; node 2: 20 s a step, 10 examples; 2 s of links each."""
    fleet = FleetEstimate(FleetOptions())
    learn(fleet, 1, 1.0, overhead_s=2.0, num_examples=30)
    learn(fleet, 2, 20.0, overhead_s=2.0, num_examples=10)
    fleet.refresh([1, 2])
    return fleet


def test_an_unknown_fleet_plans_with_its_options() -> None:
    fleet = FleetEstimate(FleetOptions(first_steps=7))
    fleet.refresh([1])
    assert (fleet.steps(1), fleet.reference_steps) == (7, 7.0)
    assert (fleet.allocation, fleet.median_cycle_s, fleet.max_steps) == (None, None, 30)
    assert fleet.profile(1) == DeviceProfile(node_id=1)
    assert fleet.cycle_s(1, 3) is None


def test_steps_in_a_given_period() -> None:
    fleet = two_nodes()
    assert [fleet.steps_in(1, period_s) for period_s in (1.0, 2.0, 4.9, 9.0)] == [1, 1, 2, 7]
    assert fleet.steps_in(1, 9.0, max_steps=3) == 3
    assert fleet.steps_in(2, 9.0) == 1
    assert fleet.steps_in(3, 9.0) == 5  # unknown: first_steps


def test_the_median_round_trip_is_over_the_nodes_with_telemetry() -> None:
    fleet = FleetEstimate(NO_MEMORY)
    assert fleet.median_round_trip_s(3) is None
    fleet.learn(9, num_examples=1, telemetry=None, sent_at_s=0.0, now_s=1.0)
    assert fleet.median_round_trip_s(3) is None
    for node_id, step_time_s in [(1, 1.0), (2, 2.0), (3, 10.0)]:
        learn(fleet, node_id, step_time_s, overhead_s=4.0)
    assert fleet.median_round_trip_s(3) == 4 + 3 * 2.0


def test_the_estimate_of_two_nodes_by_hand() -> None:
    fleet = two_nodes()
    assert fleet.allocation is not None
    # 0.2 * 2 / 1 is under the 6 steps that a job has at least; 66 s is 11 times 6 steps of 1 s.
    assert (fleet.allocation.max_steps, fleet.allocation.period_s) == (6, 68.0)
    assert (fleet.max_steps, fleet.steps(1), fleet.steps(2)) == (6, 6, 3)
    assert fleet.reference_steps == (30 * 6 + 10 * 3) / 40
    assert fleet.median_cycle_s == (7.0 + 102.0) / 2
    assert (fleet.cycle_s(1, 5), fleet.cycle_s(2, 2)) == (7.0, 42.0)
    assert (fleet.relative_share(1), fleet.relative_share(2)) == (1.5, 0.5)
    rate, mean_rate = fleet.rates(1)
    assert rate == 1 / 7
    assert mean_rate == pytest.approx((1 / 7 + 1 / 102) / 2, rel=1e-15)


def test_long_links_ask_for_longer_jobs() -> None:
    fleet = FleetEstimate(FleetOptions())
    learn(fleet, 1, 1.0, overhead_s=100.0)
    learn(fleet, 2, 50.0, overhead_s=100.0)
    fleet.refresh([1, 2], aligned=1.0)
    # 0.2 * 100 / 1 steps, and 1.5 * 11 * 20 s for six of 50 s.
    assert (fleet.max_steps, fleet.steps(1), fleet.steps(2)) == (20, 20, 6)
    fleet.refresh([1, 2])
    assert (fleet.max_steps, fleet.steps(1), fleet.steps(2)) == (10, 10, 4)


def test_a_fleet_remembers_rates_for_longer_than_speeds() -> None:
    fleet = FleetEstimate(FleetOptions())
    for k in range(30):
        learn(fleet, 1, 1.0, sent_at_s=5.0 * k)
    learn(fleet, 1, 2.0, sent_at_s=185.0)  # 45 s after the last reply
    assert fleet.profile(1).step_time_s == pytest.approx(0.7 * 1.0 + 0.3 * 2.0, rel=1e-12)
    assert fleet.profile(1).interarrival_s == pytest.approx(0.95 * 5.0 + 0.05 * 45.0, rel=1e-12)


def test_steps_change_when_the_figures_are_refreshed_and_not_before() -> None:
    fleet = FleetEstimate(NO_MEMORY)
    learn(fleet, 1, 1.0)
    learn(fleet, 2, 20.0)
    assert (fleet.steps(1), fleet.steps(2)) == (5, 5)
    fleet.refresh([1, 2])
    assert (fleet.steps(1), fleet.steps(2)) == (6, 3)
    learn(fleet, 1, 2.0)
    assert (fleet.steps(1), fleet.steps(2)) == (6, 3)
    fleet.refresh([1, 2])
    assert (fleet.steps(1), fleet.steps(2)) == (6, 6)


def test_agreement_adapts_the_steps_and_what_they_are_measured_by() -> None:
    fleet = two_nodes()
    fleet.refresh([1, 2], opposed=1.0)
    assert (fleet.max_steps, fleet.steps(1), fleet.steps(2)) == (3, 3, 3)
    assert fleet.reference_steps == 3.0
    fleet.refresh([1, 2], aligned=1.0)
    # 99 s instead of 66: the slow node does 4 steps of 20 s.
    assert (fleet.max_steps, fleet.steps(1), fleet.steps(2)) == (6, 6, 4)


def test_a_slow_node_answers_late_rather_than_never() -> None:
    fleet = FleetEstimate(NO_MEMORY)
    learn(fleet, 1, 1.0)
    learn(fleet, 2, 1000.0)
    fleet.refresh([1, 2])
    assert fleet.steps(2) == 1


def test_a_node_without_telemetry_keeps_the_first_plan_and_still_counts() -> None:
    fleet = two_nodes()
    fleet.learn(3, num_examples=20, telemetry=None, sent_at_s=0.0, now_s=50.0)
    fleet.refresh([1, 2, 3])
    assert (fleet.steps(3), fleet.cycle_s(3, 5)) == (5, None)
    assert fleet.median_cycle_s == 50.0
    assert fleet.relative_share(3) == 20 * 3 / 60
    assert fleet.rates(3)[0] == 1 / 50
    # The reference is over the nodes whose steps are known.
    assert fleet.reference_steps == (30 * 6 + 10 * 3) / 40


def test_the_first_cycle_starts_with_the_dispatch_and_the_next_with_the_last_reply() -> None:
    fleet = FleetEstimate(NO_MEMORY)
    learn(fleet, 1, 1.0, sent_at_s=100.0)
    assert fleet.profile(1).interarrival_s == 5.0
    learn(fleet, 1, 1.0, sent_at_s=108.0)
    assert fleet.profile(1).interarrival_s == 8.0


def test_pauses_of_the_gate_slow_a_node_down() -> None:
    fleet = FleetEstimate(NO_MEMORY)
    paused = Telemetry(num_steps=5, busy_s=5.0, paused_s=15.0)
    fleet.learn(1, num_examples=1, telemetry=paused, sent_at_s=0.0, now_s=22.0)
    assert fleet.cycle_s(1, 3) == 2.0 + 3 * 4.0


def test_a_node_that_comes_and_goes_keeps_its_profile() -> None:
    fleet = two_nodes()
    before = fleet.profile(2)
    fleet.refresh([1])
    assert fleet.profile(2) == before
    assert fleet.relative_share(1) == 1.5
    # Its absence counts as time between its replies.
    learn(fleet, 2, 20.0, overhead_s=2.0, num_examples=10, sent_at_s=1000.0)
    assert fleet.profile(2).interarrival_s == (102.0 + 1000.0) / 2


def test_of_absent_nodes_as_many_are_remembered_as_are_present_the_last_heard_of() -> None:
    fleet = FleetEstimate(NO_MEMORY)
    for node_id in (1, 2, 3, 4):
        learn(fleet, node_id, 1.0, sent_at_s=10.0 * node_id)
    fleet.refresh([1])
    assert [fleet.profile(n).num_observations for n in (1, 2, 3, 4)] == [1, 0, 0, 1]
    # Node 2 is unknown again: its next cycle starts with a dispatch.
    learn(fleet, 2, 1.0, sent_at_s=1000.0)
    assert fleet.profile(2).interarrival_s == 5.0
    fleet.refresh([])
    assert fleet.median_cycle_s is None


REPLIES = st.lists(
    st.tuples(st.integers(0, 4), st.floats(1, 1e4), st.floats(1e-3, 1e3)), min_size=1, max_size=40
)


@settings(deadline=None)
@given(replies=REPLIES, present=st.lists(st.sets(st.integers(0, 4)), max_size=5))
def test_running_sums_equal_recomputation(
    replies: list[tuple[int, float, float]], present: list[set[int]]
) -> None:
    """Replies come in portions; after each, absent nodes are forgotten down to those present."""
    fleet, examples, now_s = FleetEstimate(FleetOptions()), dict[int, float](), 0.0
    heard_s: dict[int, float] = {}
    portions = np.array_split(np.arange(len(replies)), len(present) + 1)
    for portion, node_ids in zip(portions, [set[int](), *present], strict=True):
        if portion is not portions[0]:
            fleet.refresh(node_ids)
            absent = sorted(examples.keys() - node_ids, key=lambda n: (-heard_s[n], n))
            kept = node_ids | set(absent[: len(node_ids)])
            examples = {n: count for n, count in examples.items() if n in kept}
        for node_id, num_examples, elapsed_s in (replies[k] for k in portion):
            sent_at_s, now_s = now_s, now_s + elapsed_s
            fleet.learn(
                node_id, num_examples=num_examples, telemetry=None, sent_at_s=sent_at_s, now_s=now_s
            )
            examples[node_id], heard_s[node_id] = num_examples, now_s
    if not examples:
        return
    intervals_s = [fleet.profile(node_id).interarrival_s for node_id in examples]
    mean_rate = np.mean([1 / interval_s for interval_s in intervals_s if interval_s is not None])
    mean_examples = np.mean(list(examples.values()))
    for node_id, num_examples in examples.items():
        assert fleet.relative_share(node_id) == pytest.approx(num_examples / mean_examples)
        assert fleet.rates(node_id)[1] == pytest.approx(mean_rate)

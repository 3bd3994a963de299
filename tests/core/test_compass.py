"""The paper's figures 1, 21 and 22, and what must hold whatever the nodes do."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepedge_flwr.core.compass import Arrival, Compass, CompassOptions

#: Seconds per step of the five devices of figure 1: 10, 5, 4, 2.5 and 2 steps per minute.
STEP_TIME_S = {1: 6.0, 2: 12.0, 3: 15.0, 4: 24.0, 5: 30.0}


def at(minutes: int, seconds: int = 0) -> float:
    return 60.0 * minutes + seconds


def compass(**options: Any) -> Compass:
    return Compass(CompassOptions(**{"min_steps": 20, "max_steps": 100, **options}))


def arrive(
    groups: Compass, node_id: int, now_s: float, step_time_s: float | None = None
) -> Arrival:
    step_time_s = STEP_TIME_S[node_id] if step_time_s is None else step_time_s
    return groups.arrive(node_id, step_time_s=step_time_s, now_s=now_s)


def assign(groups: Compass, node_ids: list[int], now_s: float) -> list[int]:
    return [groups.assign(node_id, now_s) for node_id in groups.fastest_first(node_ids)]


def after_the_first_arrivals(**options: Any) -> Compass:
    """Figure 1 until 10:00: nodes 1-3 are to arrive at 12:00, at 14:00 the latest; 4-5 at 22:00."""
    groups = compass(**options)
    assert [groups.assign(node_id, 0.0) for node_id in STEP_TIME_S] == [20] * 5
    for node_id, minutes, num_steps in [
        (1, 2, 100),
        (2, 4, 40),
        (3, 5, 28),
        (4, 8, 35),
        (5, 10, 24),
    ]:
        assert arrive(groups, node_id, at(minutes)) == Arrival()
        assert groups.close_due(at(minutes)) is None
        assert groups.assign(node_id, at(minutes)) == num_steps
    return groups


def test_figure_1() -> None:
    groups = after_the_first_arrivals()
    assert [arrive(groups, n, at(12)) for n in (3, 1, 2)] == [Arrival(group=1)] * 3
    assert [groups.is_waiting(n) for n in STEP_TIME_S] == [True, True, True, False, False]
    assert groups.close_due(at(12)) == 1
    assert groups.fastest_first([3, 2, 1]) == [1, 2, 3]
    assert assign(groups, [1, 2, 3], at(12)) == [100, 50, 40]
    assert {arrive(groups, n, at(22)).group for n in STEP_TIME_S} == {2}
    assert groups.close_due(at(22)) == 2
    assert assign(groups, list(STEP_TIME_S), at(22)) == [100, 50, 40, 25, 20]
    assert {arrive(groups, n, at(32)).group for n in STEP_TIME_S} == {3}
    assert groups.close_due(at(32)) == 3


@pytest.mark.parametrize(("speed_momentum", "last"), [(1.0, 28), (0.9, 29)])
def test_figure_21_a_group_waits_for_a_node_in_time(speed_momentum: float, last: int) -> None:
    """The figure takes the newest speed, 18 s per step; with the memory of 15 s it is 17.7 s."""
    groups = after_the_first_arrivals(speed_momentum=speed_momentum)
    assert [arrive(groups, n, at(12)).group for n in (1, 2)] == [1, 1]
    assert groups.close_due(at(12)) is None
    assert arrive(groups, 3, at(13, 24), step_time_s=(at(13, 24) - at(5)) / 28) == Arrival(group=1)
    assert groups.close_due(at(13, 24)) == 1
    assert assign(groups, [1, 2, 3], at(13, 24)) == [86, 43, last]


def test_figure_22_a_late_node_makes_a_group_of_its_own() -> None:
    groups = after_the_first_arrivals()
    assert [arrive(groups, n, at(12)).group for n in (1, 2)] == [1, 1]
    timer_s = groups.due_at_s()
    assert timer_s is not None
    assert timer_s == pytest.approx(at(14), abs=1e-9)
    assert groups.close_due(at(14)) is None
    assert groups.close_due(timer_s) == 1
    assert assign(groups, [1, 2], timer_s) == [80, 40]
    assert arrive(groups, 3, at(15, 12), (at(15, 12) - at(5)) / 28) == Arrival(is_late=True)
    # 0.1 * 15 + 0.9 * 612 / 28 = 21.171 s per step: 19 steps until 22:00, 47 until 32:00.
    assert groups.assign(3, at(15, 12)) == 47
    # Its own group is due 1.2 times 47 steps later, after the group of the others at 24:48.
    due_s = groups.due_at_s()
    assert due_s == pytest.approx(at(8) + 1.2 * 35 * 24)
    assert [arrive(groups, n, at(22)).group for n in (1, 2, 4, 5)] == [2] * 4
    assert groups.close_due(at(22)) == 2
    expected_s = at(15, 12) + 47 * (0.1 * 15 + 0.9 * 612 / 28)
    assert groups.due_at_s() == pytest.approx(at(15, 12) + 1.2 * (expected_s - at(15, 12)))


def test_a_node_that_arrives_at_the_latest_time_is_in_time_and_a_moment_later_is_not() -> None:
    for now_s, arrival in [(at(14), Arrival(group=1)), (at(14, 1), Arrival(is_late=True))]:
        assert arrive(after_the_first_arrivals(), 3, now_s) == arrival


def test_of_several_groups_a_node_joins_the_one_that_leaves_it_the_most_steps() -> None:
    groups = after_the_first_arrivals()
    for node_id, step_time_s in [(6, 8.0), (7, 5.9)]:
        groups.arrive(node_id, step_time_s=step_time_s, now_s=0.0)
    assert groups.assign(6, at(9)) == 97  # until 22:00; 22 steps fit until 12:00
    assert groups.assign(7, at(10, 2)) == 20  # until 12:00; 121 until 22:00 are beyond the bound
    assert groups.arrive(6, step_time_s=8.0, now_s=at(10)).group == 2
    assert groups.arrive(7, step_time_s=5.9, now_s=at(12)).group == 1


def test_a_tie_goes_to_the_last_group() -> None:
    groups = compass(min_steps=1, max_steps=2)
    for node_id, step_time_s in [(1, 3.0), (2, 4.0)]:
        groups.arrive(node_id, step_time_s=step_time_s, now_s=0.0)
    assert (groups.assign(1, 0.0), groups.assign(2, 0.0)) == (2, 1)  # due at 6: 1 step of 4 s fits
    groups.arrive(3, step_time_s=7.0, now_s=0.0)
    assert groups.assign(3, 0.0) == 1  # no step fits: a group of its own, due at 7
    groups.arrive(4, step_time_s=5.0, now_s=0.0)
    assert groups.assign(4, 0.0) == 1
    assert groups.arrive(4, step_time_s=5.0, now_s=5.0).group == 2


def test_a_new_group_has_steps_within_the_bounds() -> None:
    groups = compass(min_steps=10, max_steps=20)
    groups.arrive(1, step_time_s=1.0, now_s=0.0)
    groups.arrive(2, step_time_s=50.0, now_s=0.0)
    assert groups.assign(1, 0.0) == 20  # due at 20, and next at 40
    assert groups.assign(2, 0.0) == 10  # no step fits until 40
    groups.arrive(3, step_time_s=30.0, now_s=0.0)
    assert groups.assign(3, 0.0) == 16  # until 500, when node 2 is due
    groups.arrive(4, step_time_s=0.5, now_s=0.0)
    assert groups.assign(4, 0.0) == 20  # more fit


def test_a_lost_node_is_no_longer_waited_for() -> None:
    groups = after_the_first_arrivals()
    for node_id in (1, 2):
        arrive(groups, node_id, at(12))
    groups.lose(3)
    assert groups.due_at_s() == -math.inf
    assert groups.close_due(at(12)) == 1
    assert arrive(groups, 3, at(13)) == Arrival(is_late=True)
    # It is back, its speed known: the second group leaves it 36 steps.
    assert groups.assign(3, at(13)) == 36


def test_a_group_of_which_all_are_lost_is_closed_and_none_joins_it() -> None:
    groups = compass()
    arrive(groups, 1, at(2))
    assert groups.assign(1, at(2)) == 100
    groups.lose(1)
    arrive(groups, 2, at(4))
    assert groups.assign(2, at(4)) == 100
    assert groups.close_due(at(4)) == 1
    assert groups.close_due(at(4)) is None


def test_a_node_that_waits_is_not_lost() -> None:
    groups = after_the_first_arrivals()
    arrive(groups, 1, at(12))
    groups.lose(1)
    assert groups.is_waiting(1)
    assert arrive(groups, 1, at(12)) == Arrival(is_late=True)  # the answer to an older message
    assert groups.is_waiting(1)


def test_a_node_that_is_lost_before_it_is_measured_starts_again() -> None:
    groups = compass()
    groups.assign(1, 0.0)
    groups.lose(1)
    assert (groups.assign(1, 5.0), groups.due_at_s(), groups.duration_s(1, 20)) == (20, None, None)


def test_an_arrival_without_a_step_measures_nothing() -> None:
    groups = compass()
    assert groups.arrive(1, step_time_s=None, now_s=1.0) == Arrival()
    assert groups.duration_s(1, 20) is None
    arrive(groups, 1, 2.0)
    groups.assign(1, 2.0)
    assert groups.arrive(1, step_time_s=None, now_s=3.0) == Arrival(group=1)
    assert groups.duration_s(1, 20) == 120.0


def test_the_speed_is_a_moving_average_of_which_the_first_is_taken_as_it_is() -> None:
    groups = compass(speed_momentum=0.75)
    for step_time_s in (0.1, 0.5):
        groups.arrive(1, step_time_s=step_time_s, now_s=1.0)
    assert groups.duration_s(1, 10) == pytest.approx(0.25 * 1 + 0.75 * 5, rel=1e-15)
    groups.arrive(2, step_time_s=0.1, now_s=1.0)
    assert groups.duration_s(2, 1) == 0.1
    groups.arrive(3, step_time_s=0.0, now_s=1.0)
    assert groups.assign(3, 1.0) == 100


Event = tuple[int, float, str]


@settings(deadline=None, max_examples=60)
@given(
    events=st.lists(
        st.tuples(st.integers(1, 4), st.floats(0.01, 30), st.sampled_from(["arrive", "lose"])),
        max_size=60,
    )
)
def test_nobody_waits_beyond_a_timer_and_every_plan_is_within_the_bounds(
    events: list[Event],
) -> None:
    groups, now_s, sent_at_s = (
        compass(min_steps=2, max_steps=10),
        0.0,
        dict.fromkeys(range(1, 5), 0.0),
    )
    for node_id, wait_s, kind in events:
        now_s += wait_s
        if kind == "lose":
            groups.lose(node_id)
        elif not groups.is_waiting(node_id):
            step_time_s = (now_s - sent_at_s[node_id]) / 5
            groups.arrive(node_id, step_time_s=step_time_s, now_s=now_s)
        while groups.close_due(now_s) is not None:
            pass
        due_at_s = groups.due_at_s()
        assert due_at_s is None or due_at_s > now_s
        if groups.is_waiting(node_id):
            assert due_at_s is not None
            assert due_at_s < math.inf
        else:
            assert 2 <= groups.assign(node_id, now_s) <= 10
            sent_at_s[node_id] = now_s
    last_s = now_s + 1.2 * 10 * now_s + 1
    while groups.close_due(last_s) is not None:
        pass
    assert not any(groups.is_waiting(node_id) for node_id in sent_at_s)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"min_steps": 0}, "min_steps must be an integer >= 1, got 0"),
        ({"max_steps": 2.5}, "max_steps must be an integer >= 1, got 2.5"),
        ({"min_steps": 101}, "min_steps must be at most max_steps, got 101 and 100"),
        ({"latest_time_factor": 0.9}, "latest_time_factor must be >= 1 and finite, got 0.9"),
        ({"latest_time_factor": math.inf}, "latest_time_factor must be >= 1 and finite, got inf"),
        ({"speed_momentum": 0.0}, r"speed_momentum must be in \(0, 1\], got 0.0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        compass(**options)

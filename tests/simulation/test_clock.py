"""Virtual time jumps from instant to instant, in an order that is a function of its inputs."""

import math

import pytest

from deepedge_flwr.simulation import HorizonReached, VirtualClock


def test_waiting_jumps_to_the_next_instant() -> None:
    clock, seen = VirtualClock(), list[float]()
    clock.at(2.5, lambda: seen.append(clock.now_s()))
    clock.at(0.5, lambda: seen.append(clock.now_s()))
    assert clock.now_s() == 0.0
    clock.wait()
    assert (clock.now_s(), seen) == (0.5, [0.5])
    clock.wait()
    assert (clock.now_s(), seen) == (2.5, [0.5, 2.5])


def test_a_timeout_before_the_next_instant_ends_the_wait() -> None:
    clock, seen = VirtualClock(), list[str]()
    clock.at(2.0, lambda: seen.append("event"))
    clock.wait(0.75)
    assert (clock.now_s(), seen) == (0.75, [])
    clock.wait(1.25)
    assert (clock.now_s(), seen) == (2.0, ["event"])


def test_time_never_goes_back() -> None:
    clock = VirtualClock()
    clock.wait(1.0)
    clock.wait(-0.5)
    assert clock.now_s() == 1.0


def test_events_of_one_instant_run_by_order_then_by_insertion() -> None:
    clock, seen = VirtualClock(), list[str]()
    for name, order in [("b1", (2,)), ("a", (1,)), ("b2", (2,)), ("first", ())]:
        clock.at(1.0, lambda name=name: seen.append(name), order)  # type: ignore[misc]
    clock.wait()
    assert seen == ["first", "a", "b1", "b2"]


def test_an_event_may_schedule_another_at_the_same_instant() -> None:
    clock, seen = VirtualClock(), list[str]()
    clock.at(1.0, lambda: clock.at(1.0, lambda: seen.append("inner")))
    clock.wait()
    assert (clock.now_s(), seen) == (1.0, ["inner"])


def test_the_horizon_is_the_last_instant() -> None:
    clock, seen = VirtualClock(horizon_s=2.0), list[float]()
    clock.at(2.0, lambda: seen.append(2.0))
    clock.at(2.5, lambda: seen.append(2.5))
    clock.wait()
    assert seen == [2.0]
    with pytest.raises(HorizonReached, match=r"reached its horizon of 2\.0 s"):
        clock.wait()
    assert (clock.now_s(), seen) == (2.0, [2.0])


def test_a_wait_by_timeout_also_ends_at_the_horizon() -> None:
    clock = VirtualClock(horizon_s=1.0)
    with pytest.raises(HorizonReached):
        clock.wait(1.5)
    assert clock.now_s() == 1.0


def test_a_wait_without_end_is_a_deadlock() -> None:
    with pytest.raises(RuntimeError, match="nothing is scheduled and the wait has no timeout"):
        VirtualClock().wait()


def test_a_wait_without_end_reaches_a_finite_horizon() -> None:
    clock = VirtualClock(horizon_s=3.0)
    with pytest.raises(HorizonReached):
        clock.wait()


@pytest.mark.parametrize("horizon_s", [0.0, -1.0, math.nan])
def test_the_horizon_must_be_positive(horizon_s: float) -> None:
    with pytest.raises(ValueError, match=f"horizon_s must be > 0, got {horizon_s}"):
        VirtualClock(horizon_s)


@pytest.mark.parametrize("time_s", [0.5, math.nan])
def test_nothing_is_scheduled_in_the_past(time_s: float) -> None:
    clock = VirtualClock()
    clock.wait(1.0)
    with pytest.raises(ValueError, match=rf"time_s must be >= now \(1\.0\), got {time_s}"):
        clock.at(time_s, lambda: None)

"""What one reply tells about a node, and how replies are averaged."""

from dataclasses import replace

import pytest

from deepedge_flwr.core.profiling import observe
from deepedge_flwr.core.types import DeviceProfile, Telemetry

FRESH = DeviceProfile(node_id=7)


def reply(
    profile: DeviceProfile, busy_s: float, paused_s: float = 0.0, smoothing: float = 0.3
) -> DeviceProfile:
    """Fold in a job of 4 steps with 2 s of links."""
    job_s = busy_s + paused_s + 2.0
    telemetry = Telemetry(num_steps=4, busy_s=busy_s, paused_s=paused_s)
    return observe(
        profile,
        round_trip_s=job_s,
        since_last_s=job_s + 1,
        telemetry=telemetry,
        smoothing=smoothing,
    )


def test_the_first_reply_is_taken_as_it_is() -> None:
    assert reply(FRESH, busy_s=6.0, paused_s=2.0) == DeviceProfile(
        node_id=7,
        step_time_s=1.5,
        pause_fraction=0.25,
        overhead_s=2.0,
        interarrival_s=11.0,
        num_observations=1,
    )


@pytest.mark.parametrize("smoothing", [0.25, 0.5, 1.0])
def test_the_estimate_of_a_step_forgets_geometrically(smoothing: float) -> None:
    profile = FRESH
    for busy_s in (4.0, 8.0, 8.0, 8.0):
        profile = reply(profile, busy_s, smoothing=smoothing)
    # x_n = new + (1 - a)^n (first - new), with 1 s per step at first and 2 s from then on.
    assert profile.step_time_s == 2.0 - (1 - smoothing) ** 3
    assert profile.num_observations == 4


def test_every_estimate_of_the_job_is_smoothed_alike() -> None:
    profile = reply(reply(FRESH, busy_s=4.0), busy_s=8.0, paused_s=8.0)
    assert profile.pause_fraction == pytest.approx(0.3 * 0.5, rel=1e-15)
    assert profile.step_time_s == pytest.approx(0.7 * 1.0 + 0.3 * 2.0, rel=1e-15)
    assert profile.overhead_s == pytest.approx(2.0, rel=1e-15)


def test_the_time_between_replies_is_a_mean_and_then_forgets_slowly() -> None:
    profile, rounds = FRESH, [2.0, 4.0, 9.0, 1.0]
    for since_last_s in rounds:
        profile = observe(
            profile, round_trip_s=1.0, since_last_s=since_last_s, telemetry=None,
            rate_smoothing=0.3,
        )  # fmt: skip
    # The mean of the first three; 1/4 is less than 0.3.
    assert profile.interarrival_s == pytest.approx(0.7 * 5.0 + 0.3 * 1.0, rel=1e-15)


def test_an_absence_counts_for_a_twentieth_of_the_time_between_many_replies() -> None:
    profile = FRESH
    for since_last_s in [2.0] * 30 + [42.0]:
        profile = observe(profile, round_trip_s=1.0, since_last_s=since_last_s, telemetry=None)
    assert profile.interarrival_s == pytest.approx(0.95 * 2.0 + 0.05 * 42.0, rel=1e-12)


def test_a_node_that_stays_what_it_is_keeps_its_estimate() -> None:
    once = reply(FRESH, busy_s=4.0, paused_s=4.0, smoothing=0.5)
    twice = reply(once, busy_s=4.0, paused_s=4.0, smoothing=0.5)
    assert twice == replace(once, num_observations=2)


@pytest.mark.parametrize(
    "telemetry",
    [None, Telemetry(num_steps=0, busy_s=0.0, paused_s=5.0), Telemetry(num_steps=3, busy_s=0.0)],
)
def test_a_reply_without_usable_telemetry_teaches_only_the_arrival_rate(
    telemetry: Telemetry | None,
) -> None:
    profile = observe(FRESH, round_trip_s=9.0, since_last_s=10.0, telemetry=telemetry)
    assert profile == DeviceProfile(node_id=7, interarrival_s=10.0, num_observations=1)


def test_a_reply_faster_than_its_own_training_has_no_overhead() -> None:
    # The node's clock and the server's are two clocks.
    telemetry = Telemetry(num_steps=1, busy_s=5.0)
    profile = observe(FRESH, round_trip_s=4.0, since_last_s=4.0, telemetry=telemetry)
    assert profile.overhead_s == 0.0


def test_a_node_that_is_nearly_always_paused_keeps_a_finite_pace() -> None:
    profile = reply(FRESH, busy_s=4.0, paused_s=4e6)
    assert profile.pause_fraction == 0.99
    assert profile.pace_s == pytest.approx(100.0)


def test_the_old_profile_is_left_alone() -> None:
    reply(FRESH, busy_s=4.0)
    assert DeviceProfile(node_id=7) == FRESH

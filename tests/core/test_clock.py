"""Real time is polled: a wait is one polling interval at most, a sleep is what was asked for."""

import time

import pytest

from deepedge_flwr.core.clock import Clock, WallClock


@pytest.fixture
def slept_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record what the operating system is asked for; no test here waits for real time."""
    durations_s: list[float] = []
    monkeypatch.setattr(time, "sleep", durations_s.append)
    return durations_s


@pytest.mark.parametrize(
    ("timeout_s", "asked_s"), [(0.25, 0.25), (0.5, 0.5), (60.0, 0.5), (0.0, 0.0), (-1.0, 0.0)]
)
def test_a_wait_ends_with_the_timeout_or_the_polling_interval(
    timeout_s: float, asked_s: float, slept_s: list[float]
) -> None:
    WallClock(poll_s=0.5).wait(timeout_s)
    assert slept_s == [asked_s]


@pytest.mark.parametrize(("duration_s", "asked_s"), [(60.0, 60.0), (0.0, 0.0), (-1.0, 0.0)])
def test_a_sleep_is_not_cut_to_the_polling_interval(
    duration_s: float, asked_s: float, slept_s: list[float]
) -> None:
    WallClock(poll_s=0.5).sleep(duration_s)
    assert slept_s == [asked_s]


def test_real_time_never_runs_backwards() -> None:
    clock: Clock = WallClock()
    times_s = [clock.now_s() for _ in range(100)]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize("poll_s", [0.0, -1.0, float("nan")])
def test_a_clock_that_never_sleeps_is_an_error(poll_s: float) -> None:
    with pytest.raises(ValueError, match=f"poll_s must be > 0, got {poll_s}"):
        WallClock(poll_s)

"""Real time is polled, at growing intervals; a sleep is what was asked for."""

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
    WallClock(0.5, 0.5).wait(timeout_s)
    assert slept_s == [asked_s]


def test_the_interval_grows_until_something_happens(slept_s: list[float]) -> None:
    clock = WallClock(0.2, 0.5)
    for _ in range(4):
        clock.wait(60.0)
    clock.stir()
    clock.wait(60.0)
    assert slept_s == pytest.approx([0.2, 0.3, 0.45, 0.5, 0.2])


@pytest.mark.parametrize(("duration_s", "asked_s"), [(60.0, 60.0), (0.0, 0.0), (-1.0, 0.0)])
def test_a_sleep_is_not_cut_to_the_polling_interval(
    duration_s: float, asked_s: float, slept_s: list[float]
) -> None:
    WallClock(0.5, 0.5).sleep(duration_s)
    assert slept_s == [asked_s]


def test_real_time_never_runs_backwards() -> None:
    clock: Clock = WallClock()
    times_s = [clock.now_s() for _ in range(100)]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize("poll_s", [0.0, -1.0, 1.0, float("nan")])
def test_a_clock_that_never_sleeps_is_an_error(poll_s: float) -> None:
    with pytest.raises(ValueError, match=f"need 0 < first_poll_s <= poll_s, got {poll_s} and 0.5"):
        WallClock(poll_s)


def test_the_second_of_the_day_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    local = time.struct_time((2026, 3, 1, 22, 10, 5, 6, 60, 0))
    monkeypatch.setattr(time, "localtime", lambda: local)
    assert WallClock().second_of_day() == 22 * 3600 + 10 * 60 + 5

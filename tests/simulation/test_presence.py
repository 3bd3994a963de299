"""When a device is there: intervals, days, and jobs that are lost."""

import itertools
import math
from typing import Any

import pytest

from deepedge_flwr.simulation import Presence, Schedule, daily_windows


def absences(schedule: Schedule, count: int = 3) -> list[tuple[float, float]]:
    return list(itertools.islice(schedule.absences(), count))


def test_a_day_repeats() -> None:
    schedule = Schedule(online_s=((0.0, 10.0), (15.0, 20.0)), period_s=24.0)
    assert absences(schedule) == [(10.0, 15.0), (20.0, 24.0), (34.0, 39.0)]


def test_a_window_may_go_past_midnight() -> None:
    schedule = Schedule(online_s=((0.0, 4.0), (20.0, 24.0)), period_s=24.0)
    assert absences(schedule, 2) == [(4.0, 20.0), (28.0, 44.0)]


def test_without_a_period_the_last_absence_is_for_good() -> None:
    assert absences(Schedule(online_s=((2.0, 5.0),))) == [(-math.inf, 2.0), (5.0, math.inf)]
    assert absences(Schedule(online_s=((0.0, math.inf),))) == []


def test_always_and_never() -> None:
    assert absences(Schedule(online_s=((0.0, 24.0),), period_s=24.0)) == []
    assert absences(Schedule(online_s=())) == [(-math.inf, math.inf)]
    assert absences(Schedule(online_s=(), period_s=24.0)) == [(-math.inf, math.inf)]


@pytest.mark.parametrize(
    "online_s",
    [
        ((5.0, 5.0),),
        ((5.0, 3.0),),
        ((-1.0, 3.0),),
        ((0.0, 25.0),),
        ((3.0, 6.0), (5.0, 8.0)),
        ((3.0, 6.0), (6.0, 8.0)),
        ((0.0, math.nan),),
    ],
)
def test_intervals_are_ordered_and_apart(online_s: Any) -> None:
    with pytest.raises(ValueError, match=r"ordered, separate intervals .* within \[0, 24.0\], got"):
        Schedule(online_s=online_s, period_s=24.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"job_loss": 1.5}, r"job_loss must be in \[0, 1\], got 1.5"),
        ({"job_loss": math.nan}, r"job_loss must be in \[0, 1\], got nan"),
        ({"mean_absence_s": -1.0}, "mean_absence_s must be finite and >= 0, got -1.0"),
    ],
)
def test_a_presence_out_of_range_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Presence(**changes)
    with pytest.raises(ValueError, match=r"schedule period_s must be > 0, got 0\.0"):
        Schedule(online_s=(), period_s=0.0)


def test_losses_are_a_function_of_the_job_and_as_frequent_as_asked() -> None:
    presence = Presence(job_loss=0.1, mean_absence_s=20.0)
    losses = [presence.loss((0, i, j)) for i in range(30) for j in range(50)]
    assert losses == [presence.loss((0, i, j)) for i in range(30) for j in range(50)]
    found = [loss for loss in losses if loss is not None]
    assert len(found) == 139
    assert sum(loss.absence_s for loss in found) / 139 == pytest.approx(20.0, rel=0.1)
    assert sum(loss.fraction for loss in found) / 139 == pytest.approx(0.5, rel=0.1)
    assert all(0.0 <= loss.fraction < 1.0 for loss in found)


def test_reliable_devices_lose_nothing_and_hopeless_ones_everything() -> None:
    assert all(Presence().loss((0, 0, j)) is None for j in range(20))
    assert all(Presence(job_loss=1.0).loss((0, 0, j)) is not None for j in range(20))


def test_windows_of_a_day_shift_by_no_more_than_their_jitter() -> None:
    windows = daily_windows(50, day_s=120.0, start_s=-35.0, window_s=70.0, jitter_s=15.0, seed=2)
    assert windows == daily_windows(50, 120.0, -35.0, 70.0, 15.0, seed=2)
    assert windows != daily_windows(50, 120.0, -35.0, 70.0, 15.0, seed=3)
    for presence in windows:
        assert presence.schedule is not None
        ((on_0_s, off_s), (back_s, end_s)) = presence.schedule.online_s
        assert (on_0_s, end_s) == (0.0, 120.0)
        assert 20.0 <= off_s <= 50.0
        assert 70.0 <= back_s <= 100.0


def test_a_window_within_the_day_is_one_interval() -> None:
    (presence,) = daily_windows(1, day_s=24.0, start_s=32.0, window_s=6.0)
    assert presence == Presence(schedule=Schedule(online_s=((8.0, 14.0),), period_s=24.0))


def test_a_window_that_could_vanish_or_fill_the_day_is_refused() -> None:
    with pytest.raises(ValueError, match=r"between 2 jitter_s \(8.0\) and .* \(16.0\), got 8.0"):
        daily_windows(1, day_s=24.0, start_s=0.0, window_s=8.0, jitter_s=4.0)
    with pytest.raises(ValueError, match=r"finite day_s > 0 and jitter_s >= 0, got 0\.0 and 0"):
        daily_windows(1, day_s=0.0, start_s=0.0, window_s=8.0)

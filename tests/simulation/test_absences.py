"""A device's absences: what they do to transfers, and what the server sees of them."""

import itertools
import math

from deepedge_flwr.simulation import Presence, Schedule
from deepedge_flwr.simulation.absences import Absences

TWICE = Schedule(online_s=((0.0, 10.0), (14.0, 30.0), (50.0, 100.0)), period_s=100.0)


def absences(schedule: Schedule | None = TWICE, notice_s: float = 5.0) -> Absences:
    return Absences(Presence(schedule=schedule), notice_s)


def test_a_transfer_is_suspended_while_the_device_is_away() -> None:
    away = absences()
    assert away.transfer_end_s(3.0, 7.0) == 10.0
    assert away.transfer_end_s(3.0, 8.0) == 15.0
    assert away.transfer_end_s(12.0, 1.0) == 15.0
    assert away.transfer_end_s(8.0, 20.0) == 52.0
    assert away.transfer_end_s(3.0, 74.0) == 101.0
    assert absences(None).transfer_end_s(0.1, 0.2) == 0.1 + 0.2
    assert absences(Schedule(online_s=((0.0, 1.0),))).transfer_end_s(0.5, 1.0) == math.inf


def test_only_a_long_absence_is_noticed_and_late() -> None:
    away = absences()
    listed = {t: away.is_listed(t) for t in (0.0, 12.0, 14.0, 30.0, 34.9, 35.0, 49.9, 50.0)}
    assert [t for t, is_listed in listed.items() if not is_listed] == [35.0, 49.9]
    assert not away.is_noticed(0.0, 34.9)
    assert away.is_noticed(0.0, 35.0)
    assert away.is_noticed(40.0, 40.0)
    assert not away.is_noticed(50.0, 134.9)
    assert away.is_noticed(50.0, 135.0)


def test_an_absence_as_long_as_the_patience_is_noticed() -> None:
    away = absences(notice_s=20.0)
    assert away.is_noticed(30.0, 50.0)
    assert not absences(notice_s=20.1).is_noticed(30.0, 1000.0)


def test_a_device_that_has_not_come_yet_is_not_listed() -> None:
    away = absences(Schedule(online_s=((7.0, 9.0),)))
    assert [away.is_listed(t) for t in (0.0, 7.0, 13.9, 14.0)] == [False, True, True, False]
    assert away.transfer_end_s(1.0, 1.0) == 8.0


def test_a_loss_lasts_at_least_until_it_is_noticed() -> None:
    away = absences(None)
    away.lose(3.0, 1.0)
    away.lose(40.0, 7.5)
    assert away.until(100.0) == [(3.0, 8.0), (40.0, 47.5)]
    assert away.noticed_s(3.0) == (8.0, 8.0)
    assert away.noticed_s(41.0) == (45.0, 47.5)
    assert away.is_noticed(0.0, 8.0)
    assert not away.is_noticed(8.0, 44.9)


def test_a_loss_and_the_schedule_join_where_they_meet() -> None:
    away = absences()
    away.lose(8.0, 4.0)
    assert away.until(30.0) == [(8.0, 14.0)]
    away.lose(25.0, 5.0)
    away.lose(120.0, 10.0)
    assert away.until(110.5) == [(8.0, 14.0), (25.0, 50.0), (110.0, 114.0)]
    assert away.until(200.0)[3:] == [(120.0, 150.0)]
    assert away.noticed_s(33.0) == (30.0, 50.0)
    spanning = absences()
    spanning.lose(9.0, 22.0)
    assert spanning.until(60.0) == [(9.0, 50.0)]


def test_the_schedule_says_when_the_list_may_change() -> None:
    changes = list(itertools.islice(absences().scheduled_changes(), 4))
    assert changes == [(14.0, False), (35.0, True), (50.0, False), (114.0, False)]
    late = absences(Schedule(online_s=((7.0, 9.0),)))
    assert list(late.scheduled_changes()) == [(0.0, True), (7.0, False), (14.0, True)]
    assert list(absences(None).scheduled_changes()) == []

"""A device's absences in virtual time, and what the server sees of them."""

import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from .presence import Interval, Presence


class Absences:
    """The absences [off, back) of one device: scheduled ones, and those that its jobs cause.

    They are decided only as far ahead as somebody asks. The server lists a device until it has
    been gone for `notice_s`; an absence that ends before that is never noticed.

    Parameters
    ----------
    presence : Presence
        The device's reliability.
    notice_s : float
        The server's patience.
    failures : Sequence[tuple[float, float]]
        Absences beside those of the schedule, in order.
    """

    def __init__(
        self, presence: Presence, notice_s: float, failures: Sequence[Interval] = ()
    ) -> None:
        self._schedule, self._notice_s, self._failures = presence.schedule, notice_s, failures
        self._undecided = self._scheduled()
        self._decided: list[Interval] = []

    def lose(self, off_s: float, absence_s: float) -> None:
        """Take the device away in the future: for so long, but at least until it is noticed."""
        back_s = off_s + max(absence_s, self._notice_s)
        while not self._decided or self._decided[-1][0] <= back_s:
            if not self._decide():
                break
        first = bisect_left(self._decided, off_s, key=_back_s)
        stop = bisect_right(self._decided, back_s, key=_off_s)
        if first < stop:
            off_s = min(off_s, self._decided[first][0])
            back_s = max(back_s, self._decided[stop - 1][1])
        self._decided[first:stop] = [(off_s, back_s)]

    def until(self, time_s: float) -> list[Interval]:
        """Return the absences that begin before `time_s`."""
        self._next(time_s)
        return self._decided[: bisect_left(self._decided, time_s, key=_off_s)]

    def transfer_end_s(self, start_s: float, duration_s: float) -> float:
        """Return when a transfer is through: an absence suspends it."""
        while (absence := self._next(start_s)) and start_s + duration_s > absence[0]:
            duration_s -= max(0.0, absence[0] - start_s)
            start_s = absence[1]
        return start_s + duration_s

    def is_listed(self, time_s: float) -> bool:
        """Return whether the server believes that the device is connected."""
        absence = self._next(time_s)
        return absence is None or time_s < absence[0] + self._notice_s

    def is_noticed(self, since_s: float, until_s: float) -> bool:
        """Return whether the server sees an absence from `since_s` until and with `until_s`."""
        absence = self._next(since_s)
        while absence is not None and absence[0] + self._notice_s <= until_s:
            if absence[0] + self._notice_s <= absence[1]:
                return True
            absence = self._next(absence[1])
        return False

    def noticed_s(self, time_s: float) -> Interval:
        """Return when the server notices the absence at a time, and when that ends."""
        off_s, back_s = self._next(time_s) or (math.inf, math.inf)
        return off_s + self._notice_s, back_s

    def scheduled_changes(self) -> Iterator[tuple[float, bool]]:
        """Yield when the schedule changes what the server sees, and whether for the worse."""
        for off_s, back_s in self._scheduled():
            if off_s + self._notice_s <= back_s:
                yield max(0.0, off_s + self._notice_s), True
            if back_s < math.inf:
                yield back_s, False

    def _scheduled(self) -> Iterator[Interval]:
        """Yield what is known beforehand, in order and apart."""
        scheduled = iter(()) if self._schedule is None else self._schedule.absences()
        current: Interval | None = None
        for absence in heapq.merge(scheduled, self._failures):
            if current is not None and absence[0] <= current[1]:
                absence = current[0], max(current[1], absence[1])
            elif current is not None:
                yield current
            if absence[1] == math.inf:  # a schedule may have no end
                yield absence
                return
            current = absence
        if current is not None:
            yield current

    def _next(self, time_s: float) -> Interval | None:
        """Return the absence at a time, else the next one."""
        while not self._decided or self._decided[-1][1] <= time_s:
            if not self._decide():
                return None
        return self._decided[bisect_right(self._decided, time_s, key=_back_s)]

    def _decide(self) -> bool:
        """Take over the next scheduled absence; return whether there was one."""
        if (absence := next(self._undecided, None)) is None:
            return False
        if self._decided and absence[0] <= self._decided[-1][1]:
            last = self._decided[-1]
            self._decided[-1] = (last[0], max(last[1], absence[1]))
        else:
            self._decided.append(absence)
        return True


def _off_s(absence: Interval) -> float:
    return absence[0]


def _back_s(absence: Interval) -> float:
    return absence[1]

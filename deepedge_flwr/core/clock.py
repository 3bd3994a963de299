"""Time as an interface: the one module of the package that imports `time`."""

import time
from typing import Protocol


class Clock(Protocol):
    """What a server loop needs of time; real and virtual clocks are interchangeable."""

    def now_s(self) -> float:
        """Return the seconds since an arbitrary, fixed origin."""

    def wait(self, timeout_s: float) -> None:
        """Return when something may have happened, after `timeout_s` at the latest."""

    def stir(self) -> None:
        """Take note that something has happened, and that more may soon."""


class WallClock:
    """Real time, polled: nobody tells a real server that a reply has arrived, so it looks.

    Each wait is half as long again as the one before, until something happens: replies come in
    bursts.

    Parameters
    ----------
    first_poll_s, poll_s : float (default: 0.02, 0.5)
        Shortest and longest sleep.
    """

    def __init__(self, first_poll_s: float = 0.02, poll_s: float = 0.5) -> None:
        if not 0 < first_poll_s <= poll_s:
            raise ValueError(f"need 0 < first_poll_s <= poll_s, got {first_poll_s} and {poll_s}")
        self._first_poll_s, self._poll_s, self._next_s = first_poll_s, poll_s, first_poll_s

    def now_s(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def epoch_s(self) -> float:
        """Return the seconds since the epoch, by which servers and nodes tell the time."""
        return time.time()

    def second_of_day(self) -> float:
        """Return the seconds since midnight, local time."""
        local = time.localtime()
        return float(local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec)

    def wait(self, timeout_s: float) -> None:
        """Sleep for `timeout_s`, or for one polling interval if that is shorter."""
        time.sleep(max(0.0, min(timeout_s, self._next_s)))
        self._next_s = min(self._poll_s, 1.5 * self._next_s)

    def stir(self) -> None:
        """Go back to the shortest polling interval."""
        self._next_s = self._first_poll_s

    def sleep(self, duration_s: float) -> None:
        """Sleep for the whole of `duration_s`."""
        time.sleep(max(0.0, duration_s))

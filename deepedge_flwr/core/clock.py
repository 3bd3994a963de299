"""Time as an interface: the one module of the package that imports `time`."""

import time
from typing import Protocol


class Clock(Protocol):
    """What a server loop needs of time; real and virtual clocks are interchangeable."""

    def now_s(self) -> float:
        """Return the seconds since an arbitrary, fixed origin."""

    def wait(self, timeout_s: float) -> None:
        """Return when something may have happened, after `timeout_s` at the latest."""


class WallClock:
    """Real time, polled.

    Parameters
    ----------
    poll_s : float (default: 0.1)
        Longest sleep: nobody tells a real server that a reply has arrived, so it looks.
    """

    def __init__(self, poll_s: float = 0.1) -> None:
        if not poll_s > 0:
            raise ValueError(f"poll_s must be > 0, got {poll_s}")
        self._poll_s = poll_s

    def now_s(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def epoch_s(self) -> float:
        """Return the seconds since the epoch, by which servers and nodes tell the time."""
        return time.time()

    def wait(self, timeout_s: float) -> None:
        """Sleep for `timeout_s`, or for one polling interval if that is shorter."""
        time.sleep(max(0.0, min(timeout_s, self._poll_s)))

    def sleep(self, duration_s: float) -> None:
        """Sleep for the whole of `duration_s`."""
        time.sleep(max(0.0, duration_s))

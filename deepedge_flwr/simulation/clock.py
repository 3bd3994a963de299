"""Virtual time: it passes by stepping from one scheduled instant to the next."""

import heapq
import itertools
import math
from collections.abc import Callable

Order = tuple[int, ...]


class HorizonReached(Exception):
    """The simulation has run for as long as it was asked to."""


class VirtualClock:
    """A clock that jumps to the next scheduled instant whenever somebody waits.

    All events of an instant happen before `wait` returns, in the order (time, order, insertion),
    so a run is a function of its inputs: no thread, no sleep, no stopwatch.

    Parameters
    ----------
    horizon_s : float (default: infinity)
        End of the simulation: whoever waits beyond it gets `HorizonReached`.
    """

    def __init__(self, horizon_s: float = math.inf) -> None:
        if not horizon_s > 0:
            raise ValueError(f"horizon_s must be > 0, got {horizon_s}")
        self.horizon_s = horizon_s
        self._now_s = 0.0
        self._events: list[tuple[float, Order, int, Callable[[], None]]] = []
        self._counter = itertools.count()
        #: Told of every wait; who asks for none is not.
        self.on_wait: Callable[[float], None] | None = None

    def now_s(self) -> float:
        """Return the current virtual time."""
        return self._now_s

    def at(self, time_s: float, action: Callable[[], None], order: Order = ()) -> None:
        """Schedule an action; events of the same instant run by `order`, then by insertion.

        Raises
        ------
        ValueError
            If `time_s` is in the past.
        """
        if not time_s >= self._now_s:
            raise ValueError(f"time_s must be >= now ({self._now_s}), got {time_s}")
        heapq.heappush(self._events, (time_s, order, next(self._counter), action))

    def stir(self) -> None:
        """Do nothing: whoever waits is told."""

    def wait(self, timeout_s: float = math.inf) -> None:
        """Jump to the next instant at which something happens, or by `timeout_s` if that is sooner.

        Raises
        ------
        HorizonReached
            If that instant lies beyond the horizon.
        RuntimeError
            If nothing is scheduled and the wait has no end.
        """
        if self.on_wait is not None:
            self.on_wait(timeout_s)
        next_s = self._events[0][0] if self._events else math.inf
        instant_s = min(next_s, self._now_s + max(0.0, timeout_s))
        if instant_s > self.horizon_s:
            self._now_s = self.horizon_s
            raise HorizonReached(f"virtual time reached its horizon of {self.horizon_s} s")
        if instant_s == math.inf:
            raise RuntimeError("nothing is scheduled and the wait has no timeout: it never ends")
        self._now_s = instant_s
        while self._events and self._events[0][0] <= self._now_s:
            heapq.heappop(self._events)[-1]()

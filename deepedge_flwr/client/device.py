"""The real device that a ClientApp runs on."""

from collections.abc import Sequence

from ..core.clock import WallClock
from .probes import Probe


class LocalDevice:
    """Implements `Device` with the wall clock; a step takes the time it takes.

    Parameters
    ----------
    probe : Probe | None (default: None)
        How the latency of the co-located service is seen. Without one the gate sees no request
        and never holds training back.
    """

    def __init__(self, probe: Probe | None = None) -> None:
        self._clock, self._probe = WallClock(), probe

    @property
    def has_probe(self) -> bool:
        """Whether the service is seen."""
        return self._probe is not None

    def now_s(self) -> float:
        """Return the monotonic clock."""
        return self._clock.now_s()

    def end_step(self) -> None:
        """Do nothing: real time has passed by itself."""

    def pause(self, duration_s: float) -> None:
        """Sleep."""
        self._clock.sleep(duration_s)

    def service_latencies_s(self) -> Sequence[float]:
        """Ask the probe."""
        return [] if self._probe is None else self._probe()

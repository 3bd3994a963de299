"""What a training loop needs of the device it runs on."""

from collections.abc import Sequence
from typing import Protocol


class ProbeFailed(Exception):
    """The service on a device cannot be seen any more; the text says why, in one line."""


class Device(Protocol):
    """A device that trains beside a latency-critical service: live or simulated."""

    def now_s(self) -> float:
        """Return the device's own clock, in seconds since an arbitrary origin."""

    def end_step(self) -> None:
        """Account for the local step that has just been computed."""

    def pause(self, duration_s: float) -> None:
        """Leave the device to the service for `duration_s`."""

    def service_latencies_s(self) -> Sequence[float]:
        """Return the latency of every request the service finished since the last call.

        Raises
        ------
        ProbeFailed
            If nothing is known about the service any more.
        """

"""Linux's pressure-stall information as a probe."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from ...core.clock import WallClock
from ...core.device import ProbeFailed

_FILE = Path("/proc/pressure/cpu")
_LEAST_S = 1e-6


class PressureProbe:
    """How long, of a second, some task of this machine was ready and had no processor.

    The budget is then one of stalled seconds per second: 50 ms are 5 %. Training of the idle class
    waits for the service by design, and counts too: use it without isolation, or on a machine
    whose kernel reports it per group, with the group's own file.

    Parameters
    ----------
    path : Path (default: /proc/pressure/cpu)
        The file, or the `cpu.pressure` of a control group.
    """

    def __init__(self, path: Path = _FILE) -> None:
        self._path, self._clock = path, WallClock()
        self._last: tuple[float, float] | None = None

    def start(self) -> None:
        """Read it once; a kernel that does not tell is the first call's to say."""
        with contextlib.suppress(ProbeFailed):
            self._last = (self._clock.now_s(), self._stalled_s())

    def __call__(self) -> Sequence[float]:
        """Return the share since the last call or the start, as one figure.

        Raises
        ------
        ProbeFailed
            If the kernel does not tell.
        """
        stalled_s = self._stalled_s()
        now_s, last = self._clock.now_s(), self._last
        if last is not None and now_s <= last[0]:
            return []
        self._last = (now_s, stalled_s)
        if last is None:
            return []
        return [max(_LEAST_S, (stalled_s - last[1]) / (now_s - last[0]))]

    def _stalled_s(self) -> float:
        """Return the seconds since the machine was started."""
        try:
            line = self._path.read_text(encoding="ascii").splitlines()[0]
            return int(line.rpartition("total=")[2]) / 1e6
        except (OSError, ValueError, IndexError) as error:
            raise ProbeFailed(f"no pressure-stall information in {self._path}: {error}") from error

    def close(self) -> None:
        """Do nothing: no file is held open."""

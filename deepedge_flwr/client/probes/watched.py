"""A probe that is not believed blindly."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

from ...core.clock import WallClock
from ...core.device import ProbeFailed

#: Returns the latency of every request the co-located service finished since the last call.
Probe = Callable[[], Sequence[float]]
_LOOK_EVERY_S = 0.005


class Watched:
    """A probe whose silence, death or lies are told.

    It fails if the probe raises, reports what is no latency (zero, negative, not finite, not a
    number), or nothing for `silence_s`.

    Parameters
    ----------
    probe : Probe
        What sees the service.
    silence_s : float
        Longest time without any request; infinite for who need not know.
    """

    def __init__(self, probe: Probe, silence_s: float) -> None:
        self._probe, self._silence_s, self._clock = probe, silence_s, WallClock()
        # From the first look on: the app may load its data for long before it.
        self._heard_at_s: float | None = None
        self._was_heard = math.isinf(silence_s)

    def __call__(self) -> Sequence[float]:
        """Return what the probe has seen since the last call; the first call waits for something.

        Raises
        ------
        ProbeFailed
            If it is not to be believed.
        """
        latencies_s = self._checked()
        while not self._was_heard:
            self._clock.sleep(_LOOK_EVERY_S)
            latencies_s = self._checked()
        return latencies_s

    def _checked(self) -> Sequence[float]:
        try:
            latencies_s = [*self._probe()]
        except ProbeFailed:
            raise
        except Exception as error:  # the app's own function: anything may be wrong with it
            raise ProbeFailed(f"raised {type(error).__name__}: {error}") from error
        for value in latencies_s:
            if isinstance(value, bool | str | bytes) or not _is_latency(value):
                raise ProbeFailed(f"reported {value!r}: a latency is a finite number of s > 0")
        now_s = self._clock.now_s()
        if latencies_s or self._heard_at_s is None:
            self._heard_at_s, self._was_heard = now_s, self._was_heard or bool(latencies_s)
        elif now_s - self._heard_at_s > self._silence_s:
            raise ProbeFailed(f"saw no request for {self._silence_s:g} s")
        return latencies_s


@contextlib.contextmanager
def watching(probe: Probe | None, silence_s: float, *, gates: bool) -> Iterator[Probe | None]:
    """Start a probe, and end it after the with block.

    Parameters
    ----------
    probe : Probe | None
        What sees the service; one that has a `start` and a `close` has them called.
    silence_s : float
        See `Watched`.
    gates : bool
        Whether training depends on it; otherwise it may be silent.
    """
    if probe is None:
        yield None
        return
    try:
        # One that fails now fails again at the first look, where it is told.
        with contextlib.suppress(ProbeFailed):
            getattr(probe, "start", _nothing)()
        yield Watched(probe, silence_s if gates else math.inf)
    finally:
        getattr(probe, "close", _nothing)()


def _nothing() -> None:
    pass


def _is_latency(value: object) -> bool:
    try:
        return 0 < value < math.inf  # type: ignore[operator]
    except TypeError:
        return False

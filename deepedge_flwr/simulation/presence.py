"""When a simulated device is on the network, and when it fails at what it was given."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Intervals in which a device is on the network, the same in every period.

    Attributes
    ----------
    online_s : tuple[tuple[float, float], ...]
        [on, off) in seconds, in order and apart; none at all is a device that never comes.
    period_s : float (default: infinity)
        Length of the day, or of the trace, that repeats; infinity does not.
    """

    online_s: tuple[Interval, ...]
    period_s: float = math.inf

    def __post_init__(self) -> None:
        if not self.period_s > 0:
            raise ValueError(f"schedule period_s must be > 0, got {self.period_s}")
        end_s = -math.inf
        for on_s, off_s in self.online_s:
            if not (max(0.0, end_s) <= on_s < off_s <= self.period_s and on_s != end_s):
                raise ValueError(
                    "schedule online_s must be ordered, separate intervals [on, off) within "
                    f"[0, {self.period_s}], got [{on_s}, {off_s}) after {end_s}"
                )
            end_s = off_s

    @classmethod
    def repeating(cls, intervals: Iterable[Interval], period_s: float) -> "Schedule":
        """Make a schedule of intervals anywhere in time: each repeats, and they may overlap.

        Time 0 is where it was: an interval reaches into the period in which it falls.
        """
        parts: list[Interval] = []
        for on_s, off_s in intervals:
            start_s = on_s % period_s
            end_s = start_s + off_s - on_s
            wrapped_s = min(end_s - period_s, period_s)
            parts += [(start_s, min(end_s, period_s)), (0.0, wrapped_s)][: 1 + (wrapped_s > 0)]
        online_s: list[Interval] = []
        for on_s, off_s in sorted(parts):
            if online_s and on_s <= online_s[-1][1]:
                online_s[-1] = (online_s[-1][0], max(off_s, online_s[-1][1]))
            elif off_s > on_s:
                online_s.append((on_s, off_s))
        return cls(online_s=tuple(online_s), period_s=period_s)

    def absences(self) -> Iterator[Interval]:
        """Yield the gaps [off, back) in order; a device not there at time 0 never was before."""
        if self.online_s == ((0.0, self.period_s),):
            return
        off_s = -math.inf
        for cycle in itertools.count() if self.online_s else ():
            since_s = cycle * self.period_s if cycle else 0.0
            for on_s, end_s in self.online_s:
                if since_s + on_s > max(0.0, off_s):
                    yield off_s, since_s + on_s
                off_s = since_s + end_s
            if self.period_s == math.inf:
                break
        if off_s < math.inf:
            yield off_s, math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """How a job ends that is lost: at which fraction of it, and how long its device is gone."""

    fraction: float
    absence_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """How reliable a device is.

    A device that its schedule takes off the network goes on computing and serving; transfers stop
    and go on where they were when it is back. A training job is lost with probability `job_loss`:
    at a uniform point of its local run the device restarts, and is gone for an exponential time,
    but at least until the server has noticed (Flower's SuperLink refuses a restarted SuperNode
    for as long as it lists the former one). Its co-located service runs on.

    Attributes
    ----------
    schedule : Schedule | None (default: None)
        When it is on the network; None for always.
    job_loss : float (default: 0.0)
        Probability that a training job is lost.
    mean_absence_s : float (default: 0.0)
        Mean of the time for which the device is gone then.
    """

    schedule: Schedule | None = None
    job_loss: float = 0.0
    mean_absence_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.job_loss <= 1:
            raise ValueError(f"presence job_loss must be in [0, 1], got {self.job_loss}")
        if not 0 <= self.mean_absence_s < math.inf:
            raise ValueError(
                f"presence mean_absence_s must be finite and >= 0, got {self.mean_absence_s}"
            )

    def loss(self, seed: tuple[int, int, int]) -> Loss | None:
        """Return how the training job with this (seed, device, job) is lost; None if it is not."""
        if not self.job_loss:
            return None
        random = np.random.default_rng((*seed, 5))
        chance, fraction = random.random(2)
        if chance >= self.job_loss:
            return None
        absence_s = random.exponential(self.mean_absence_s)
        return Loss(fraction=float(fraction), absence_s=float(absence_s))


def daily_windows(
    num_nodes: int,
    day_s: float,
    start_s: float,
    window_s: float,
    jitter_s: float = 0.0,
    seed: int = 0,
) -> Sequence[Presence]:
    """Devices that are on the network once a day, around the same hours.

    Parameters
    ----------
    num_nodes : int
        Number of devices.
    day_s : float
        Length of a day.
    start_s : float
        Mean start of the window, in the day; it may go past midnight.
    window_s : float
        Mean length of the window.
    jitter_s : float (default: 0.0)
        A device's window starts and ends up to so much earlier or later, uniformly.
    seed : int (default: 0)
        A device's two shifts are a function of it and the device.
    """
    if not (0 < day_s < math.inf and 0 <= jitter_s < math.inf):
        raise ValueError(f"need finite day_s > 0 and jitter_s >= 0, got {day_s} and {jitter_s}")
    if not 2 * jitter_s < window_s < day_s - 2 * jitter_s:
        raise ValueError(
            f"window_s must be between 2 jitter_s ({2 * jitter_s}) and day_s - 2 jitter_s "
            f"({day_s - 2 * jitter_s}), got {window_s}"
        )
    windows = []
    for i in range(num_nodes):
        early_s, late_s = np.random.default_rng((seed, i, 6)).uniform(-jitter_s, jitter_s, 2)
        window = float(start_s + early_s), float(start_s + window_s + late_s)
        windows.append(Presence(schedule=Schedule.repeating([window], day_s)))
    return windows

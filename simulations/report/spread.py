"""Mean and range over seeds, also of quantities cut off at the end of a run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean, smallest and largest value over the seeds."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What it took to reach the target, over seeds some of which may never have reached it.

    A seed that never reached the target counts with its value at the end of the run (right
    censoring), so ``mean`` and ``high`` are lower bounds unless every seed reached it.
    """

    mean: float
    low: float
    high: float
    reached: int
    total: int

    @property
    def complete(self) -> bool:
        """Whether every seed reached the target."""
        return self.reached == self.total

    @property
    def never(self) -> bool:
        """Whether no seed reached the target."""
        return self.reached == 0


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean and range of the values that are there; None where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    return Spread(mean=mean, low=min(known), high=max(known), count=len(known))


def reach(values: Sequence[float | None], limits: Sequence[float]) -> Reach:
    """Return mean and range of ``values``, with the run's limit in place of a None."""
    pairs = zip(values, limits, strict=True)
    known = [limit if value is None else value for value, limit in pairs]
    return Reach(
        mean=sum(known) / len(known),
        low=min(known),
        high=max(known),
        reached=sum(value is not None for value in values),
        total=len(known),
    )

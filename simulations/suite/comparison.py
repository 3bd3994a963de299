"""Arms against each other in one scenario, and over all of them: pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..report.spread import Reach, Spread, reach, spread
from ..summary import Summary
from ..sweep import Overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A quotient of two means either of which may be a lower bound.

    Attributes
    ----------
    value : float
        Quotient of the means, seeds that did not get there counted with their horizon.
    at_least, at_most : bool
        Whether the true quotient may be larger (the upper mean is a lower bound) or smaller (the
        lower mean is). With both, nothing is known but the value itself.
    """

    value: float
    at_least: bool = False
    at_most: bool = False

    @property
    def mark(self) -> str:
        """The sign in front of the value."""
        return {(True, False): "≥ ", (False, True): "≤ ", (True, True): "~ "}.get(
            (self.at_least, self.at_most), ""
        )


def ratio(upper: Reach, lower: Reach) -> Ratio:
    """Return the quotient of two means."""
    return Ratio(
        value=upper.mean / lower.mean, at_least=not upper.complete, at_most=not lower.complete
    )


def geometric_mean(ratios: Iterable[Ratio | None]) -> Ratio | None:
    """Return (Π x_i)^(1/n) of those that are there, with the bounds of any; None of nothing."""
    known = [r for r in ratios if r is not None]
    if not known:
        return None
    return Ratio(
        value=math.exp(math.fsum(math.log(r.value) for r in known) / len(known)),
        at_least=any(r.at_least for r in known),
        at_most=any(r.at_most for r in known),
    )


def largest(ratios: Iterable[Ratio | None]) -> Ratio | None:
    """Return the largest of those that are there; None of nothing.

    It is a lower bound if any is: that one may really be the largest.
    """
    known = [r for r in ratios if r is not None]
    if not known:
        return None
    top = max(known, key=lambda r: r.value)
    return replace(top, at_least=any(r.at_least for r in known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run: its figures, and its time to each mark, None where it never got there."""

    summary: Summary
    times_s: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All the seeds of one arm in one scenario.

    Attributes
    ----------
    name : str
        The arm, for readers.
    choice : Overrides
        What was chosen for it, if it was tuned.
    results : tuple[Result, ...]
        One per seed, at least one.
    """

    name: str
    choice: Overrides = ()
    results: tuple[Result, ...]

    def time_s(self, mark: int = 0) -> Reach:
        """Virtual time to a mark, in s; cut at the horizon."""
        return reach([r.times_s[mark] for r in self.results], self._column("horizon_s"))

    @property
    def num_bytes(self) -> Reach:
        """Bytes in both directions to the target; cut at all the bytes of the run."""
        totals = [r.summary.bytes_up + r.summary.bytes_down for r in self.results]
        return reach([r.summary.bytes_to_target for r in self.results], totals)

    @property
    def violation_rate(self) -> Spread | None:
        """Share of the requests answered too late; None where no request was served."""
        return spread(r.summary.violation_rate for r in self.results if r.summary.num_requests)

    def spread_of(self, key: str) -> Spread:
        """Return mean and range over the seeds of one key of summary.json."""
        found = spread(self._column(key))
        assert found is not None
        return found

    def _column(self, key: str) -> list[float]:
        return [getattr(r.summary, key) for r in self.results]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who is compared with whom; see `Suite`."""

    subject: str
    oracle: str
    bounds: tuple[str, ...]

    def competes(self, arm: str) -> bool:
        """Whether an arm can win a scenario."""
        return arm not in self.bounds

    def is_baseline(self, arm: str) -> bool:
        """Whether an arm competes with the subject."""
        return self.competes(arm) and arm != self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One scenario: a task on a fleet.

    Attributes
    ----------
    task, fleet : str
        Its names in the suite.
    roles : Roles
        Who is compared with whom.
    entries : Mapping[str, Entry]
        By arm, in the suite's order; an arm whose runs all failed is missing.
    """

    task: str
    fleet: str
    roles: Roles
    entries: Mapping[str, Entry]

    @property
    def title(self) -> str:
        """Task and fleet in one line."""
        return f"{self.task} · {self.fleet}"

    @property
    def best_baseline(self) -> str | None:
        """The baseline with the smallest mean time, a lower bound taken as it is: the strictest."""
        rivals = [arm for arm in self.entries if self.roles.is_baseline(arm)]
        return min(rivals, key=lambda arm: self.entries[arm].time_s().mean, default=None)

    @property
    def winner(self) -> str | None:
        """The competitor with most seeds at the target, then the soonest; None without a seed."""
        arms = [
            arm
            for arm, entry in self.entries.items()
            if self.roles.competes(arm) and not entry.time_s().never
        ]
        return min(arms, key=self._rank, default=None)

    def _rank(self, arm: str) -> tuple[float, float]:
        time = self.entries[arm].time_s()
        return -time.reached / time.total, time.mean

    def to_oracle(self, arm: str) -> Ratio | None:
        """Return an arm's time relative to the oracle's."""
        return self._to(arm, self.roles.oracle)

    def to_best_baseline(self, arm: str) -> Ratio | None:
        """Return an arm's time relative to that of the best baseline."""
        return self._to(arm, self.best_baseline)

    def _to(self, arm: str, other: str | None) -> Ratio | None:
        if arm not in self.entries or other is None or other not in self.entries:
            return None
        return ratio(self.entries[arm].time_s(), self.entries[other].time_s())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One arm over all scenarios.

    Attributes
    ----------
    to_oracle, to_best_baseline : Ratio | None
        Geometric means over the scenarios.
    num_won, num_complete, num_scenarios : int
        Scenarios won, those where all seeds reached the target, and those with a result.
    worst : Ratio | None
        Largest time relative to the oracle.
    """

    arm: str
    name: str
    to_oracle: Ratio | None
    to_best_baseline: Ratio | None
    num_won: int
    num_complete: int
    num_scenarios: int
    worst: Ratio | None


def standings(comparisons: Sequence[Comparison]) -> list[Standing]:
    """Return a row per arm, the smallest mean time relative to the oracle first."""
    names = {arm: e.name for c in comparisons for arm, e in c.entries.items()}
    rows = [_standing(arm, name, comparisons) for arm, name in names.items()]
    return sorted(rows, key=lambda row: row.to_oracle.value if row.to_oracle else math.inf)


def _standing(arm: str, name: str, comparisons: Sequence[Comparison]) -> Standing:
    there = [c for c in comparisons if arm in c.entries]
    to_oracle = [c.to_oracle(arm) for c in there]
    return Standing(
        arm=arm,
        name=name,
        to_oracle=geometric_mean(to_oracle),
        to_best_baseline=geometric_mean(c.to_best_baseline(arm) for c in there),
        num_won=sum(c.winner == arm for c in there),
        num_complete=sum(c.entries[arm].time_s().complete for c in there),
        num_scenarios=len(there),
        worst=largest(to_oracle),
    )

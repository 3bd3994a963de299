"""What runs cost: how long the rest will take, and which run to start next."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import mean

from .plan import PlannedRun


class Costs:
    """Measured seconds of one core per run, by arm and fleet."""

    def __init__(self) -> None:
        self._measured: dict[tuple[str, str], list[float]] = {}

    def add(self, run: PlannedRun, cost_s: float) -> None:
        """Note what a run took."""
        self._measured.setdefault((run.arm, run.fleet), []).append(cost_s)

    def of(self, run: PlannedRun) -> float | None:
        """Return the mean cost of the run's arm on its fleet.

        Without a run of both it is that of the arm on other fleets, then that of other arms on
        the fleet, then that of all runs; None before the first.
        """
        if (measured := self._measured.get((run.arm, run.fleet))) is not None:
            return mean(measured)
        same_arm = [
            c for (arm, _), costs in self._measured.items() if arm == run.arm for c in costs
        ]
        same_fleet = [
            c for (_, fleet), costs in self._measured.items() if fleet == run.fleet for c in costs
        ]
        everything = [c for costs in self._measured.values() for c in costs]
        known = same_arm or same_fleet or everything
        return mean(known) if known else None

    def total(self, runs: Iterable[PlannedRun]) -> float | None:
        """Return the cost of all the runs together; None before anything was measured."""
        groups: dict[tuple[str, str], list[PlannedRun]] = {}
        for run in runs:
            groups.setdefault((run.arm, run.fleet), []).append(run)
        costs = [(self.of(group[0]), len(group)) for group in groups.values()]
        if any(cost is None for cost, _ in costs):
            return None
        return sum(count * cost for cost, count in costs if cost is not None)


def longest_first(runs: Sequence[PlannedRun], costs: Costs) -> Iterator[PlannedRun]:
    """Yield each run once, always the longest of those left by what is known at that moment.

    A long run that starts last would keep one core busy while the others have nothing to do.
    Runs of the same cost keep their order.
    """
    groups: dict[tuple[str, str], list[PlannedRun]] = {}
    for run in reversed(runs):
        groups.setdefault((run.arm, run.fleet), []).append(run)
    order = {(run.arm, run.fleet): index for index, run in reversed(list(enumerate(runs)))}
    while groups:
        longest = max(groups, key=lambda key: (costs.of(groups[key][-1]) or 0.0, -order[key]))
        yield groups[longest].pop()
        if not groups[longest]:
            del groups[longest]

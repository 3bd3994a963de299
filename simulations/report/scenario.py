"""Group runs into scenarios and, inside, into arms: the seeds of one strategy label."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulations.report.load import Run, Summary
from simulations.report.spread import Reach, Spread, reach, spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """All the runs of one label in one scenario, one run per seed."""

    label: str
    runs: tuple[Run, ...]

    @property
    def strategy(self) -> str:
        """The identifier of the strategy."""
        return self.runs[0].summary.strategy

    @property
    def summaries(self) -> list[Summary]:
        """The key figures, one per seed."""
        return [run.summary for run in self.runs]

    @property
    def time_s(self) -> Reach:
        """Virtual time to the target accuracy, in s; cut at the horizon."""
        return reach([s.time_to_target_s for s in self.summaries], self._column("horizon_s"))

    @property
    def num_bytes(self) -> Reach:
        """Bytes in both directions to the target accuracy; cut at all the bytes of the run."""
        totals = [s.bytes_up + s.bytes_down for s in self.summaries]
        return reach([s.bytes_to_target for s in self.summaries], totals)

    @property
    def violation_rate(self) -> Spread | None:
        """Share of the requests answered too late; None where no request was served."""
        return spread(s.violation_rate for s in self.summaries if s.num_requests)

    def spread_of(self, key: str) -> Spread | None:
        """Return mean and range over the seeds of one key of summary.json."""
        return spread(self._column(key))

    def _column(self, key: str) -> list[float]:
        return [getattr(summary, key) for summary in self.summaries]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One task on one fleet beside one service, and the arms which ran it, fastest first."""

    task: str
    fleet: str
    service: str
    arms: tuple[Arm, ...]
    cautions: tuple[str, ...]

    @property
    def first(self) -> Summary:
        """The key figures of one run, for what all the runs of a scenario share."""
        return self.arms[0].runs[0].summary

    @property
    def title(self) -> str:
        """Task, fleet and service in one line."""
        return f"{self.task} · {self.fleet} · {self.service}"

    @property
    def horizon_s(self) -> float:
        """The longest horizon of the runs, in s."""
        return max(run.summary.horizon_s for arm in self.arms for run in arm.runs)

    @property
    def best_time_s(self) -> float | None:
        """The shortest mean time to target of the arms whose seeds all reached it."""
        means = [arm.time_s.mean for arm in self.arms if arm.time_s.complete]
        return min(means, default=None)


def group_runs(runs: Iterable[Run]) -> list[Scenario]:
    """Return the scenarios of ``runs``, keyed by (task, fleet, service), in that order.

    A run that was simulated twice, event for event, counts once.
    """
    groups: dict[tuple[str, str, str], list[Run]] = {}
    distinct = {(r.summary.label, r.summary.event_log_sha256): r for r in runs}
    for run in distinct.values():
        summary = run.summary
        groups.setdefault((summary.task, summary.fleet, summary.service), []).append(run)
    return [_scenario(key, group) for key, group in sorted(groups.items())]


def _scenario(key: tuple[str, str, str], runs: Sequence[Run]) -> Scenario:
    by_label: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.summary.seed, run.path)):
        by_label.setdefault(run.summary.label, []).append(run)
    arms = [Arm(label=label, runs=tuple(group)) for label, group in by_label.items()]
    arms.sort(key=_rank)
    task, fleet, service = key
    return Scenario(
        task=task,
        fleet=fleet,
        service=service,
        arms=tuple(arms),
        cautions=tuple(_cautions(arms)),
    )


def _rank(arm: Arm) -> tuple[float, float, float, str]:
    """Return the sort key: more seeds reached, sooner, more accurate in the end, by name."""
    accuracy = sum(summary.final_accuracy for summary in arm.summaries) / len(arm.runs)
    return -arm.time_s.reached / arm.time_s.total, arm.time_s.mean, -accuracy, arm.label


def _cautions(arms: Sequence[Arm]) -> list[str]:
    """Return what makes the arms of a scenario hard to compare, a sentence each."""
    summaries = [summary for arm in arms for summary in arm.summaries]
    found = []
    for key in ("target_accuracy", "horizon_s", "num_nodes", "latency_budget_s", "engine"):
        values = {getattr(summary, key) for summary in summaries}
        if len(values) > 1:
            listed = ", ".join(sorted(map(str, values)))
            found.append(f"The runs differ in {key} ({listed}): compare them with care.")
    for arm in arms:
        if any(run.summary.num_updates and not run.ledger.traffic.size for run in arm.runs):
            found.append(
                f"{arm.label} has ledgers of evaluations alone (write_ledger=false): its bytes "
                "over time and its timeline are missing."
            )
        counts = Counter(summary.seed for summary in arm.summaries)
        twice = sorted(seed for seed, count in counts.items() if count > 1)
        if twice:
            listed = ", ".join(map(str, twice))
            found.append(f"{arm.label} has more than one run of seed {listed}: each counts.")
    if len({tuple(sorted({s.seed for s in arm.summaries})) for arm in arms}) > 1:
        found.append("The strategies did not run with the same seeds.")
    if max(len(arm.runs) for arm in arms) == 1:
        found.append("One seed per strategy: the spread between repetitions is unknown.")
    return found

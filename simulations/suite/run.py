"""Run a suite stage by stage; what is finished is not run again."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..configuration import compose_config
from ..sweep import Cost, Outcome, Overrides, simulate
from .cost import Costs, longest_first
from .folders import Reuse, finished, run_folder, source_hash
from .plan import (
    Cell,
    PlannedRun,
    Stage,
    Suite,
    reference_accuracies,
    reference_runs,
    reported_runs,
    tuning_runs,
)
from .tune import Trial, best_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that raised."""

    run: PlannedRun
    overrides: Overrides
    error: str

    @property
    def command(self) -> str:
        """The command line that runs it alone."""
        return f"python -m simulations.run {shlex.join(self.overrides)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a suite has come.

    Attributes
    ----------
    stage : Stage
        What is running.
    num_done, num_runs : int
        Runs that have ended, and those of all stages.
    done_s, left_s : float | None
        Seconds of one core behind and ahead; None before a run was measured.
    """

    stage: Stage
    num_done: int
    num_runs: int
    done_s: float
    left_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """A suite whose stages have all run.

    Attributes
    ----------
    reference : Mapping[tuple[str, int], float]
        Reference accuracy per (task, seed).
    choices : Mapping[Cell, int]
        Index of the chosen configuration per tuned cell.
    outcomes : Mapping[PlannedRun, Outcome]
        Of every run that ended well.
    failures : tuple[Failure, ...]
        Of every run that raised.
    skipped : tuple[PlannedRun, ...]
        Runs without a target or a choice, because the runs that give it failed.
    num_simulated : int
        Runs that were not there before.
    """

    suite: Suite
    reference: Mapping[tuple[str, int], float]
    choices: Mapping[Cell, int]
    outcomes: Mapping[PlannedRun, Outcome]
    failures: tuple[Failure, ...]
    skipped: tuple[PlannedRun, ...]
    num_simulated: int

    @property
    def complete(self) -> bool:
        """Whether no run is missing."""
        return not self.failures and not self.skipped


def run_suite(
    suite: Suite,
    folder: Path,
    *,
    num_processes: int | None = None,
    reuse: Reuse = "source",
    on_status: Callable[[Status], None] = lambda status: None,
) -> SuiteRun:
    """Run what is missing of a suite.

    Parameters
    ----------
    suite : Suite
        What to run.
    folder : Path
        Holds a folder per run, of this suite and of others.
    num_processes : int | None (default: None)
        Runs at a time; None is one per core.
    reuse : Reuse (default: "source")
        Which finished runs count; see `finished`.
    on_status : Callable[[Status], None]
        Called at the beginning of a stage and after each run.
    """
    return _Runner(suite, folder, num_processes, reuse, on_status).run()


class _Runner:
    def __init__(
        self,
        suite: Suite,
        folder: Path,
        num_processes: int | None,
        reuse: Reuse,
        on_status: Callable[[Status], None],
    ) -> None:
        self._suite, self._folder, self._reuse = suite, folder, reuse
        self._num_processes, self._on_status = num_processes, on_status
        self._costs, self._done_s, self._num_simulated = Costs(), 0.0, 0
        self._outcomes: dict[PlannedRun, Outcome] = {}
        self._failures: list[Failure] = []
        self._skipped: list[PlannedRun] = []
        self._reference: dict[tuple[str, int], float] = {}
        self._stages: dict[Stage, list[PlannedRun]] = {
            "reference": reference_runs(suite),
            "tuning": tuning_runs(suite),
            "reported": reported_runs(suite, {}),
        }
        self._num_runs = sum(map(len, self._stages.values()))

    def run(self) -> SuiteRun:
        suite = self._suite
        self._run_stage("reference")
        best = [(run, o.summary.best_accuracy) for run, o in self._outcomes.items() if o.summary]
        self._reference = reference_accuracies(best, len(suite.reference.arms))
        self._run_stage("tuning")
        choices = self._choices()
        self._stages["reported"] = reported_runs(suite, choices)
        self._run_stage("reported")
        return SuiteRun(
            suite=suite,
            reference=self._reference,
            choices=choices,
            outcomes=self._outcomes,
            failures=tuple(self._failures),
            skipped=tuple(self._skipped),
            num_simulated=self._num_simulated,
        )

    def _run_stage(self, stage: Stage) -> None:
        pending: dict[PlannedRun, tuple[Path, Overrides]] = {}
        for run in self._stages.pop(stage):
            if (overrides := self._overrides(run)) is None:
                self._skipped.append(run)
                continue
            folder = self._folder / run_folder(run, compose_config(overrides), source_hash())
            if (outcome := finished(folder, self._reuse)) is not None:
                self._note(run, outcome)
            else:
                pending[run] = (folder, overrides)
        self._report(stage, pending)
        self._simulate(stage, pending)

    def _overrides(self, run: PlannedRun) -> Overrides | None:
        """Return a run's overrides; None if its target or its choice is missing."""
        if run.stage == "reference":
            return run.overrides
        accuracy = self._reference.get((run.task, run.seed))
        unchosen = run.arm in self._suite.grids and run.choice is None
        return (
            None if accuracy is None or unchosen else run.towards(self._suite.marks[0] * accuracy)
        )

    def _simulate(self, stage: Stage, pending: dict[PlannedRun, tuple[Path, Overrides]]) -> None:
        of_folder = {folder: run for run, (folder, _) in pending.items()}
        queue = (pending[run] for run in longest_first(list(pending), self._costs))
        waiting = dict(pending)
        with closing(simulate(queue, self._num_processes)) as outcomes:
            for outcome in outcomes:
                run = of_folder[outcome.folder]
                _, overrides = waiting.pop(run)
                self._num_simulated += 1
                if outcome.summary is None:
                    failure = Failure(run=run, overrides=overrides, error=outcome.error)
                    self._failures.append(failure)
                else:
                    self._note(run, outcome)
                self._report(stage, waiting)

    def _note(self, run: PlannedRun, outcome: Outcome) -> None:
        cost = outcome.cost or Cost(wall_s=0.0, cpu_s=0.0)
        self._outcomes[run] = outcome
        self._costs.add(run, cost.cpu_s)
        self._done_s += cost.cpu_s

    def _report(self, stage: Stage, waiting: Mapping[PlannedRun, object]) -> None:
        left = [*waiting, *(run for runs in self._stages.values() for run in runs)]
        self._on_status(
            Status(
                stage=stage,
                num_done=self._num_runs - len(left),
                num_runs=self._num_runs,
                done_s=self._done_s,
                left_s=self._costs.total(left),
            )
        )

    def _choices(self) -> dict[Cell, int]:
        """Choose per tuned cell among the configurations whose runs all ended well."""
        trials: dict[Cell, dict[int, list[Trial]]] = {}
        for run, outcome in self._outcomes.items():
            if run.stage == "tuning" and run.choice is not None and outcome.summary is not None:
                trials.setdefault(run.cell, {}).setdefault(run.choice, []).append(_trial(outcome))
        complete = {
            cell: {c: t for c, t in grid.items() if len(t) == len(self._suite.tuning_seeds)}
            for cell, grid in trials.items()
        }
        return {cell: best_choice(grid) for cell, grid in complete.items() if grid}


def _trial(outcome: Outcome) -> Trial:
    summary = outcome.summary
    assert summary is not None
    return Trial(
        time_to_target_s=summary.time_to_target_s,
        horizon_s=summary.horizon_s,
        final_accuracy=summary.final_accuracy,
    )


def total_cost(outcomes: Sequence[Outcome]) -> Cost:
    """Return what runs took together."""
    costs = [outcome.cost for outcome in outcomes if outcome.cost is not None]
    return Cost(wall_s=sum(c.wall_s for c in costs), cpu_s=sum(c.cpu_s for c in costs))

"""Which runs a suite is made of: pure, from its settings to lists of overrides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from ..sweep import Overrides

Stage = Literal["reference", "tuning", "reported"]
#: (task, fleet, arm): what is tuned together.
Cell = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The runs that fix a task's targets: all arms on one fleet, for one horizon."""

    arms: Mapping[str, Overrides]
    overrides: Overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The settings of a suite; all overrides are those of `python -m simulations.run`.

    Attributes
    ----------
    name : str
        Names its folder and its report.
    subject : str
        The arm that is compared with all others.
    oracle : str
        The arm whose time is the unit of all times.
    bounds : tuple[str, ...]
        Arms that are shown but are no competitors; the oracle is one.
    tasks, fleets, arms : Mapping[str, Overrides]
        By name, in the order of the tables; a fleet's overrides hold its horizon.
    grids : Mapping[str, tuple[Overrides, ...]]
        Configurations to choose from, for the arms that are tuned.
    seeds, tuning_seeds : tuple[int, ...]
        Reported, and used for the choice; they have none in common.
    marks : tuple[float, ...]
        Shares of the reference accuracy to reach: the target, then lower ones.
    reference : Reference
        The runs that give the reference accuracy.
    common, tuning, reported : Overrides
        Of every run, of the runs for the choice, of the reported runs.

    Raises
    ------
    ValueError
        Naming the setting, the rule and the value.
    """

    name: str
    subject: str
    oracle: str
    bounds: tuple[str, ...]
    tasks: Mapping[str, Overrides]
    fleets: Mapping[str, Overrides]
    arms: Mapping[str, Overrides]
    grids: Mapping[str, tuple[Overrides, ...]]
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    marks: tuple[float, ...]
    reference: Reference
    common: Overrides = ()
    tuning: Overrides = ()
    reported: Overrides = ()

    def __post_init__(self) -> None:
        for key in ("tasks", "fleets", "arms", "seeds", "marks"):
            if not getattr(self, key):
                raise ValueError(f"suite.{key} must not be empty")
        self._check_arms()
        self._check_seeds()
        if list(self.marks) != sorted(self.marks, reverse=True) or not (
            self.marks[-1] > 0 and self.marks[0] <= 1
        ):
            raise ValueError(
                f"suite.marks must be falling shares in (0, 1], got {list(self.marks)}"
            )

    def _check_arms(self) -> None:
        for key, arm in (
            ("subject", self.subject),
            ("oracle", self.oracle),
            *(("bounds", arm) for arm in self.bounds),
        ):
            if arm not in self.arms:
                raise ValueError(f"suite.{key} must be one of suite.arms, got {arm!r}")
        if self.oracle not in self.bounds or self.subject in self.bounds:
            raise ValueError(
                f"suite.bounds must hold the oracle ({self.oracle}) and not the subject "
                f"({self.subject}), got {list(self.bounds)}"
            )
        budgets = {arm: len(grid) for arm, grid in self.grids.items() if arm not in self.bounds}
        if len(set(budgets.values())) > 1:
            raise ValueError(
                f"grids of tuned arms must have one length, a fair budget, got {budgets}"
            )

    def _check_seeds(self) -> None:
        for key in ("seeds", "tuning_seeds"):
            seeds = getattr(self, key)
            if len(set(seeds)) < len(seeds) or any(type(s) is not int or s < 0 for s in seeds):
                raise ValueError(f"suite.{key} must be different integers >= 0, got {list(seeds)}")
        if both := sorted(set(self.seeds) & set(self.tuning_seeds)):
            raise ValueError(
                f"suite.seeds and suite.tuning_seeds must be disjoint, both have {both}: "
                "a seed that was used for a choice is never reported"
            )
        if self.grids and not self.tuning_seeds:
            raise ValueError(f"suite.tuning_seeds must not be empty to tune {list(self.grids)}")

    @property
    def scenarios(self) -> list[tuple[str, str]]:
        """Every (task, fleet), in the order of the tables."""
        return list(product(self.tasks, self.fleets))

    @property
    def baselines(self) -> tuple[str, ...]:
        """The arms that the subject competes with."""
        return tuple(arm for arm in self.arms if arm not in (self.subject, *self.bounds))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run of a suite.

    Attributes
    ----------
    stage : Stage
        What it is for.
    task, fleet, arm, seed
        What it runs.
    choice : int | None
        Index in the arm's grid; None is the arm as it stands.
    overrides : Overrides
        All of them, but the target.
    """

    stage: Stage
    task: str
    fleet: str
    arm: str
    seed: int
    choice: int | None = None
    overrides: Overrides

    @property
    def cell(self) -> Cell:
        """Where it belongs, without the seed."""
        return self.task, self.fleet, self.arm

    def towards(self, target_accuracy: float) -> Overrides:
        """Return its overrides with a target."""
        return *self.overrides, f"task.target_accuracy={target_accuracy!r}"


def reference_runs(suite: Suite) -> list[PlannedRun]:
    """Return the runs that give the reference accuracies, also of the seeds for tuning."""
    seeds = (*suite.seeds, *(suite.tuning_seeds if suite.grids else ()))
    reference = suite.reference
    return [
        PlannedRun(
            stage="reference",
            task=task,
            fleet="reference",
            arm=arm,
            seed=seed,
            overrides=(
                *suite.common, *suite.tasks[task], *reference.overrides, *overrides,
                f"seed={seed}",
            ),
        )
        for task in suite.tasks
        for arm, overrides in reference.arms.items()
        for seed in seeds
    ]  # fmt: skip


def tuning_runs(suite: Suite) -> list[PlannedRun]:
    """Return every configuration of every grid, in every scenario, with every tuning seed."""
    return [
        _run(suite, "tuning", (*scenario, arm), seed, choice)
        for scenario in suite.scenarios
        for arm, grid in suite.grids.items()
        for choice in range(len(grid))
        for seed in suite.tuning_seeds
    ]


def reported_runs(suite: Suite, choices: Mapping[Cell, int]) -> list[PlannedRun]:
    """Return the runs of the tables; `choices` holds the tuned cells' indices in their grids."""
    return [
        _run(suite, "reported", (*scenario, arm), seed, choices.get((*scenario, arm)))
        for scenario in suite.scenarios
        for arm in suite.arms
        for seed in suite.seeds
    ]


def _run(suite: Suite, stage: Stage, cell: Cell, seed: int, choice: int | None) -> PlannedRun:
    task, fleet, arm = cell
    chosen = () if choice is None else suite.grids[arm][choice]
    extra = suite.tuning if stage == "tuning" else suite.reported
    return PlannedRun(
        stage=stage,
        task=task,
        fleet=fleet,
        arm=arm,
        seed=seed,
        choice=choice,
        overrides=(
            *suite.common, *suite.tasks[task], *suite.fleets[fleet], *suite.arms[arm],
            *chosen, *extra, f"seed={seed}",
        ),
    )  # fmt: skip


def reference_accuracies(
    best: Sequence[tuple[PlannedRun, float]], num_arms: int
) -> dict[tuple[str, int], float]:
    """Return the reference accuracy per (task, seed): the best of all reference arms.

    Parameters
    ----------
    best : Sequence[tuple[PlannedRun, float]]
        Reference runs, each with its best smoothed accuracy.
    num_arms : int
        Number of reference arms; a pair for which one is missing has no reference accuracy.
    """
    found: dict[tuple[str, int], list[float]] = {}
    for run, accuracy in best:
        found.setdefault((run.task, run.seed), []).append(accuracy)
    return {key: max(values) for key, values in found.items() if len(values) == num_arms}

"""What belongs to a suite: written beside its report, and read back with the runs' figures."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ..evaluator import time_to_target_s
from ..report.ledger import ReportError, read_evaluations
from ..report.load import read_summary
from .comparison import Comparison, Entry, Result, Roles
from .run import SuiteRun

NAME = "suite.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that a report shows.

    Attributes
    ----------
    name : str
        The suite.
    roles : Roles
        Who is compared with whom.
    marks : tuple[float, ...]
        Shares of the reference accuracy; the first is the target.
    seeds, tuning_seeds : tuple[int, ...]
        Reported, and used for choices.
    num_choices : Mapping[str, int]
        Configurations tried per tuned arm.
    stops : bool
        Whether runs end at the target, so that what comes later is unknown.
    reference : Mapping[tuple[str, int], float]
        Reference accuracy per (task, seed).
    comparisons : tuple[Comparison, ...]
        The scenarios.
    missing : tuple[str, ...]
        Runs without a result.
    """

    name: str
    roles: Roles
    marks: tuple[float, ...]
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    num_choices: Mapping[str, int]
    stops: bool
    reference: Mapping[tuple[str, int], float]
    comparisons: tuple[Comparison, ...]
    missing: tuple[str, ...]


def write_index(done: SuiteRun, folder: Path) -> None:
    """Write which runs a suite is made of; they lie in `folder/../runs`."""
    suite = done.suite
    index = {
        "name": suite.name,
        "subject": suite.subject,
        "oracle": suite.oracle,
        "bounds": suite.bounds,
        "tasks": list(suite.tasks),
        "fleets": list(suite.fleets),
        "arms": list(suite.arms),
        "marks": suite.marks,
        "seeds": suite.seeds,
        "tuning_seeds": suite.tuning_seeds if suite.grids else [],
        "num_choices": {arm: len(grid) for arm, grid in suite.grids.items()},
        "stops": "stop_at_target=true" in (*suite.common, *suite.reported),
        "reference": [
            {"task": task, "seed": seed, "accuracy": accuracy}
            for (task, seed), accuracy in done.reference.items()
        ],
        "runs": [
            {
                "task": run.task,
                "fleet": run.fleet,
                "arm": run.arm,
                "seed": run.seed,
                "choice": [] if run.choice is None else suite.grids[run.arm][run.choice],
                "folder": outcome.folder.name,
            }
            for run, outcome in done.outcomes.items()
            if run.stage == "reported"
        ],
        "missing": [
            f"{run.stage} run of {run.arm}, {run.task}, {run.fleet}, seed {run.seed}"
            for run in (*(failure.run for failure in done.failures), *done.skipped)
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def read_results(folder: Path) -> Results:
    """Return a suite's results.

    Raises
    ------
    ReportError
        If the folder holds no suite, or one of its runs is gone or malformed.
    """
    try:
        index: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{folder / NAME}: not the index of a suite ({error}): run "
            "python -m simulations.suite first"
        ) from None
    roles = Roles(
        subject=index["subject"], oracle=index["oracle"], bounds=tuple(index["bounds"])
    )  # fmt: skip
    reference = {(r["task"], r["seed"]): r["accuracy"] for r in index["reference"]}
    return Results(
        name=index["name"],
        roles=roles,
        marks=tuple(index["marks"]),
        seeds=tuple(index["seeds"]),
        tuning_seeds=tuple(index["tuning_seeds"]),
        num_choices=index["num_choices"],
        stops=index["stops"],
        reference=reference,
        comparisons=_comparisons(index, folder.parent / "runs", roles, reference),
        missing=tuple(index["missing"]),
    )


def _comparisons(
    index: dict[str, Any], runs: Path, roles: Roles, reference: Mapping[tuple[str, int], float]
) -> tuple[Comparison, ...]:
    results: dict[tuple[str, str, str], list[Result]] = {}
    choices: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for row in index["runs"]:
        cell = (row["task"], row["fleet"], row["arm"])
        accuracy = reference[row["task"], row["seed"]]
        targets = [mark * accuracy for mark in index["marks"]]
        results.setdefault(cell, []).append(_result(runs / row["folder"], targets))
        choices[cell] = tuple(row["choice"])
    names = _names(results)
    return tuple(
        Comparison(
            task=task,
            fleet=fleet,
            roles=roles,
            entries={
                arm: Entry(
                    name=names[arm],
                    choice=choices[task, fleet, arm],
                    results=tuple(results[task, fleet, arm]),
                )
                for arm in index["arms"]
                if (task, fleet, arm) in results
            },
        )
        for task, fleet in product(index["tasks"], index["fleets"])
    )


def _result(folder: Path, targets: list[float]) -> Result:
    times_s, accuracies = read_evaluations(folder / "ledger.csv")
    return Result(
        summary=read_summary(folder / "summary.json"),
        times_s=tuple(time_to_target_s(times_s, accuracies, target) for target in targets),
    )


def _names(results: Mapping[tuple[str, str, str], list[Result]]) -> dict[str, str]:
    """Name an arm as its strategy is labelled, or as the suite does where that is not unique."""
    heads = {arm: r[0].summary.label.partition(",")[0] for (_, _, arm), r in results.items()}
    labels = list(heads.values())
    return {arm: head if labels.count(head) == 1 else arm for arm, head in heads.items()}

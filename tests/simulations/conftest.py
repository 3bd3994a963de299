"""Results of a suite, written by hand."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from simulations.suite.comparison import Comparison, Entry, Result, Roles
from simulations.suite.index import Results
from simulations.summary import Summary

#: Time to the first mark and to the second of one seed, None where it was not reached.
Times = tuple[float | None, float | None]
HORIZON_S = 100.0
ROLES = Roles(subject="ours", oracle="oracle", bounds=("oracle", "cloud"))


def _summary(seed: int, time_s: float | None, **changes: float | None) -> Summary:
    values = {
        "strategy": "deepedge", "label": "DeepEdge", "task": "digits", "fleet": "x16",
        "service": "none", "engine": "inprocess", "seed": seed, "num_nodes": 4,
        "horizon_s": HORIZON_S, "latency_budget_s": None, "target_accuracy": 0.9,
        "time_to_target_s": time_s,
        "bytes_to_target": None if time_s is None else int(1e6 * time_s),
        "final_accuracy": 0.95, "best_accuracy": 0.96, "num_versions": 1, "num_updates": 1,
        "bytes_up": 50_000_000, "bytes_down": 50_000_000, "bytes_wasted": 0, "num_requests": 0,
        "num_violations": 0, "violation_rate": 0.0, "mean_staleness": 0.0, "utilisation": 0.5,
        "model_sha256": "a", "event_log_sha256": "b",
    }  # fmt: skip
    return Summary(**values | changes)  # type: ignore[arg-type]


def _entry(name: str, *seeds: Times, **changes: float | None) -> Entry:
    return Entry(
        name=name,
        results=tuple(
            Result(summary=_summary(seed, times[0], **changes), times_s=times)
            for seed, times in enumerate(seeds)
        ),
    )


def _comparison(
    task: str, arms: Mapping[str, float | Sequence[float | None] | None], roles: Roles = ROLES
) -> Comparison:
    """Return a scenario of arms that reach both marks at the same time, one time per seed."""
    entries = {}
    for arm, times in arms.items():
        seeds = times if isinstance(times, Sequence) else [times]
        entries[arm] = _entry(arm.title(), *((time, time) for time in seeds))
    return Comparison(task=task, fleet="x16", roles=roles, entries=entries)


def _results(*comparisons: Comparison, stops: bool = False) -> Results:
    tasks = dict.fromkeys(c.task for c in comparisons)
    return Results(
        name="small",
        roles=ROLES,
        marks=(0.98, 0.95),
        seeds=(0, 1),
        tuning_seeds=(901,),
        num_choices={"oracle": 4},
        stops=stops,
        reference={(task, seed): 0.9 for task in tasks for seed in (0, 1)},
        comparisons=comparisons,
        missing=(),
    )


@pytest.fixture(scope="session")
def summary() -> Callable[..., Summary]:
    return _summary


@pytest.fixture(scope="session")
def entry() -> Callable[..., Entry]:
    return _entry


@pytest.fixture(scope="session")
def comparison() -> Callable[..., Comparison]:
    return _comparison


@pytest.fixture(scope="session")
def results() -> Callable[..., Results]:
    return _results

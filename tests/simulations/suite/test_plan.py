"""A suite is the product of its parts, with targets and choices put in where they belong."""

from dataclasses import replace
from typing import Any

import pytest

from simulations.suite.plan import (
    PlannedRun,
    Reference,
    Suite,
    reference_accuracies,
    reference_runs,
    reported_runs,
    tuning_runs,
)

SUITE = Suite(
    name="small",
    subject="ours",
    oracle="oracle",
    bounds=("oracle",),
    tasks={"digits": ("task=digits",), "synthetic": ("task=synthetic",)},
    fleets={"x16": ("fleet=x16", "horizon_s=60")},
    arms={
        "ours": ("strategy=deepedge",),
        "theirs": ("strategy=fedbuff",),
        "oracle": ("strategy=fedavg",),
    },
    grids={"oracle": (("strategy.local_steps=1",), ("strategy.local_steps=3",))},
    seeds=(1, 2),
    tuning_seeds=(901,),
    marks=(0.98, 0.95),
    reference=Reference(
        arms={"one": ("strategy.local_steps=1",), "ten": ("strategy.local_steps=10",)},
        overrides=("fleet=equal", "horizon_s=90"),
    ),
    common=("gate=false",),
    tuning=("stop_at_target=true",),
)


def test_a_reference_run_per_task_arm_and_seed_also_those_for_tuning() -> None:
    runs = reference_runs(SUITE)
    assert len(runs) == 2 * 2 * 3
    assert runs[0].overrides == (
        *("gate=false", "task=digits", "fleet=equal", "horizon_s=90"),
        *("strategy.local_steps=1", "seed=1"),
    )
    assert {run.seed for run in reference_runs(replace(SUITE, grids={}))} == {1, 2}


def test_tuning_tries_every_configuration_on_the_tuning_seeds_alone() -> None:
    runs = tuning_runs(SUITE)
    assert [(run.task, run.arm, run.choice, run.seed) for run in runs] == [
        ("digits", "oracle", 0, 901),
        ("digits", "oracle", 1, 901),
        ("synthetic", "oracle", 0, 901),
        ("synthetic", "oracle", 1, 901),
    ]
    assert runs[1].overrides == (
        *("gate=false", "task=digits", "fleet=x16", "horizon_s=60", "strategy=fedavg"),
        *("strategy.local_steps=3", "stop_at_target=true", "seed=901"),
    )


def test_reported_runs_take_the_choice_of_their_scenario() -> None:
    runs = reported_runs(SUITE, {("digits", "x16", "oracle"): 1, ("synthetic", "x16", "oracle"): 0})
    assert len(runs) == 2 * 3 * 2
    steps = {
        (run.task, run.seed): run.overrides[-2] for run in runs if run.arm == "oracle"
    }  # fmt: skip
    assert steps == {
        ("digits", 1): "strategy.local_steps=3",
        ("digits", 2): "strategy.local_steps=3",
        ("synthetic", 1): "strategy.local_steps=1",
        ("synthetic", 2): "strategy.local_steps=1",
    }
    assert {run.choice for run in runs if run.arm != "oracle"} == {None}


def test_a_target_is_written_exactly() -> None:
    run = reported_runs(SUITE, {})[0]
    assert run.towards(0.98 * 0.91)[-1] == f"task.target_accuracy={0.98 * 0.91!r}"


def test_the_reference_accuracy_is_the_best_arms_of_the_same_task_and_seed() -> None:
    def run(arm: str, seed: int) -> PlannedRun:
        return PlannedRun(
            stage="reference", task="digits", fleet="reference", arm=arm, seed=seed, overrides=()
        )

    best = [(run("one", 1), 0.9), (run("ten", 1), 0.8), (run("one", 2), 0.7), (run("ten", 2), 0.75)]
    assert reference_accuracies(best, 2) == {("digits", 1): 0.9, ("digits", 2): 0.75}
    # A failed reference run leaves no target: half of a reference would be an easier one.
    assert reference_accuracies(best[:3], 2) == {("digits", 1): 0.9}


def test_baselines_are_neither_subject_nor_bound() -> None:
    assert SUITE.baselines == ("theirs",)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seeds": ()}, "suite.seeds must not be empty"),
        ({"seeds": (1, 901)}, r"must be disjoint, both have \[901\]: .* never reported"),
        ({"seeds": (1, 1)}, r"suite.seeds must be different integers >= 0, got \[1, 1\]"),
        ({"tuning_seeds": (-1,)}, r"suite.tuning_seeds must be different integers >= 0, got"),
        ({"tuning_seeds": ()}, r"suite.tuning_seeds must not be empty to tune \['oracle'\]"),
        ({"marks": (0.95, 0.98)}, r"suite.marks must be falling shares .*, got \[0.95, 0.98\]"),
        ({"marks": (98,)}, r"suite.marks must be falling shares in \(0, 1\], got \[98\]"),
        ({"subject": "mine"}, "suite.subject must be one of suite.arms, got 'mine'"),
        ({"bounds": ()}, r"suite.bounds must hold the oracle \(oracle\) and not the subject"),
        (
            {"grids": {"ours": (("a=1",), ("a=2",)), "theirs": (("a=1",),)}},
            "grids of tuned arms must have one length, a fair budget, got {'ours': 2, 'theirs': 1}",
        ),
    ],
)
def test_contradicting_settings_are_named(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(SUITE, **changes)

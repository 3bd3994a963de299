"""A tiny suite, interrupted half-way, goes on where it was and ends in the same tables."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from simulations.suite.index import read_results, write_index
from simulations.suite.plan import Reference, Suite
from simulations.suite.run import Status, SuiteRun, run_suite
from simulations.suite.values import scenario_values, summary_values

SUITE = Suite(
    name="tiny",
    subject="ours",
    oracle="oracle",
    bounds=("oracle",),
    tasks={"digits": ("task=digits",)},
    fleets={"x4": ("fleet=x4", "horizon_s=12")},
    arms={
        "ours": ("strategy=deepedge",),
        "theirs": ("strategy=fedbuff", "strategy.build.buffer_size=2"),
        "oracle": ("strategy=fedavg",),
    },
    grids={"oracle": (("strategy.local_steps=1",), ("strategy.local_steps=5",))},
    seeds=(1, 2),
    tuning_seeds=(901,),
    marks=(0.9, 0.5),
    reference=Reference(
        arms={"one": ("strategy=fedavg", "strategy.local_steps=1")},
        overrides=("fleet=equal", "horizon_s=12"),
    ),
    common=("num_nodes=4", "num_evaluations=6"),
)
NUM_RUNS = 3 + 2 + 3 * 2


def run(
    folder: Path, suite: Suite = SUITE, *, num_processes: int = 1, stop_after: int | None = None
) -> SuiteRun:
    def on_status(status: Status) -> None:
        if status.num_done == stop_after:
            raise KeyboardInterrupt

    done = run_suite(suite, folder / "runs", num_processes=num_processes, on_status=on_status)
    write_index(done, folder / suite.name)
    return done


def tables(folder: Path) -> tuple[object, object]:
    results = read_results(folder / SUITE.name)
    return scenario_values(results), summary_values(results)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite run without a pause."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder).num_simulated == NUM_RUNS
    return folder


def test_an_interrupted_suite_goes_on_and_ends_in_the_same_tables(
    whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=6)
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 6
    text = (folders[0] / "summary.json").read_text()
    (folders[0] / "summary.json").write_text(text[: len(text) // 2])
    before = {path: (path / "cost.json").stat().st_mtime_ns for path in folders}
    assert run(tmp_path).num_simulated == NUM_RUNS - 6 + 1
    repeated = {p for p, time in before.items() if (p / "cost.json").stat().st_mtime_ns != time}
    assert repeated == {folders[0]}
    assert tables(tmp_path) == tables(whole)
    assert run(tmp_path).num_simulated == 0


def test_targets_and_choices_are_made_of_the_runs(whole: Path) -> None:
    done = run(whole)
    summaries = {run: o.summary for run, o in done.outcomes.items() if o.summary is not None}
    best = {r.seed: s.best_accuracy for r, s in summaries.items() if r.stage == "reference"}
    assert set(best) == {1, 2, 901}
    for planned, summary in summaries.items():
        if planned.stage != "reference":
            assert summary.target_accuracy == 0.9 * best[planned.seed]
    choice = done.choices["digits", "x4", "oracle"]
    reported = {r.choice for r in summaries if r.stage == "reported" and r.arm == "oracle"}
    assert reported == {choice}


def test_processes_give_the_same_tables_and_end_when_they_are_interrupted(
    whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, num_processes=2, stop_after=4)
    assert not multiprocessing.active_children()
    run(tmp_path)
    assert tables(tmp_path) == tables(whole)


def test_a_run_that_raises_is_reported_and_the_others_go_on(whole: Path) -> None:
    broken = ("strategy=fedbuff", "strategy.build.buffer_size=9")
    done = run(whole, replace(SUITE, name="broken", arms={**SUITE.arms, "broken": broken}))
    assert done.num_simulated == len(done.failures) == 2
    assert not done.complete
    assert "buffer_size" in done.failures[0].error
    assert done.failures[0].command.startswith("python -m simulations.run num_nodes=4 ")
    assert "broken" not in read_results(whole / "broken").comparisons[0].entries


def test_without_a_target_nothing_is_run_towards_it(tmp_path: Path) -> None:
    never = Reference(arms={"one": ("strategy.local_steps=0",)}, overrides=("horizon_s=12",))
    done = run(tmp_path, replace(SUITE, reference=never))
    assert (len(done.failures), len(done.skipped), done.num_simulated) == (3, NUM_RUNS - 3, 3)
    assert len(read_results(tmp_path / "tiny").missing) == NUM_RUNS


def test_what_is_left_is_known_from_the_first_run_on(tmp_path: Path) -> None:
    found: list[Status] = []
    run_suite(SUITE, tmp_path, num_processes=1, on_status=found.append)
    assert [status.num_done for status in found[:3]] == [0, 1, 2]
    assert found[0].left_s is None
    assert found[1].left_s == pytest.approx((NUM_RUNS - 1) * found[1].done_s)
    assert (found[-1].num_done, found[-1].num_runs, found[-1].left_s) == (NUM_RUNS, NUM_RUNS, 0)

"""Many runs in parallel processes, with one progress bar."""

import json
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from deepedge_flwr.core.clock import WallClock

from .configuration import compose_config
from .experiment import run_experiment
from .summary import Summary

Overrides = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a run took on this machine, as in `cost.json`: its summary is the same everywhere."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: with a summary and a cost, or with an error."""

    folder: Path
    summary: Summary | None = None
    cost: Cost | None = None
    error: str = ""


def run_sweep(runs: Mapping[Path, Overrides], title: str) -> dict[Path, Summary]:
    """Simulate every run, each in its own folder.

    Parameters
    ----------
    runs : Mapping[Path, Overrides]
        Folder and configuration overrides of each run.
    title : str
        Shown beside the progress bar.

    Returns
    -------
    dict[Path, Summary]
        In the order of `runs`.

    Raises
    ------
    RuntimeError
        At the first run that fails; the others are ended.
    """
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done: dict[Path, Summary] = {}
    with Bar(*columns) as bar, closing(simulate(runs.items())) as outcomes:
        line = bar.add_task(title, total=len(runs))
        for outcome in outcomes:
            if outcome.summary is None:
                raise RuntimeError(f"{outcome.folder}: {outcome.error}")
            done[outcome.folder] = outcome.summary
            bar.advance(line)
    return {path: done[path] for path in runs}


def simulate(
    runs: Iterable[tuple[Path, Overrides]], num_processes: int | None = None
) -> Generator[Outcome, None, None]:
    """Simulate runs in parallel and yield how each ended, as they end.

    Parameters
    ----------
    runs : Iterable[tuple[Path, Overrides]]
        Folder and overrides of each run. The next one is only taken when a process is free for
        it, after the outcome before has been yielded: who makes the runs can learn from those.
    num_processes : int | None (default: None)
        None is one per core; 1 runs in this process. Close the generator to end the processes.
    """
    queue = iter(runs)
    num_processes = num_processes or os.cpu_count() or 1
    if num_processes == 1:
        yield from map(_run, queue)
        return
    # A forked torch may inherit locks held by threads of the parent.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context, _leave_interrupts) as pool:
        try:
            running = {pool.submit(_run, run) for run in islice(queue, num_processes)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    running |= {pool.submit(_run, run) for run in islice(queue, 1)}
        except BaseException:
            # Left early: the runs that are going on would be waited for.
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _leave_interrupts() -> None:
    """Leave Ctrl-C to the parent, which ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(run: tuple[Path, Overrides]) -> Outcome:
    folder, overrides = run
    clock, cpu_s = WallClock(), _cpu_s()
    started_s = clock.now_s()
    try:
        summary = run_experiment(compose_config(overrides), folder)
    except Exception as error:
        return Outcome(folder=folder, error=f"{type(error).__name__}: {error}")
    cost = Cost(wall_s=clock.now_s() - started_s, cpu_s=_cpu_s() - cpu_s)
    (folder / "cost.json").write_text(json.dumps(asdict(cost)) + "\n")
    return Outcome(folder=folder, summary=summary, cost=cost)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def by_seed(
    arms: Mapping[str, Overrides], seeds: Sequence[int], folder: Path, common: Overrides = ()
) -> dict[Path, Overrides]:
    """Return the runs of every arm with every seed, in folders `folder/ARM/seedN`."""
    return {
        folder / arm / f"seed{seed}": (*overrides, *common, f"seed={seed}")
        for arm, overrides in arms.items()
        for seed in seeds
    }

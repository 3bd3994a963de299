"""Many runs in parallel processes, with one progress bar."""

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .configuration import compose_config
from .experiment import run_experiment
from .summary import Summary

Overrides = tuple[str, ...]


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
    """
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # A forked torch may inherit locks held by threads of the parent. A pool ends its workers when
    # it is left early, by Ctrl-C or by an error.
    context = multiprocessing.get_context("spawn")
    done: dict[Path, Summary] = {}
    with context.Pool(os.cpu_count()) as pool, Bar(*columns) as bar:
        line = bar.add_task(title, total=len(runs))
        for path, summary in pool.imap_unordered(_run, runs.items()):
            done[path] = summary
            bar.advance(line)
    return {path: done[path] for path in runs}


def _run(run: tuple[Path, Overrides]) -> tuple[Path, Summary]:
    folder, overrides = run
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return folder, run_experiment(compose_config(overrides), folder)


def by_seed(
    arms: Mapping[str, Overrides], seeds: Sequence[int], folder: Path, common: Overrides = ()
) -> dict[Path, Overrides]:
    """Return the runs of every arm with every seed, in folders `folder/ARM/seedN`."""
    return {
        folder / arm / f"seed{seed}": (*overrides, *common, f"seed={seed}")
        for arm, overrides in arms.items()
        for seed in seeds
    }

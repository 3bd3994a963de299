"""Servers that are killed, at every event and at any instant, and what is left of their work."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.core.clock import WallClock
from deepedge_flwr.simulation import FaultPlan, ServerKilled

from .small_run import build_grid, run


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """What came of killing servers.

    Attributes
    ----------
    num_kills : int
        How many were killed.
    num_different : int
        Runs that did not end as the uninterrupted one.
    num_unreadable : int
        Checkpoints that could not be read after a kill.
    num_steps_back : int
        Times that a newest checkpoint was older than one that had been read before.
    """

    num_kills: int
    num_different: int
    num_unreadable: int = 0
    num_steps_back: int = 0


def kill_at_every_event(strategy: str, num_events: int, **options: Any) -> KillReport:
    """Kill the server right after event k, for every k, resume it, and compare the ends."""
    num_rounds = _rounds_with(strategy, num_events)
    expected = run(build_grid(), num_rounds, strategy=strategy)
    kills = different = 0
    for event in count(1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                grid = build_grid(FaultPlan(server_kills=(event,)))
                run(grid, num_rounds, Path(folder), strategy, **options)
            except ServerKilled:
                kills += 1
            else:
                break
            found = run(build_grid(), num_rounds, Path(folder), strategy, **options)
            different += found != expected
    return KillReport(num_kills=kills, num_different=different)


def _rounds_with(strategy: str, num_events: int) -> int:
    """Return the fewest versions whose run has that many events."""
    for num_rounds in count(1):
        grid = build_grid()
        run(grid, num_rounds, strategy=strategy)
        rows = grid.ledger.of("dispatch", "reply", "answer", "error")
        if len(rows) >= num_events:
            return num_rounds
    raise AssertionError("count() does not end")


def kill_processes(num_kills: int, num_rounds: int = 150, seed: int = 0) -> KillReport:
    """SIGKILL real servers at random instants until so many are dead; resume each to its end."""
    expected = run(build_grid(), num_rounds)
    chance, reader = random.Random(seed), WallClock()
    kills = different = unreadable = steps_back = 0
    while kills < num_kills:
        with tempfile.TemporaryDirectory() as folder:
            newest = 0
            while (end := _run_process(folder, num_rounds, chance, reader)) is None:
                kills += 1
                version, num_damaged = _newest_version(folder)
                unreadable += num_damaged
                steps_back += version < newest
                newest = version
            different += end != expected
    return KillReport(
        num_kills=kills,
        num_different=different,
        num_unreadable=unreadable,
        num_steps_back=steps_back,
    )


def _newest_version(folder: str) -> tuple[int, int]:
    """Return the version of the newest intact checkpoint, and how many newer ones are not."""
    damaged: list[Path] = []
    state = CheckpointFolder(folder).read(lambda path, reason: damaged.append(path))
    return 0 if state is None else state["run"]["version"], len(damaged)


def _run_process(
    folder: str, num_rounds: int, chance: random.Random, clock: WallClock
) -> dict[str, Any] | None:
    """Run a server for a random while; None if it had to be killed, else its fingerprint."""
    command = [sys.executable, "-m", "simulations.verify.small_run", folder, str(num_rounds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()  # its first version: it has begun, or gone on
        clock.sleep(chance.uniform(0.0, 1.5))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        lines = [line, *process.stdout]
    if process.returncode == -signal.SIGKILL:
        return None
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    end: dict[str, Any] = json.loads(lines[-1])
    return end

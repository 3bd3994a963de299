"""The claims about failures: nothing accepted is lost, and nobody stops or spoils a run."""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf
from pathlib import Path
from statistics import fmean

from deepedge_flwr.simulation import Fault, FaultPlan, Presence, RunLedger
from deepedge_flwr.simulation.faults import DEVICE_KINDS, KINDS
from deepedge_flwr.simulation.tampering import CORRUPTIONS

from ..experiment import log_level
from ..summary import Summary
from ..sweep import by_seed, run_sweep
from .checkpoint_cost import measure_cost
from .claims import Claim
from .kills import KillReport, kill_at_every_event, kill_processes
from .small_run import OPTIONS, build_grid, run

SEEDS = (3101, 3102, 3103, 3104, 3105)
ENDS = ("reply", "answer", "error", "late", "lost", "unfinished")
_ROBUST = "+strategy.build.combine=consensus"
#: The share of the time that a node of `faults=crashes` is there, and of such nodes.
_CAPACITY = 1 - 0.3 * 30 / (30 + 60)
ARMS = {
    "clean": (),
    "less": (f"fleet.build.step_times_s.step_time_s={0.1 / _CAPACITY}",),
    "crashes": ("faults=crashes",),
    "nans": ("faults=nans",),
    "infs": ("faults=infs",),
    "huge": ("faults=huge",),
    "sign_flips": ("faults=sign_flips",),
    "sign_flips_robust": ("faults=sign_flips", _ROBUST),
}


def measure(quick: bool) -> list[Claim]:
    """Measure all claims; `quick` has two seeds, fewer kills, and no cost in wall-clock time."""
    with log_level(logging.CRITICAL):
        claims = [*_killed(quick), *_survived(quick), *_fleets(SEEDS[:2] if quick else SEEDS)]
        return claims if quick else [*claims, *_cost()]


def _killed(quick: bool) -> Iterator[Claim]:
    report = kill_at_every_event("DeepEdge", 20 if quick else 60)
    yield _same("DeepEdge killed after every event", report)
    others = [
        kill_at_every_event(name, 20, **options)
        for name in OPTIONS
        for options in ({}, {"checkpoint_every": 3})
        if not quick or not options
    ]
    kills = sum(other.num_kills for other in others)
    different = sum(other.num_different for other in others)
    total = KillReport(num_kills=kills, num_different=different)
    yield _same("every strategy killed after every event", total)
    report = kill_processes(5 if quick else 50)
    yield _same("a process killed with SIGKILL at random instants", report)
    yield _zero("checkpoints that could not be read after SIGKILL", report.num_unreadable, "files")
    yield _zero("resumed runs that had fewer versions than before", report.num_steps_back, "runs")


def _same(name: str, report: KillReport) -> Claim:
    how = f"{report.num_kills} kills; model, event log and bytes compared, bit for bit"
    return _zero(f"{name}: runs that end otherwise than if uninterrupted", report.num_different,
                 "runs", how)  # fmt: skip


def _zero(name: str, measured: int, unit: str, how: str = "counted") -> Claim:
    return Claim(name=name, measured=measured, bound=0, unit=unit, kind="equal", how=how)


@dataclass(frozen=True, slots=True)
class _Single:
    """A run with one fault."""

    strategy: str
    fault: Fault


def _survived(quick: bool) -> Iterator[Claim]:
    """Try every kind of fault at every dispatch of a small run."""
    singles = list(_singles(["DeepEdge"] if quick else list(OPTIONS), quick))
    unfinished, unbalanced = [], []
    for single in singles:
        grid = build_grid(FaultPlan((single.fault,)), presence=Presence())
        try:
            run(grid, 4, strategy=single.strategy, timeout=60.0)
        except Exception as error:
            unfinished.append(f"{single}: {error}")
        if not is_balanced(grid.ledger):
            unbalanced.append(str(single))
    how = f"{len(singles)} runs, each kind of fault at each dispatch; "
    yield _zero("runs with one fault that do not finish with a finite model", len(unfinished),
                "runs", how + "; ".join(unfinished[:3]))  # fmt: skip
    yield _zero("ledgers in which a dispatch has not exactly one end", len(unbalanced), "runs",
                how + "; ".join(unbalanced[:3]))  # fmt: skip


def _singles(strategies: Sequence[str], quick: bool) -> Iterator[_Single]:
    for strategy in strategies:
        clean = build_grid(presence=Presence())
        run(clean, 4, strategy=strategy)
        sent = Counter[int]()
        for row in clean.ledger.of("dispatch"):
            assert row.node_id is not None
            index, sent[row.node_id] = sent[row.node_id], sent[row.node_id] + 1
            if not quick or row.node_id == 1:
                for fault in _faults_of(row.node_id, index, row.time_s):
                    yield _Single(strategy, fault)


def _faults_of(node: int, index: int, time_s: float) -> Iterator[Fault]:
    values = {"hang": (5.0, inf), "error": range(9), "corrupt": range(len(CORRUPTIONS))}
    for kind in KINDS:
        if kind in DEVICE_KINDS:
            for after_s, back_s in product((0.0, 1.0), (5.0, inf)):
                at_s = time_s + after_s
                yield Fault(kind=kind, node=node, at_s=at_s, back_s=at_s + back_s)
        else:
            for value in values.get(kind, (None,)):
                yield Fault(kind=kind, node=node, dispatch=index, value=value)


def is_balanced(ledger: RunLedger) -> bool:
    """Return whether every dispatch has exactly one end."""
    sent = Counter(row.message_id for row in ledger.of("dispatch"))
    ended = Counter(row.message_id for row in ledger.of(*ENDS))
    return sent == ended and set(sent.values()) == {1}


def _fleets(seeds: Sequence[int]) -> Iterator[Claim]:
    """Compare DeepEdge on fleets with faults and without."""
    common = ("task=digits", "fleet=x16", "horizon_s=300", "write_ledger=false")
    with tempfile.TemporaryDirectory() as folder:
        runs = run_sweep(by_seed(ARMS, seeds, Path(folder), common), "fleets with faults")
    of_arm: dict[str, list[Summary]] = {arm: [] for arm in ARMS}
    for path, summary in runs.items():
        of_arm[path.parent.name].append(summary)
    about = f"DeepEdge, digits, x16, {len(seeds)} seeds"
    times_s = {
        arm: fmean(s.horizon_s if s.time_to_target_s is None else s.time_to_target_s for s in found)
        for arm, found in of_arm.items()
    }
    yield Claim(
        name="time to the target with 30 % of the nodes crashing, relative to the same capacity",
        measured=times_s["crashes"] / times_s["less"],
        bound=1.5,
        unit="x",
        kind="at most",
        how=f"{about}: {times_s['crashes']:.1f} s, without faults on a fleet with "
        f"{_CAPACITY:.0%} of the speed {times_s['less']:.1f} s",
    )
    accuracy = {arm: fmean(s.final_accuracy for s in found) for arm, found in of_arm.items()}
    for arm in ("nans", "infs", "huge", "sign_flips_robust"):
        yield Claim(
            name=f"accuracy lost to 10 % of the nodes with {arm}",
            measured=100 * (accuracy["clean"] - accuracy[arm]),
            bound=1.0,
            unit="points",
            kind="at most",
            how=f"{about}: {accuracy[arm]:.4f} against {accuracy['clean']:.4f} without faults; "
            f"the data of three nodes are missing ({accuracy['nans']:.4f}); sign-flipped without "
            f"protection: {accuracy['sign_flips']:.4f}",
        )


def _cost() -> Iterator[Claim]:
    cost = measure_cost()
    how = (
        f"25 million parameters, {cost.num_bytes / 1e6:.0f} MB per checkpoint, one per version; "
        f"write {cost.write_s:.3f} s, hand over {cost.handover_s:.4f} s, a reply's model read in "
        f"{cost.pull_s:.3f} s, version {cost.version_s:.3f} s without and "
        f"{cost.version_with_s:.3f} s with checkpoints; medians, wall-clock time"
    )
    yield Claim(
        name="time that a checkpoint adds to a version, relative to writing it",
        measured=(cost.version_with_s - cost.version_s) / cost.write_s,
        bound=1.0,
        unit="x",
        kind="at most",
        how=how,
    )
    yield Claim(
        name="time that the loop is blocked by a checkpoint, relative to reading a reply",
        measured=cost.handover_s / cost.pull_s,
        bound=1.0,
        unit="x",
        kind="at most",
        how=how,
    )

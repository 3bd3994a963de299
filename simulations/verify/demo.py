"""The claims of the demo: sooner than FedAvg and FedBuff, exactly repeatable, quick to try."""

import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from deepedge_flwr.core.clock import WallClock

from ..evaluator import smoothed, time_to_target_s
from ..report.ledger import read_evaluations
from ..summary import Summary
from ..sweep import by_seed, run_sweep
from .claims import Claim

#: Never looked at while the algorithm was developed.
SEEDS = (1001, 1002, 1003, 1004, 1005)
ARMS = {
    "deepedge": ("strategy=deepedge",),
    "fedavg_one_step": ("strategy=fedavg_one_step",),
    "fedavg": ("strategy=fedavg",),
    "fedbuff": ("strategy=fedbuff",),
}
TASKS = ("digits", "digits_correlated")


def measure(quick: bool) -> list[Claim]:
    """Measure all claims; `quick` uses one seed and leaves out the wall-clock times.

    The horizon stays: a rival that never arrives counts as the horizon, so a shorter one would
    bound the ratios themselves.
    """
    seeds, horizon_s = (SEEDS[:1] if quick else SEEDS), 600
    with tempfile.TemporaryDirectory() as folder:
        times_s = {
            (task, service): _times_to_98(Path(folder), task, service, seeds, horizon_s)
            for task in TASKS
            for service in ("none", "control_loop")
        }
        claims = _sooner(times_s, horizon_s, len(seeds))
        claims += _protected(times_s, Path(folder), seeds)
        claims += _repeatable(Path(folder))
    return claims if quick else claims + _quick_to_try()


Times = dict[str, list[float | None]]


def _times_to_98(
    folder: Path, task: str, service: str, seeds: Sequence[int], horizon_s: float
) -> Times:
    """Return each arm's time to 98 % of FedAvg's best accuracy of the same seed."""
    common = (f"task={task}", f"service={service}", "fleet=x16", f"horizon_s={horizon_s}")
    folder = folder / f"{task}_{service}"
    run_sweep(by_seed(ARMS, seeds, folder, common), f"{task}, service {service}")
    curves = {
        (arm, s): read_evaluations(folder / arm / f"seed{s}" / "ledger.csv")
        for arm in ARMS
        for s in seeds
    }
    targets = {
        s: 0.98 * max(max(smoothed(curves[arm, s][1])) for arm in ("fedavg", "fedavg_one_step"))
        for s in seeds
    }
    return {arm: [time_to_target_s(*curves[arm, s], targets[s]) for s in seeds] for arm in ARMS}


def _sooner(times_s: dict[tuple[str, str], Times], horizon_s: float, num_seeds: int) -> list[Claim]:
    wanted = [
        ("digits", "fedavg_one_step", 1.2),
        ("digits_correlated", "fedavg", 3.0),
        ("digits_correlated", "fedbuff", 3.0),
    ]
    claims = []
    for service in ("none", "control_loop"):
        for task, rival, bound in wanted:
            times = times_s[task, service]
            ours, theirs = (
                mean(horizon_s if t is None else t for t in times[arm])
                for arm in ("deepedge", rival)
            )
            reached = sum(t is not None for t in times[rival])
            claims.append(
                Claim(
                    name=f"{task}, service {service}: DeepEdge sooner than {rival}",
                    measured=theirs / ours,
                    bound=bound,
                    unit="x",
                    kind="at least",
                    how=(
                        f"mean time to 98 % of FedAvg's best over {num_seeds} seeds: {theirs:.1f} s"
                        f" against {ours:.1f} s; {reached} of {num_seeds} of {rival}'s seeds "
                        f"reached it, the others count as {horizon_s:.0f} s; DeepEdge: "
                        f"{sum(t is not None for t in times['deepedge'])} of {num_seeds}"
                    ),
                )
            )
    return claims


def _protected(
    times_s: dict[tuple[str, str], Times], folder: Path, seeds: Sequence[int]
) -> list[Claim]:
    """Compare DeepEdge with its gate on and off on the same service."""
    common = ("task=digits", "service=control_loop", "fleet=x16", "horizon_s=120")
    arms = {"gated": ("gate=true",), "ungated": ("gate=false",)}
    runs = run_sweep(by_seed(arms, seeds, folder / "gate", common), "gate on and off")
    rates = {
        arm: mean(s.violation_rate for path, s in runs.items() if path.parent.name == arm)
        for arm in arms
    }
    return [
        Claim(
            name="latency violations without the gate relative to with it (simulated)",
            measured=rates["ungated"] / rates["gated"] if rates["gated"] else float("inf"),
            bound=2.0,
            unit="x",
            kind="at least",
            how=f"{rates['ungated']:.3%} against {rates['gated']:.3%} of all requests",
        )
    ]


def _repeatable(folder: Path) -> list[Claim]:
    common = ("horizon_s=20", "service=control_loop", "num_evaluations=20", "num_nodes=10")
    runs = {folder / "a": common, folder / "b": common, folder / "c": (*common, "engine=ray")}
    first, second, ray = run_sweep(runs, "repeatability").values()
    return [
        _equal("same seed twice", first, second, "two processes, same seed"),
        _equal("in process and on Ray", first, ray, "engine=inprocess and engine=ray"),
    ]


def _equal(name: str, one: Summary, other: Summary, how: str) -> Claim:
    def prints(summary: Summary) -> str:
        return summary.model_sha256 + summary.event_log_sha256

    return Claim(
        name=f"{name}: same model and event log",
        measured=prints(other),
        bound=prints(one),
        unit="sha256",
        kind="equal",
        how=how,
    )


def _quick_to_try() -> list[Claim]:
    commands = {
        "python -m simulations.demo": 120,
        "python -m pytest": 300,
    }
    return [
        Claim(
            name=f"{command} finishes",
            measured=_wall_s(command),
            bound=bound_s,
            unit="s",
            kind="at most",
            how="wall-clock time on this machine, once; infinite if it fails",
        )
        for command, bound_s in commands.items()
    ]


def _wall_s(command: str) -> float:
    clock = WallClock()
    started_s = clock.now_s()
    done = subprocess.run([sys.executable, *command.split()[1:]], capture_output=True, text=True)
    if done.returncode != 0:  # what was measured before is not to be lost
        print(f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}", file=sys.stderr)
        return math.inf
    return clock.now_s() - started_s

"""How soon the gate alone yields to a burst of its service."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from deepedge_flwr.core.types import Vector

from .bench import Bench, Block, Condition, latencies_of
from .service import Load
from .trainer import Training

#: In a burst it needs more of a core than two busy threads beside it leave: requests are late.
_LOAD = Load(period_s=0.0045, work_s=0.003, burst_s=1.0, every_s=2.0)
#: What there is to see in the quiet times: a gate that sees nothing does not go on.
_ALWAYS = Load(period_s=0.012, work_s=0.003)
#: Every burst costs some requests, of which one in a hundred would not leave time to train again.
_BUDGET_FACTOR, _QUANTILE = 3.0, 0.95
_QUIET_S = _LOAD.every_s - _LOAD.burst_s
_STEP_S, _SHOWN_S = 0.03, 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What became of the bursts.

    Attributes
    ----------
    num_bursts : int
        Bursts with late requests before which training went on.
    mean_steps, most_steps : float
        Local steps begun after the first late request and before the pause.
    num_quiet, num_trained : int
        Quiet times between two bursts, and those in which training began a step.
    trouble : str
        Why training ended before its time; empty if it did not.
    """

    num_bursts: int
    mean_steps: float
    most_steps: int
    num_quiet: int
    num_trained: int
    trouble: str


def measure_reaction(plot: Path, duration_s: float = 40.0) -> Reaction:
    """Train with the gate alone beside a bursty service; draw the first seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "service.sock")
        with Bench([_LOAD, _ALWAYS], [path]) as bench:
            alone = latencies_of([bench.block("off", 4.0) for _ in range(2)])
            # Not of the tail: what else the machine does would widen it until nothing is late.
            budget_s = _BUDGET_FACTOR * float(np.median(alone))
            training = Training(
                step_s=_STEP_S, budget_s=budget_s, quantile=_QUANTILE, probe=f"unix:{path}"
            )
            bench.add("gate alone", Condition(training=training))
            block = bench.block("gate alone", duration_s)
    _draw(block, budget_s, plot)
    return reaction_of(block, budget_s)


def reaction_of(block: Block, budget_s: float) -> Reaction:
    """Return what became of the bursts of a block."""
    begun, trained = list(_begun_before_the_pause(block, budget_s)), list(_trained(block))
    return Reaction(
        num_bursts=len(begun),
        mean_steps=float(np.mean(begun)) if begun else 0.0,
        most_steps=max(begun, default=0),
        num_quiet=len(trained),
        num_trained=sum(trained),
        trouble=block.trouble,
    )


def _trained(block: Block) -> Iterator[bool]:
    """Yield, for each quiet time that is over, whether training began a step in it."""
    starts_s, _ = _steps(block)
    for begun_s in np.arange(_LOAD.burst_s, block.training_s - _QUIET_S, _LOAD.every_s):
        yield _began(starts_s, begun_s, begun_s + _QUIET_S)


def _began(starts_s: Vector, since_s: float, until_s: float) -> bool:
    return bool(np.any((starts_s >= since_s) & (starts_s <= until_s)))


def _begun_before_the_pause(block: Block, budget_s: float) -> Iterator[int]:
    """Yield, for each burst with late requests, how many steps were begun all the same."""
    starts_s, ends_s = _steps(block)
    pauses_s = [(end, start) for end, start in zip(ends_s, [*starts_s[1:], np.inf], strict=True)
                if start - end >= budget_s]  # fmt: skip
    answered_s = block.times_s + block.latencies_s
    for burst in np.unique(block.times_s // _LOAD.every_s):
        into_s = block.times_s - burst * _LOAD.every_s
        in_burst = (into_s >= 0) & (into_s < _LOAD.burst_s)
        late_s = np.sort(answered_s[in_burst & (block.latencies_s > budget_s)])
        if not len(late_s) or not _began(starts_s, late_s[0] - _QUIET_S, late_s[0]):
            continue  # a training that pauses anyway shows nothing
        pause_s = next((since for since, until in pauses_s if until > late_s[0]), np.inf)
        over_s = burst * _LOAD.every_s + _LOAD.burst_s
        yield int(np.sum((starts_s > late_s[0]) & (starts_s < min(pause_s, over_s))))


def _steps(block: Block) -> tuple[Vector, Vector]:
    """Return when each local step began and ended, on the service's clock."""
    starts_s = np.asarray(block.trained["starts_s"]) - block.begun_s
    return starts_s, np.asarray(block.trained["ends_s"]) - block.begun_s


def _draw(block: Block, budget_s: float, path: Path) -> None:
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 4.2), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    late = block.latencies_s > budget_s
    for which, colour, label in ((~late, "#3b6ea5", "in time"), (late, "#c0392b", "late")):
        above.plot(block.times_s[which], 1000 * block.latencies_s[which], ".", ms=4, color=colour,
                   label=label)  # fmt: skip
    above.axhline(1000 * budget_s, color="#555555", lw=1, ls="--", label="budget")
    above.set_ylabel("latency (ms)")
    above.set_yscale("log")
    above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    above.yaxis.set_major_formatter("{x:g}")
    above.yaxis.set_minor_formatter(NullFormatter())
    above.set_title("The gate alone: training pauses while its service has a burst to serve")
    above.legend(loc="upper right", ncols=3, frameon=False)
    _draw_steps(below, *_steps(block))
    below.set_xlim(0, _SHOWN_S)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_steps(axes: Axes, starts_s: Vector, ends_s: Vector) -> None:
    spans = [(start, end - start) for start, end in zip(starts_s, ends_s, strict=True)]
    axes.broken_barh(spans, (0, 1), color="#4c9f70")
    axes.set_yticks([])
    axes.set_ylabel("local steps")
    axes.set_xlabel("time (s)")

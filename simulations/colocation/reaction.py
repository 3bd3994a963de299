"""How soon the gate alone yields to a burst of its service."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from deepedge_flwr.core.types import Vector

from .bench import Bench, Block, Condition
from .service import Load
from .trainer import Training

_LOAD = Load(period_s=0.01, work_s=0.006, burst_s=1.0, every_s=2.0)
_STEP_S, _SHOWN_S = 0.03, 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What became of the bursts.

    Attributes
    ----------
    num_bursts : int
        Bursts with late requests.
    mean_steps, most_steps : float
        Local steps begun after the first late request and before the pause.
    """

    num_bursts: int
    mean_steps: float
    most_steps: int


def measure_reaction(plot: Path, duration_s: float = 24.0) -> Reaction:
    """Train with the gate alone beside a bursty service; draw the first seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "service.sock")
        with Bench([_LOAD], [path]) as bench:
            alone = np.concatenate([bench.block("off", 4.0).latencies_s for _ in range(2)])
            budget_s = 1.5 * float(np.quantile(alone, 0.99))
            training = Training(step_s=_STEP_S, budget_s=budget_s, probe=f"unix:{path}")
            bench.add("gate alone", Condition(training=training))
            block = bench.block("gate alone", duration_s)
    _draw(block, budget_s, plot)
    begun = list(_begun_before_the_pause(block, budget_s))
    return Reaction(
        num_bursts=len(begun),
        mean_steps=float(np.mean(begun)) if begun else 0.0,
        most_steps=max(begun, default=0),
    )


def _begun_before_the_pause(block: Block, budget_s: float) -> Iterator[int]:
    """Yield, for each burst with late requests, how many steps were begun all the same."""
    starts_s, ends_s = _steps(block)
    pauses_s = [end for end, start in zip(ends_s, starts_s[1:], strict=False)
                if start - end >= budget_s]  # fmt: skip
    answered_s = block.times_s + block.latencies_s
    for burst in np.unique(block.times_s // _LOAD.every_s):
        in_burst = block.times_s // _LOAD.every_s == burst
        late_s = answered_s[in_burst & (block.latencies_s > budget_s)]
        if not len(late_s):
            continue
        pause_s = next((p for p in pauses_s if p >= late_s[0]), np.inf)
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

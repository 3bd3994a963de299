"""The simulated service that is like one which was measured."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepedge_flwr.simulation import ServiceSpec

from .bench import Block, latencies_of
from .service import Load

_Z_P99 = 2.326
#: Requests due so soon after a computation began wait more often than later ones; a pause between
#: two steps is longer than what a loop takes for itself.
_SETTLE_S, _PAUSE_S = 0.04, 0.002


def calibrated(
    load: Load,
    budget_s: float,
    off: Sequence[Block],
    beside: Sequence[Block],
    paused: Sequence[Block] = (),
) -> ServiceSpec:
    """Fit a service to what it was like alone and beside uncontrolled training.

    Median and jitter come from the service alone; the share of requests over the budget that
    training adds, and by how much these exceed the median, are `collision` and `wait_s`. What is
    different while training begins is seen beside training that was paused over and over.

    It is not the share beyond the service's own 99th percentile, less the hundredth that is there
    alone: idle cores sleep, those that train do not, and so that hundredth is another one beside
    training. To take it away made training too harmless.
    """
    quiet, busy = latencies_of(off), latencies_beside(beside)
    middle_s, tail_s = float(np.median(quiet)), float(np.quantile(quiet, 0.99))
    first, late = _while_training_begins(paused), busy[busy > budget_s]

    def added(latencies_s: NDArray[np.float64]) -> float:
        """Return the share of late requests beyond that without training."""
        return max(0.0, float(np.mean(latencies_s > budget_s) - np.mean(quiet > budget_s)))

    return ServiceSpec(
        period_s=load.period_s,
        latency_s=middle_s,
        budget_s=budget_s,
        slowdown=1.0,
        jitter=math.log(tail_s / middle_s) / _Z_P99,
        collision=added(busy),
        wait_s=float(np.median(late)) - middle_s if len(late) else 0.0,
        first_collision=added(first) if len(first) else 0.0,
        settle_s=_SETTLE_S if len(first) else 0.0,
    )


def latencies_beside(blocks: Sequence[Block]) -> NDArray[np.float64]:
    """Return the latencies of the requests that were due while training was to run."""
    found = [np.zeros(0)]
    for block in blocks:
        starts_s, dues_s = block.trained["starts_s"], block.begun_s + block.times_s
        begun_s = starts_s[0] if len(starts_s) else block.begun_s
        is_beside = (dues_s >= begun_s) & (dues_s < begun_s + block.training_s)
        found.append(block.latencies_s[is_beside])
    return np.concatenate(found)


def _while_training_begins(blocks: Sequence[Block]) -> NDArray[np.float64]:
    """Return the latencies of the requests that were due in the first part of a computation."""
    found = [np.zeros(0)]
    for block in blocks:
        starts_s, ends_s = (np.asarray(block.trained[key]) for key in ("starts_s", "ends_s"))
        if not len(starts_s):
            continue
        is_first = np.append(True, starts_s[1:] - ends_s[:-1] > _PAUSE_S)
        dues_s = block.begun_s + block.times_s
        before = np.searchsorted(starts_s, dues_s, side="right") - 1
        begun_s = np.maximum.accumulate(np.where(is_first, starts_s, 0.0))[before]
        is_beside = (before >= 0) & (dues_s < ends_s[before])
        found.append(block.latencies_s[is_beside & (dues_s - begun_s < _SETTLE_S)])
    return np.concatenate(found)

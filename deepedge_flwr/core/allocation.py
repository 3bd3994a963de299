"""Capacity-weighted allocation: how many local steps each node gets.

Every node works for one common period, so a node gets the steps that its measured speed and link
can finish in it. Source: Deep-Edge, arXiv:2004.05740, sec. IV (capacity-aware scheduling); the
cap on steps and the rule for the period were found by experiment (README, "The algorithm").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .state import storable
from .types import Vector


def steps_in_period(
    step_time_s: Vector,
    overhead_s: Vector,
    period_s: float,
    min_steps: int = 0,
    max_steps: int | None = None,
) -> NDArray[np.int64]:
    """Local steps that each node finishes in the common period, links included.

    h_i = clip(floor((period - c_i) / tau_i), min_steps, max_steps)

    Parameters
    ----------
    step_time_s : Vector
        tau, seconds per local step, shape [num_nodes], all > 0.
    overhead_s : Vector
        c, seconds per job that are not training, shape [num_nodes], all >= 0.
    period_s : float
        The common period.
    min_steps : int (default: 0)
        Fewest steps to give. 0 excludes a node that cannot finish one step in the period (an
        infeasible node gets 0 steps); 1 lets it answer late instead.
    max_steps : int | None (default: None)
        Most steps to give: more local work on one model is drift rather than progress.

    Returns
    -------
    NDArray[np.int64]
        Steps, shape [num_nodes].

    Raises
    ------
    ValueError
        If a step time is not > 0, an overhead is negative, or the bounds cross.
    """
    tau, overhead = np.asarray(step_time_s, float), np.asarray(overhead_s, float)
    if not np.all(tau > 0):
        raise ValueError(f"step_time_s must be > 0 for every node, got {tau.min()}")
    if not np.all(overhead >= 0):
        raise ValueError(f"overhead_s must be >= 0 for every node, got {overhead.min()}")
    if min_steps < 0 or (max_steps is not None and max_steps < min_steps):
        raise ValueError(f"need 0 <= min_steps <= max_steps, got {min_steps} and {max_steps}")
    # A period that is a multiple of the step time must not lose a step to rounding.
    steps = np.floor((period_s - overhead) / tau * (1 + 1e-12))
    clipped: NDArray[np.int64] = np.clip(steps, min_steps, max_steps).astype(np.int64)
    return clipped


@storable
@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The common period of a fleet and the bounds within it.

    Attributes
    ----------
    max_steps : int
        h_max, most local steps of a job.
    compute_s : float
        D, longest training time of a job with a median overhead.
    period_s : float
        Common cycle: D + median overhead.
    """

    max_steps: int
    compute_s: float
    period_s: float

    def adapted(self, aligned: float, opposed: float, min_max_steps: int) -> "Allocation":
        """Return the allocation for updates that agree so much; see `core.agreement`.

            h_max <- max(min_max_steps, h_max (1 + aligned) / 2) (1 - opposed / 2)
            D     <- D (1 + aligned / 2)

        A long link asks for long jobs, but drift grows with the steps done on one model: aligned
        updates get all of h_max, orthogonal ones half, though not fewer than `min_max_steps`, and
        opposed ones half of that. D is what slow nodes have, whose jobs are short as it is: it
        does not shrink, and grows where updates are aligned.
        """
        least = min(min_max_steps, self.max_steps)
        max_steps = max(least, self.max_steps * (1 + aligned) / 2)
        compute_s = self.compute_s * (1 + aligned / 2)
        return Allocation(
            max_steps=max(1, round(max_steps * (1 - opposed / 2))),
            compute_s=compute_s,
            period_s=self.period_s + compute_s - self.compute_s,
        )


def plan_fleet(
    step_time_s: Vector,
    overhead_s: Vector,
    *,
    steps_per_overhead: float = 0.2,
    min_max_steps: int = 6,
    max_max_steps: int = 30,
    compute_spread: float = 11.0,
) -> Allocation:
    """Choose the common period of a fleet from its measured speeds and links, before `adapted`.

    h_max = clip(0.2 median(c) / min(tau), 6, 30);  D = 11 h_max min(tau);  period = D + median(c)

    A fast node is bounded by h_max (drift), a slow one by D (staleness): while h_max is as it is
    here, a spread of speeds up to `compute_spread` changes the time of a job, beyond it the number
    of steps.

    Parameters
    ----------
    step_time_s, overhead_s : Vector
        tau and c of the profiled nodes, shape [num_nodes], at least one.
    steps_per_overhead : float (default: 0.2)
        Fastest steps per median overhead: long links ask for longer jobs.
    min_max_steps, max_max_steps : int (default: 6, 30)
        Bounds of h_max.
    compute_spread : float (default: 11.0)
        R, the longest job in units of h_max steps of the fastest node.
    """
    fastest_s, median_overhead_s = float(np.min(step_time_s)), float(np.median(overhead_s))
    wanted = steps_per_overhead * median_overhead_s / fastest_s
    max_steps = int(np.clip(round(wanted), min_max_steps, max_max_steps))
    compute_s = compute_spread * max_steps * fastest_s
    return Allocation(
        max_steps=max_steps, compute_s=compute_s, period_s=compute_s + median_overhead_s
    )

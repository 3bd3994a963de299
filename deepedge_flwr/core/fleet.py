"""What the server knows about its fleet as a whole, and what it plans with."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from .allocation import Allocation, plan_fleet, steps_in_period
from .profiling import observe
from .state import Names, Stateful
from .types import DeviceProfile, Telemetry, Vector

#: Between two updates of a node; clocks are no finer.
_SHORTEST_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """How a fleet is estimated and planned; see `DeepEdge` for the meaning of each field."""

    first_steps: int = 5
    steps_per_overhead: float = 0.2
    min_max_steps: int = 6
    max_max_steps: int = 30
    compute_spread: float = 11.0
    smoothing: float = 0.3
    rate_smoothing: float = 0.05

    def __post_init__(self) -> None:
        if self.first_steps < 1:
            raise ValueError(f"first_steps must be >= 1, got {self.first_steps}")
        if not 1 <= self.min_max_steps <= self.max_max_steps:
            raise ValueError(
                "max_steps must be >= 1 and min_max_steps <= max_max_steps, got "
                f"{self.min_max_steps} and {self.max_max_steps}"
            )
        if not (self.steps_per_overhead >= 0 and self.compute_spread > 0):
            raise ValueError(
                "need steps_per_overhead >= 0 and compute_spread > 0, got "
                f"{self.steps_per_overhead} and {self.compute_spread}"
            )
        for name in ("smoothing", "rate_smoothing"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")


class FleetEstimate(Stateful):
    """Profiles of all nodes, and the fleet-wide figures that aggregation and allocation need.

    One reply costs O(1); medians and extremes over the fleet are refreshed once per version, as
    vector operations.

    Parameters
    ----------
    options : FleetOptions
        How to estimate and plan.

    Attributes
    ----------
    allocation : Allocation | None
        The common period; None until a node is profiled.
    reference_steps : float
        h_ref = sum p_i h_i over the profiled nodes.
    median_cycle_s : float | None
        Median time from one reply of a node to its next.
    """

    STATE: Names = (
        "_profiles",
        "_examples",
        "_sum_examples",
        "_sum_rates",
        "_last_reply_s",
        "allocation",
        "reference_steps",
        "median_cycle_s",
    )

    def __init__(self, options: FleetOptions) -> None:
        self._options = options
        self._profiles: dict[int, DeviceProfile] = {}
        self._examples: dict[int, float] = {}
        self._sum_examples, self._sum_rates = 0.0, 0.0
        self._last_reply_s: dict[int, float] = {}
        self.allocation: Allocation | None = None
        self.reference_steps = float(options.first_steps)
        self.median_cycle_s: float | None = None

    def profile(self, node_id: int) -> DeviceProfile:
        """Return what is known about a node."""
        return self._profiles.get(node_id, DeviceProfile(node_id=node_id))

    def learn(
        self,
        node_id: int,
        *,
        num_examples: float,
        telemetry: Telemetry | None,
        sent_at_s: float,
        now_s: float,
    ) -> None:
        """Fold one accepted reply into the estimate."""
        old = self.profile(node_id)
        new = observe(
            old,
            round_trip_s=now_s - sent_at_s,
            since_last_s=now_s - self._last_reply_s.get(node_id, sent_at_s),
            telemetry=telemetry,
            smoothing=self._options.smoothing,
            rate_smoothing=self._options.rate_smoothing,
        )
        self._last_reply_s[node_id] = now_s
        self._profiles[node_id] = new
        self._sum_examples += num_examples - self._examples.get(node_id, 0.0)
        self._examples[node_id] = num_examples
        self._sum_rates += _rate(new) - _rate(old)

    def rename(self, old_id: int, new_id: int) -> None:
        """Give what is known of a node to another id, unless that has a profile of its own."""
        profile = self._profiles.pop(old_id, None)
        last_reply_s = self._last_reply_s.pop(old_id, 0.0)
        num_examples = self._examples.pop(old_id, 0.0)
        if profile is None:
            return
        if new_id not in self._profiles:
            self._profiles[new_id] = replace(profile, node_id=new_id)
            self._last_reply_s[new_id], self._examples[new_id] = last_reply_s, num_examples
        else:
            self._sum_examples -= num_examples
            self._sum_rates -= _rate(profile)

    def shift(self, offset_s: float) -> None:
        """Move the times of the last replies: the clock was stopped, or is another one."""
        self._last_reply_s = {n: time_s + offset_s for n, time_s in self._last_reply_s.items()}

    def relative_share(self, node_id: int) -> float:
        """Return N p_i, the node's weight in the objective relative to the mean node."""
        return self._examples[node_id] * len(self._examples) / self._sum_examples

    def rates(self, node_id: int) -> tuple[float, float]:
        """Return the node's accepted updates per second, and the mean over the nodes."""
        return _rate(self._profiles[node_id]), self._sum_rates / len(self._profiles)

    @property
    def max_steps(self) -> int:
        """h_max; the most it may be while no node has told how many steps it does."""
        plan = self.allocation
        return self._options.max_max_steps if plan is None else plan.max_steps

    def steps(self, node_id: int) -> int:
        """Return h_i, the local steps of the node's next job."""
        if self.allocation is None:
            return self._options.first_steps
        return self.steps_in(node_id, self.allocation.period_s, self.allocation.max_steps)

    def steps_in(self, node_id: int, period_s: float, max_steps: int | None = None) -> int:
        """Return the local steps of a job of a given period; first_steps for an unknown node."""
        pace_s, overhead_s = self.profile(node_id).pace_s, self.profile(node_id).overhead_s
        if pace_s is None or overhead_s is None:
            return self._options.first_steps
        tau, overhead = np.array([pace_s]), np.array([overhead_s])
        return int(steps_in_period(tau, overhead, period_s, min_steps=1, max_steps=max_steps)[0])

    def cycle_s(self, node_id: int, num_steps: int) -> float | None:
        """Return c_i + h tau_i, the expected round trip of a job; None if unknown."""
        profile = self.profile(node_id)
        if profile.pace_s is None or profile.overhead_s is None:
            return None
        return profile.overhead_s + num_steps * profile.pace_s

    def median_round_trip_s(self, num_steps: int) -> float | None:
        """Return the median of `cycle_s` over the profiled nodes; None if there is none."""
        cycles_s = [self.cycle_s(node_id, num_steps) for node_id in self._profiles]
        known_s = [cycle_s for cycle_s in cycles_s if cycle_s is not None]
        return float(np.median(known_s)) if known_s else None

    def refresh(
        self, node_ids: Collection[int], *, aligned: float = 0.0, opposed: float = 0.0
    ) -> None:
        """Recompute the fleet-wide figures.

        Of the nodes that are not among `node_ids` at most as many are remembered as there are
        others, those heard of last: a device that comes and goes keeps its profile.

        Parameters
        ----------
        node_ids : Collection[int]
            The connected nodes.
        aligned, opposed : float (default: 0.0)
            Agreement of the updates, see `Allocation.adapted`.
        """
        self._forget(node_ids)
        cycles_s = [p.interarrival_s for p in self._profiles.values() if p.interarrival_s]
        self.median_cycle_s = float(np.median(cycles_s)) if cycles_s else None
        known = [p for p in self._profiles.values() if p.step_time_s is not None]
        if not known:
            return
        pace_s = np.array([p.pace_s for p in known], float)
        overhead_s = np.array([p.overhead_s for p in known], float)
        options = self._options
        self.allocation = plan_fleet(
            pace_s,
            overhead_s,
            steps_per_overhead=options.steps_per_overhead,
            min_max_steps=options.min_max_steps,
            max_max_steps=options.max_max_steps,
            compute_spread=options.compute_spread,
        ).adapted(aligned, opposed, options.min_max_steps)
        steps = self._steps(pace_s, overhead_s, self.allocation)
        share = np.array([self._examples[p.node_id] for p in known])
        self.reference_steps = float(np.average(steps, weights=share))

    def _forget(self, node_ids: Collection[int]) -> None:
        """Drop nodes that left long ago; the sums are rebuilt, so rounding does not pile up."""
        absent = [n for n in self._profiles if n not in node_ids]
        absent.sort(key=lambda n: (-self._last_reply_s[n], n))
        dropped = set(absent[len(node_ids) :])
        self._profiles = {n: p for n, p in self._profiles.items() if n not in dropped}
        self._examples = {n: self._examples[n] for n in self._profiles}
        self._last_reply_s = {n: self._last_reply_s[n] for n in self._profiles}
        self._sum_examples = sum(self._examples.values())
        self._sum_rates = sum(_rate(profile) for profile in self._profiles.values())

    def _steps(self, pace_s: Vector, overhead_s: Vector, plan: Allocation) -> Vector:
        return steps_in_period(
            pace_s, overhead_s, plan.period_s, min_steps=1, max_steps=plan.max_steps
        ).astype(float)


def _rate(profile: DeviceProfile) -> float:
    # Two updates at one instant of the clock say nothing finite about a rate.
    return 1.0 / max(profile.interarrival_s, _SHORTEST_S) if profile.interarrival_s else 0.0

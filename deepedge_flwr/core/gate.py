"""The latency-budget gate: training yields, step by step, to the service on the same device.

Pure: latencies and nothing else go in, decisions come out.
"""

import math
from collections.abc import Iterable

from .types import GateDecision, TrainPlan

#: Standard normal quantile of the protected share of requests, 99 %.
_Z_P99 = 2.326


class Gate:
    """Hold the 99th percentile of a service's latency under its budget.

    The latency is tracked as log-normal: m, s^2 are running mean and variance of its logarithm,

        m += a (log x - m),  s^2 += b ((log x - m)^2 - s^2),  p99 = exp(m + 2.326 s)

    with a fast mean (a = 0.3: the load moves) and a slow spread (b = 0.05: the noise does not).
    Law: pause when p99 > `high` * budget, proceed again when p99 < `low` * budget (hysteresis),
    stop and return the work done when one pause has lasted `max_pause_s`.

    Parameters
    ----------
    budget_s : float
        Latency budget of the service.
    high, low : float (default: 0.9, 0.8)
        Fractions of the budget at which training pauses and goes on.
    pause_s : float | None (default: None)
        Length of one pause before the gate looks again; None for two budgets: by then
        the requests that training disturbed are over.
    max_pause_s : float | None (default: None)
        Longest uninterrupted pause before the job is ended; None for 500 budgets.

    Raises
    ------
    ValueError
        If the budget is not > 0 or not 0 < low <= high.
    """

    def __init__(
        self,
        budget_s: float,
        high: float = 0.9,
        low: float = 0.8,
        pause_s: float | None = None,
        max_pause_s: float | None = None,
    ) -> None:
        if not budget_s > 0:
            raise ValueError(f"budget_s must be > 0, got {budget_s}")
        if not 0 < low <= high:
            raise ValueError(f"need 0 < low <= high, got low {low} and high {high}")
        for name, value in (("pause_s", pause_s), ("max_pause_s", max_pause_s)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0 or None, got {value}")
        self.budget_s = budget_s
        self._high_s, self._low_s = high * budget_s, low * budget_s
        self._pause_s = 2 * budget_s if pause_s is None else pause_s
        self._max_pause_s = 500 * budget_s if max_pause_s is None else max_pause_s
        self._mean: float | None = None
        self._variance = 0.0
        self._paused_s = 0.0

    @classmethod
    def for_plan(cls, plan: TrainPlan) -> "Gate | None":
        """Return the gate that a plan asks for; None if it sets no budget."""
        return None if plan.latency_budget_s is None else cls(plan.latency_budget_s)

    @property
    def p99_s(self) -> float:
        """Estimated 99th percentile of the latency; 0 before the first request."""
        if self._mean is None:
            return 0.0
        return math.exp(self._mean + _Z_P99 * math.sqrt(self._variance))

    def observe(self, latencies_s: Iterable[float]) -> None:
        """Fold the latencies of finished requests, each > 0, into the estimate."""
        for latency_s in latencies_s:
            if not 0 < latency_s < math.inf:
                continue
            value = math.log(latency_s)
            if self._mean is None:
                self._mean = value
            residual = value - self._mean
            self._mean += 0.3 * residual
            self._variance += 0.05 * (residual * residual - self._variance)

    def decide(self) -> GateDecision:
        """Return what to do before the next local step: proceed, pause, or stop."""
        limit_s = self._low_s if self._paused_s > 0 else self._high_s
        if self.p99_s <= limit_s:
            self._paused_s = 0.0
            return GateDecision()
        if self._paused_s >= self._max_pause_s:
            self._paused_s = 0.0
            return GateDecision(stop=True)
        self._paused_s += self._pause_s
        return GateDecision(pause_s=self._pause_s)

"""The latency-budget gate: training yields, step by step, to the service on the same device.

Pure: latencies and nothing else go in, decisions come out.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist

from .types import GateDecision, TrainPlan

_MAX_RESIDUAL = math.log(4.0)
#: Requests in a pause from which to judge that it does not help.
_ENOUGH_REQUESTS = 20
#: Usual gaps between two requests without any, after which a service has nothing to do.
_IDLE_GAPS = 20.0


class Gate:
    """Hold a quantile of a service's latency under its budget.

    The latency is tracked as log-normal: m, s^2 are running mean and variance of its logarithm,

        m += a (log x - m),  s^2 += b ((log x - m)^2 - s^2),  x_q = exp(m + z_q s)

    with a fast mean (a = 0.3: the load moves) and a slow spread (b = 0.05: the noise does not). A
    latency counts as at most four times the mean one, and at least a quarter: a single hiccup of a
    second must not hold up training for the next hundred requests.

    Law: pause when x_q > `high` * budget, proceed again when x_q < `low` * budget (hysteresis).
    Stop and return the work done when one pause has lasted `max_pause_s` and twenty requests in it
    were no better. Forget the estimate and proceed when no request has come for twenty times the
    usual gap between two, or for `max_pause_s`: there is nothing to protect just now, and when
    there is again it is seen within one step.

    What a step does to the service is seen when it ends: the gate reacts within one local step, or
    one part of it (`micro_batches`), and by then as many requests as came in it may be late.

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
    quantile : float (default: 0.99)
        q, the share of the requests that is to keep the budget.

    Raises
    ------
    ValueError
        If the budget is not > 0, not 0 < low <= high, or the quantile is not in [0.5, 1).
    """

    def __init__(
        self,
        budget_s: float,
        high: float = 0.9,
        low: float = 0.8,
        pause_s: float | None = None,
        max_pause_s: float | None = None,
        quantile: float = 0.99,
    ) -> None:
        if not budget_s > 0:
            raise ValueError(f"budget_s must be > 0, got {budget_s}")
        if not 0 < low <= high:
            raise ValueError(f"need 0 < low <= high, got low {low} and high {high}")
        for name, value in (("pause_s", pause_s), ("max_pause_s", max_pause_s)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0 or None, got {value}")
        if not 0.5 <= quantile < 1:
            raise ValueError(f"quantile must be in [0.5, 1), got {quantile}")
        self.budget_s, self.quantile = budget_s, quantile
        self._high_s, self._low_s = high * budget_s, low * budget_s
        self._pause_s = 2 * budget_s if pause_s is None else pause_s
        self._max_pause_s = 500 * budget_s if max_pause_s is None else max_pause_s
        self._z = round(NormalDist().inv_cdf(quantile), 3)  # the estimate is no better than that
        self._mean: float | None = None
        self._variance = 0.0
        self._paused_s, self._num_seen = 0.0, 0
        self._silent_s, self._gap_s = 0.0, math.inf

    @classmethod
    def for_plan(cls, plan: TrainPlan) -> "Gate | None":
        """Return the gate that a plan asks for; None if it sets no budget."""
        if plan.latency_budget_s is None:
            return None
        return cls(plan.latency_budget_s, quantile=plan.latency_quantile or 0.99)

    @property
    def quantile_s(self) -> float:
        """Estimated quantile x_q of the latency; 0 before the first request."""
        if self._mean is None:
            return 0.0
        return math.exp(self._mean + self._z * math.sqrt(self._variance))

    @property
    def memory(self) -> list[float]:
        """What the gate of the device's next job begins with: m and s^2, if anything was seen."""
        return [] if self._mean is None else [self._mean, self._variance]

    def remember(self, memory: Sequence[float]) -> None:
        """Begin with what an earlier gate on this device knew; what it cannot have is left out."""
        if len(memory) == 2 and all(map(math.isfinite, memory)) and memory[1] >= 0:
            self._mean, self._variance = memory

    def observe(self, latencies_s: Iterable[float], elapsed_s: float = 0.0) -> None:
        """Fold the latencies of finished requests into the estimate.

        Parameters
        ----------
        latencies_s : Iterable[float]
            Latencies; what is not finite and > 0 is left out.
        elapsed_s : float (default: 0.0)
            Seconds in which these requests finished.
        """
        found = [latency_s for latency_s in latencies_s if 0 < latency_s < math.inf]
        self._silent_s += elapsed_s
        if found:
            gap_s = self._silent_s / len(found)
            self._gap_s = gap_s if math.isinf(self._gap_s) else 0.8 * self._gap_s + 0.2 * gap_s
            self._silent_s = 0.0
        for latency_s in found:
            value = math.log(latency_s)
            if self._mean is None:
                self._mean = value
            residual = max(-_MAX_RESIDUAL, min(_MAX_RESIDUAL, value - self._mean))
            self._num_seen += 1
            self._mean += 0.3 * residual
            self._variance += 0.05 * (residual * residual - self._variance)

    def decide(self) -> GateDecision:
        """Return what to do before the next local step: proceed, pause, or stop."""
        limit_s = self._low_s if self._paused_s > 0 else self._high_s
        is_long = self._paused_s >= self._max_pause_s
        is_idle = self._silent_s > _IDLE_GAPS * self._gap_s > 0
        if self._paused_s > 0 and (is_idle or (is_long and self._num_seen == 0)):
            self._mean, self._variance = None, 0.0
        if self.quantile_s <= limit_s:
            self._paused_s = 0.0
            return GateDecision()
        if is_long and self._num_seen >= _ENOUGH_REQUESTS:
            paused_s, self._paused_s = self._paused_s, 0.0
            return GateDecision(
                stop=True,
                reason=f"the service does not keep its budget of {self.budget_s:.4g} s while "
                f"training pauses: {self.quantile_s:.4g} s after {paused_s:.3g} s",
            )
        if self._paused_s == 0:
            self._num_seen = 0
        self._paused_s += self._pause_s
        return GateDecision(pause_s=self._pause_s)

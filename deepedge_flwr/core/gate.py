"""The latency-budget gate: training yields, step by step, to the service on the same device.

Pure: latencies and nothing else go in, decisions come out.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist

from .types import GateDecision, TrainPlan

#: A latency moves the estimate as if it were at most so many standard deviations, or so much of its
#: logarithm, from the mean.
_MAX_DEVIATIONS, _MAX_RESIDUAL = 3.0, 0.25
#: Late requests that training may have in hand, and owe.
_MOST_CREDIT, _MOST_DEBT = 2.0, 10.0
#: Weight of a request in the share of those that are late without training, and how much of it is
#: forgotten with every request beside training: it may have been an hour ago.
_LATE_SMOOTHING, _LATE_FORGOTTEN = 0.01, 0.002
#: Requests in a pause from which to judge that it does not help.
_ENOUGH_REQUESTS = 20
#: Usual gaps between two requests without any, after which a service has nothing to do.
_IDLE_GAPS = 20.0


class Gate:
    """Hold a quantile of a service's latency under its budget.

    Latencies that rise are seen before they are late. They are tracked as log-normal: m, s^2 are
    running mean and variance of the logarithm,

        m += a (log x - m),  s^2 += b ((log x - m)^2 - s^2),  x_q = exp(m + z_q s)

    with a fast mean (a = 0.3: the load moves) and a slow spread (b = 0.05: the noise does not),
    where a single hiccup, whatever its length, counts as one of three standard deviations.

    Single late requests are counted. Every request earns training a credit of 1 - q, and of the
    share p of requests that are late while it pauses, if that is more: training is not to blame for
    them. A request over the budget that overlaps with training costs 1:

        c = clip(c + max(1 - q, p) - [late beside training], -10, 2)

    so that in the long run no more than 1 - q are late because of it, as long as no step makes more
    than ten late. A job begins without debt: what was served between two jobs is not seen.

    Law: pause when x_q > `high` * budget or c < 0; proceed again when c >= 0 and, where x_q was too
    high, x_q < `low` * budget (hysteresis). Stop and return the work done when x_q has been no
    better for `max_pause_s` of a pause and twenty requests in it, or when a pause has not paid the
    debt in that time. Forget and proceed when no request has come for twenty times the usual gap
    between two, or for `max_pause_s`: there is nothing to protect just now, and when there is again
    it is seen within one step.

    What a step does to the service is seen when it ends: the gate reacts within one local step, or
    one part of it (`micro_batches`), and by then as many requests as came in it may be late.

    Parameters
    ----------
    budget_s : float
        Latency budget of the service.
    high, low : float (default: 0.9, 0.87)
        Fractions of the budget at which training pauses and goes on. The further apart, the less
        a device trains.
    pause_s : float | None (default: None)
        Length of one pause before the gate looks again; None for two budgets: by then
        the requests that training disturbed are over.
    max_pause_s : float | None (default: None)
        Longest pause before the job is ended; None for 500 budgets.
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
        low: float = 0.87,
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
        self._credit, self._late_alone = _MOST_CREDIT, 0.0
        self._paused_s, self._slow_s, self._num_slow = 0.0, 0.0, 0
        #: Since the last step ended, but for the pause that is under way; none has yet.
        self._rested_s = math.inf
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
        """What the gate of the device's next job begins with: m, s^2, c and p, if it saw any."""
        if self._mean is None:
            return []
        return [self._mean, self._variance, self._credit, self._late_alone]

    def remember(self, memory: Sequence[float]) -> None:
        """Begin with what an earlier gate on this device knew; what it cannot have is left out."""
        if len(memory) != 4 or not all(map(math.isfinite, memory)):
            return
        mean, variance, credit, late_alone = memory
        if variance >= 0 and -_MOST_DEBT <= credit <= _MOST_CREDIT and 0 <= late_alone <= 1:
            self._mean, self._variance = mean, variance
            self._credit, self._late_alone = max(0.0, credit), late_alone

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
            self._num_slow += 1
            self._estimate(math.log(latency_s))
            is_late = latency_s > self.budget_s
            self._account(is_late, is_beside=latency_s > self._rested_s)

    def _estimate(self, value: float) -> None:
        if self._mean is None:
            self._mean = value
        most = max(_MAX_RESIDUAL, _MAX_DEVIATIONS * math.sqrt(self._variance))
        residual = max(-most, min(most, value - self._mean))
        self._mean += 0.3 * residual
        self._variance += 0.05 * (residual * residual - self._variance)

    def _account(self, is_late: bool, is_beside: bool) -> None:
        if is_beside:
            self._late_alone *= 1 - _LATE_FORGOTTEN
        else:
            self._late_alone += _LATE_SMOOTHING * (is_late - self._late_alone)
        earned = max(1 - self.quantile, self._late_alone)
        cost = float(is_late and is_beside)
        self._credit = max(-_MOST_DEBT, min(_MOST_CREDIT, self._credit + earned - cost))

    def decide(self) -> GateDecision:
        """Return what to do before the next local step: proceed, pause, or stop."""
        is_idle = self._silent_s > _IDLE_GAPS * self._gap_s > 0
        if self._paused_s > 0 and (is_idle or self._silent_s >= self._max_pause_s):
            self._mean, self._variance = None, 0.0
            self._credit, self._late_alone = _MOST_CREDIT, 0.0
        limit_s = self._low_s if self._slow_s > 0 else self._high_s
        is_slow = self.quantile_s > limit_s
        if not is_slow or self._slow_s == 0:
            self._slow_s, self._num_slow = 0.0, 0
        if not is_slow and self._credit >= 0:
            self._paused_s = self._rested_s = 0.0
            return GateDecision()
        if reason := self._why_stop(is_slow):
            self._paused_s, self._slow_s = 0.0, 0.0
            return GateDecision(stop=True, reason=reason)
        if self._paused_s > 0:
            self._rested_s += self._pause_s
        self._paused_s += self._pause_s
        self._slow_s += self._pause_s if is_slow else 0.0
        return GateDecision(pause_s=self._pause_s)

    def _why_stop(self, is_slow: bool) -> str:
        """Return why a pause does not help; empty if it may."""
        if self._slow_s >= self._max_pause_s and self._num_slow >= _ENOUGH_REQUESTS:
            return (
                f"the service does not keep its budget of {self.budget_s:.4g} s while training "
                f"pauses: {self.quantile_s:.4g} s after {self._slow_s:.3g} s"
            )
        if not is_slow and self._paused_s >= self._max_pause_s:
            return (
                f"more than {1 - self.quantile:.3g} of the requests would be late beside training: "
                f"{-self._credit:.2f} too many after {self._paused_s:.3g} s of pause: isolation, "
                "or shorter local steps, disturb the service less"
            )
        return ""

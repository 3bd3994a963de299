"""How training on a device disturbs its service: learned from reports, with its uncertainty."""

import math
from dataclasses import dataclass, replace

from .state import Names, Stateful, storable
from .types import Telemetry

#: Requests of one report count for so many at most: what disturbs one disturbs its neighbours.
_EFFECTIVE_REQUESTS = 50.0
#: As many requests, of which the allowed share is late, are believed before any report.
_PRIOR_REQUESTS = 50.0
_FIRST_BACK_OFF_S, _LONGEST_BACK_OFF_S = 10.0, 600.0
_MAX_NODES = 100_000


@storable
@dataclass(frozen=True, slots=True, kw_only=True)
class Interference:
    """The share of a service's requests that are late while its device trains.

    A Beta distribution that begins as if 50 requests had been seen, with as many late ones as are
    allowed. A report of v late ones among n requests, worth e = min(1, 50 / n) each, gives

        a = memory a + (1 - memory) a_0 + e v,  b = memory b + (1 - memory) b_0 + e (n - v)

    so that ten reports ago is half forgotten at `memory` = 0.93.

    Attributes
    ----------
    allowed : float
        Share of late requests that is allowed, in (0, 0.5].
    late, in_time : float
        What reports have added to a_0 and b_0.
    requests_per_step : float
        How many requests come during a local step, pauses included.
    num_deferrals : int
        How often in a row the device could not train beside its service.
    """

    allowed: float = 0.01
    late: float = 0.0
    in_time: float = 0.0
    requests_per_step: float = 0.0
    num_deferrals: int = 0

    @property
    def share(self) -> float:
        """Expected share of late requests."""
        return self._late / self._requests

    @property
    def share_sd(self) -> float:
        """Standard deviation of that share."""
        return math.sqrt(self.share * (1 - self.share) / (self._requests + 1))

    @property
    def keeps(self) -> bool:
        """Whether the share may well be what is allowed: within 1.64 of its deviations."""
        return self.share - 1.64 * self.share_sd <= self.allowed

    def expected_violations(self, num_steps: int) -> tuple[float, float]:
        """Return how many requests a job will make late, and the standard deviation.

        Of n = steps * requests per step, n share are expected; the variance is that of n draws,
        and that of the share itself.
        """
        num_requests = num_steps * self.requests_per_step
        drawn = num_requests * self.share * (1 - self.share)
        return num_requests * self.share, math.sqrt(drawn + (num_requests * self.share_sd) ** 2)

    def observed(self, telemetry: Telemetry, memory: float = 0.93) -> "Interference":
        """Return the estimate after one more report."""
        late, requests = telemetry.num_violations, telemetry.num_requests
        weight = min(1.0, _EFFECTIVE_REQUESTS / requests) if requests else 0.0
        per_step = requests / telemetry.num_steps if telemetry.num_steps else 0.0
        return replace(
            self,
            late=memory * self.late + weight * late,
            in_time=memory * self.in_time + weight * (requests - late),
            requests_per_step=per_step or self.requests_per_step,
        )

    def deferred(self) -> tuple["Interference", float]:
        """Return the estimate and the seconds for which to leave the device alone.

        10 s, doubled with every time in a row up to 600 s. What was learned of the share is
        forgotten: one good job must be enough to be believed again.
        """
        longest = int(_LONGEST_BACK_OFF_S / _FIRST_BACK_OFF_S).bit_length()
        back_off_s = _FIRST_BACK_OFF_S * 2.0 ** min(self.num_deferrals, longest)
        forgotten = replace(self, late=0.0, in_time=0.0, num_deferrals=self.num_deferrals + 1)
        return forgotten, min(back_off_s, _LONGEST_BACK_OFF_S)

    @property
    def _late(self) -> float:
        return self.allowed * _PRIOR_REQUESTS + self.late

    @property
    def _requests(self) -> float:
        return _PRIOR_REQUESTS + self.late + self.in_time


class Services(Stateful):
    """What a server knows of the services beside the training, by node.

    Parameters
    ----------
    allowed : float
        Largest share of late requests.
    """

    STATE: Names = ("_of",)

    def __init__(self, allowed: float) -> None:
        self._allowed = allowed
        self._of: dict[int, Interference] = {}

    def of(self, node_id: int) -> Interference:
        """Return what is known of the service on a node."""
        return self._of.get(node_id) or Interference(allowed=self._allowed)

    def rename(self, old_id: int, new_id: int) -> None:
        """Give what is known of a node to another id."""
        if old_id in self._of:
            self._of.setdefault(new_id, self._of.pop(old_id))

    def deferral(self, node_id: int, telemetry: Telemetry) -> tuple[float, str]:
        """Learn from a report; return for how long to leave the node alone, and why.

        It is left alone if it ended early for its service's sake, or if more requests than allowed
        are expected to be late in its next job; 0 s otherwise.
        """
        if not telemetry.num_requests and not telemetry.yielded:
            return 0.0, ""
        estimate = self.of(node_id)
        if telemetry.latency_quantile > 0:
            estimate = replace(estimate, allowed=min(0.5, 1 - telemetry.latency_quantile))
        estimate = estimate.observed(telemetry)
        reason = telemetry.trouble if telemetry.yielded else ""
        if not reason and not estimate.keeps:
            reason = (
                f"{estimate.share:.1%} of its service's requests are expected to be late, "
                f"{estimate.allowed:.3g} of them may be"
            )
        back_off_s = 0.0
        if reason:
            estimate, back_off_s = estimate.deferred()
        else:
            estimate = replace(estimate, num_deferrals=0)
        self._of[node_id] = estimate
        if len(self._of) > _MAX_NODES:  # nodes that come and go under ever new ids
            del self._of[next(iter(self._of))]
        return back_off_s, reason

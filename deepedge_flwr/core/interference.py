"""How training on a device disturbs its service: learned from reports, with its uncertainty."""

import math
from dataclasses import dataclass, replace

from .state import Names, Stateful, storable
from .types import Telemetry

#: Requests of one report count for so many at most: what disturbs one disturbs its neighbours.
_EFFECTIVE_REQUESTS = 20.0
#: Before any report: half a request late of fifty.
_PRIOR_LATE, _PRIOR_IN_TIME = 0.5, 49.5
_FIRST_BACK_OFF_S, _LONGEST_BACK_OFF_S = 10.0, 600.0


@storable
@dataclass(frozen=True, slots=True, kw_only=True)
class Interference:
    """The share of a service's requests that are late while its device trains.

    A Beta distribution; a report of v late ones among n requests, worth e = min(1, 20 / n) each,

        a = memory a + (1 - memory) a_0 + e v,  b = memory b + (1 - memory) b_0 + e (n - v)

    so that ten reports ago is half forgotten at `memory` = 0.93.

    Attributes
    ----------
    late, in_time : float
        a and b.
    requests_per_step : float
        How many requests come during a local step, pauses included.
    num_deferrals : int
        How often in a row the device could not train beside its service.
    """

    late: float = _PRIOR_LATE
    in_time: float = _PRIOR_IN_TIME
    requests_per_step: float = 0.0
    num_deferrals: int = 0

    @property
    def share(self) -> float:
        """Expected share of late requests."""
        return self.late / (self.late + self.in_time)

    @property
    def share_sd(self) -> float:
        """Standard deviation of that share."""
        total = self.late + self.in_time
        return math.sqrt(self.late * self.in_time / (total + 1)) / total

    def expected_violations(self, num_steps: int) -> tuple[float, float]:
        """Return how many requests a job will make late, and the standard deviation.

        Of n = steps * requests per step, n share are expected; the variance is that of n draws,
        and that of the share itself.
        """
        num_requests = num_steps * self.requests_per_step
        drawn = num_requests * self.share * (1 - self.share)
        return num_requests * self.share, math.sqrt(drawn + (num_requests * self.share_sd) ** 2)

    def keeps(self, allowed: float) -> bool:
        """Return whether the share may well be at most `allowed`: within 1.64 of its deviations."""
        return self.share - 1.64 * self.share_sd <= allowed

    def observed(self, telemetry: Telemetry, memory: float = 0.93) -> "Interference":
        """Return the estimate after one more report."""
        late, requests = telemetry.num_violations, telemetry.num_requests
        weight = min(1.0, _EFFECTIVE_REQUESTS / requests) if requests else 0.0
        fresh = 1 - memory
        per_step = requests / telemetry.num_steps if telemetry.num_steps else 0.0
        return replace(
            self,
            late=memory * self.late + fresh * _PRIOR_LATE + weight * late,
            in_time=memory * self.in_time + fresh * _PRIOR_IN_TIME + weight * (requests - late),
            requests_per_step=per_step or self.requests_per_step,
        )

    def deferred(self) -> tuple["Interference", float]:
        """Return the estimate and the seconds for which to leave the device alone.

        10 s, doubled with every time in a row up to 600 s. What was learned counts half as much
        then: one good job must be enough to be believed again.
        """
        longest = int(_LONGEST_BACK_OFF_S / _FIRST_BACK_OFF_S).bit_length()
        back_off_s = _FIRST_BACK_OFF_S * 2.0 ** min(self.num_deferrals, longest)
        forgotten = replace(
            self,
            late=(self.late + _PRIOR_LATE) / 2,
            in_time=(self.in_time + _PRIOR_IN_TIME) / 2,
            num_deferrals=self.num_deferrals + 1,
        )
        return forgotten, min(back_off_s, _LONGEST_BACK_OFF_S)


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
        return self._of.get(node_id, Interference())

    def rename(self, old_id: int, new_id: int) -> None:
        """Give what is known of a node to another id."""
        if old_id in self._of:
            self._of.setdefault(new_id, self._of.pop(old_id))

    def deferral(self, node_id: int, telemetry: Telemetry, planned: int) -> tuple[float, str]:
        """Learn from a report; return for how long to leave the node alone, and why.

        It is left alone if it did less than was planned for its service's sake, or if more
        requests than allowed are expected to be late in its next job; 0 s otherwise.
        """
        if not telemetry.num_requests and not telemetry.trouble:
            return 0.0, ""
        estimate = self.of(node_id).observed(telemetry)
        reason = telemetry.trouble if telemetry.num_steps < planned else ""
        if not reason and not estimate.keeps(self._allowed):
            reason = (
                f"{estimate.share:.1%} of its service's requests are expected to be late, "
                f"{self._allowed:.1%} may be"
            )
        back_off_s = 0.0
        if reason:
            estimate, back_off_s = estimate.deferred()
        else:
            estimate = replace(estimate, num_deferrals=0)
        self._of[node_id] = estimate
        return back_off_s, reason

"""What a strategy learns of its nodes from their replies, and how long it waits for the next."""

from logging import WARNING

from flwr.app import ArrayRecord
from flwr.common import log

from ..core.clock import Clock
from ..core.fleet import FleetEstimate, FleetOptions
from ..core.interference import Services
from ..core.state import Names
from ..core.types import Telemetry, TrainPlan
from ..layout import ModelLayout
from .async_strategy import AsyncStrategy
from .exchange import Accepted


class ProfiledStrategy(AsyncStrategy):
    """Keep a profile of every node, for strategies that plan local steps.

    Attributes
    ----------
    fleet_options : FleetOptions
        How nodes are estimated.
    patience_cycles : float
        Expected round trips after which a reply is no longer waited for.
    without_telemetry : str
        What becomes of a node that sends no telemetry, told once in a run.
    """

    fleet_options: FleetOptions
    patience_cycles: float
    without_telemetry = "gets no step allocation"
    #: Share of a service's requests that is to keep its budget, where a device has one.
    latency_quantile = 0.99
    STATE: Names = (
        "_fleet",
        "_services",
        "_expected",
        "_unprotected",
        "_told_about_telemetry",
    )

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        self._fleet = FleetEstimate(self.fleet_options)
        self._services = Services(1 - self.latency_quantile)
        self._expected: dict[str, float] = {}
        self._unprotected: dict[int, str] = {}
        self._told_about_telemetry = False
        super()._begin(layout, arrays, clock, timeout_s)

    def renamed(self, old_id: int, new_id: int) -> None:
        """Keep the device's profile."""
        self._fleet.rename(old_id, new_id)
        self._services.rename(old_id, new_id)

    def resumed(self, offset_s: float) -> None:
        """Leave the time without a server out of the nodes' arrival rates."""
        self._fleet.shift(offset_s)

    def reply_timeout_s(self, node_id: int, plan: TrainPlan | None) -> float:
        """Return some expected round trips; the run's timeout for a node not yet profiled."""
        cycle_s = None if plan is None else self._fleet.cycle_s(node_id, plan.num_steps)
        if cycle_s is None:
            return self._timeout_s
        return min(self._timeout_s, self.patience_cycles * cycle_s)

    def learn(self, accepted: Accepted, now_s: float) -> None:
        """Update the node's profile."""
        node_id = accepted.update.node_id
        self._fleet.learn(
            node_id,
            num_examples=accepted.update.num_examples,
            telemetry=accepted.telemetry,
            sent_at_s=accepted.dispatch.sent_at_s,
            now_s=now_s,
        )
        if accepted.telemetry is not None:
            self._protect(node_id, accepted.telemetry, now_s)
        if accepted.telemetry is None and not self._told_about_telemetry:
            self._told_about_telemetry = True
            log(WARNING, "Node %d sent no telemetry: without DeepEdgeMod and local_steps in its "
                "ClientApp it %s", node_id, self.without_telemetry)  # fmt: skip

    def expectation(self, node_id: int) -> dict[str, float]:
        """Return how many requests of its service were expected to be late."""
        return self._expected

    def _protect(self, node_id: int, telemetry: Telemetry, now_s: float) -> None:
        """Leave a node alone for a while that cannot train beside its service."""
        expected, deviation = self._services.of(node_id).expected_violations(telemetry.num_steps)
        self._expected = {"expected-violations": expected, "expected-violations-sd": deviation}
        back_off_s, reason = self._services.deferral(node_id, telemetry)
        if reason:
            self._exchange.members.leave_alone(node_id, now_s + back_off_s)
            text = f"{reason}: left alone for {back_off_s:.0f} s"
            self._exchange.events.happened("yielded", node_id, text)
        elif telemetry.trouble:
            told = self._unprotected.get(node_id) == telemetry.trouble
            text = "" if told else telemetry.trouble
            self._unprotected[node_id] = telemetry.trouble
            self._exchange.events.happened("unprotected", node_id, text)

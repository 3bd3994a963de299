"""FedCompass [Li et al., 2024]: nodes of different speed arrive in groups.

Paper: "FedCompass: Efficient Cross-Silo Federated Learning on Heterogeneous Client Devices Using a
Computing Power-Aware Scheduler", ICLR 2024, arXiv:2309.14675, algorithms 1 and 2.
"""

from logging import INFO, WARNING
from typing import Any

from flwr.app import ArrayRecord
from flwr.common import log

from ..core.aggregation import UpdateBuffer
from ..core.clock import Clock
from ..core.compass import Arrival, Compass, CompassOptions
from ..core.staleness import polynomial
from ..core.state import Names, State
from ..core.types import TrainPlan, Update, Vector
from ..layout import ModelLayout
from .async_strategy import AsyncStrategy
from .contributions import Contributions
from .exchange import Accepted
from .options import require_non_negative, require_positive

_NO_TELEMETRY = (
    "Node %d sent no telemetry: taken to have done the steps it was planned. If its ClientApp has "
    "no DeepEdgeMod and local_steps, groups cannot make it arrive in time"
)


class FedCompass(AsyncStrategy):
    """Give every node the local steps that make it arrive together with its group.

        w += sum_{i in group and late} s(tau) p_i delta_i,  s(tau) = alpha (1 + tau)^-a

    Who arrives waits until its group is complete or its latest time, `latest_time_factor` times
    the expected duration, has come; who is late is sent the newest model at once and counts with
    the next group. A node's first update is a version by itself. p_i = n_i / sum n; nodes that
    have not answered yet are taken to have as many examples as the others on average.

    The speed of a node is measured as in the paper, round trip over local steps: links count, and
    so do the pauses of a latency gate. The steps are those of the telemetry, else those planned. A
    ClientApp that follows no plan (no `DeepEdgeMod`, no `local_steps`) does the steps of its own;
    then the groups still form and nobody waits beyond a latest time, but it is not FedCompass.

    Nodes whose first updates arrive at the same instant are all sent the version after the last of
    them. A node that fails leaves its group, which no longer waits for it. The server keeps one
    sum for every open group and one for the late: memory is O(groups x model).

    Parameters
    ----------
    min_steps, max_steps : int (default: 40, 200)
        Q_min and Q_max, bounds of the local steps of a message; the first has `min_steps`.
    latest_time_factor : float (default: 1.2)
        lambda, at least 1.
    alpha : float (default: 0.9)
        Weight of a fresh update, in (0, 1].
    staleness_exponent : float (default: 0.5)
        a.
    speed_momentum : float (default: 0.9)
        Weight of a new measurement in a node's seconds per step, in (0, 1].
    patience_cycles : float (default: 3.0)
        Expected durations after which a reply is no longer waited for and the node is given other
        work; it still counts when it comes. The paper's servers wait for ever.
    **options
        See `BufferedHooks`.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    pipelines = False
    keeps_private = False
    STATE: Names = ("_compass", "_late", "_examples", "_sum_examples", "_told_about_telemetry")

    def __init__(
        self,
        *,
        min_steps: int = 40,
        max_steps: int = 200,
        latest_time_factor: float = 1.2,
        alpha: float = 0.9,
        staleness_exponent: float = 0.5,
        speed_momentum: float = 0.9,
        patience_cycles: float = 3.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_non_negative(staleness_exponent=staleness_exponent)
        require_positive(patience_cycles=patience_cycles)
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be in (0, 1], got {alpha}")
        self.compass_options = CompassOptions(
            min_steps=min_steps,
            max_steps=max_steps,
            latest_time_factor=latest_time_factor,
            speed_momentum=speed_momentum,
        )
        self.alpha, self.staleness_exponent = alpha, staleness_exponent
        self.patience_cycles = patience_cycles

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        super()._begin(layout, arrays, clock, timeout_s)
        self._compass, self._arrival = Compass(self.compass_options), Arrival()
        self._groups: dict[int, Contributions] = {}
        self._late = self.contributions()
        self._examples: dict[int, float] = {}
        self._sum_examples = 0.0
        self._told_about_telemetry = False

    def in_order(self, node_ids: list[int]) -> list[int]:
        """Return the fastest first: the others arrange themselves with the group it makes."""
        return self._compass.fastest_first(node_ids)

    def may_dispatch(self, node_id: int) -> bool:
        """Return whether the node does not wait for its group."""
        return not self._compass.is_waiting(node_id)

    def plan(self, node_id: int) -> TrainPlan:
        """Assign the node to a group, and return the steps that make it arrive in time."""
        num_steps = self._compass.assign(node_id, self._clock.now_s())
        return TrainPlan(num_steps=num_steps, model_version=self.version)

    def reply_timeout_s(self, node_id: int, plan: TrainPlan | None) -> float:
        """Return some expected durations; the run's timeout for a node not yet measured."""
        duration_s = None if plan is None else self._compass.duration_s(node_id, plan.num_steps)
        if duration_s is None:
            return self._timeout_s
        return min(self._timeout_s, self.patience_cycles * duration_s)

    def learn(self, accepted: Accepted, now_s: float) -> None:
        """Note the arrival, the node's speed and its share of the data."""
        update, dispatch = accepted.update, accepted.dispatch
        node_id, num_steps = update.node_id, update.num_steps
        self._sum_examples += update.num_examples - self._examples.get(node_id, 0.0)
        self._examples[node_id] = update.num_examples
        if num_steps is None and dispatch.plan is not None:
            num_steps = dispatch.plan.num_steps
            self._tell_about_telemetry(node_id)
        if self._exchange.in_flight.is_busy(node_id):  # it has been sent a newer message meanwhile
            self._arrival = Arrival(is_late=True)
            return
        step_time_s = (now_s - dispatch.sent_at_s) / num_steps if num_steps else None
        self._arrival = self._compass.arrive(node_id, step_time_s=step_time_s, now_s=now_s)

    def destination(self, update: Update) -> Contributions:
        """Return the buffer of the node's group or of the late; the next version's if it is new."""
        if self._arrival.is_late:
            return self._late
        if (group := self._arrival.group) is None:
            return self._next
        return self._groups.setdefault(group, self.contributions())

    def settled(self, lost: list[int], now_s: float) -> None:
        """Drop lost nodes from their groups; let a due group become a version, with the late."""
        for node_id in lost:
            self._compass.lose(node_id)
        # A first update is a version of its own, and so is each of several groups.
        if len(self._next) or (group := self._compass.close_due(now_s)) is None:
            return
        self._next, self._late = self._late, self.contributions()
        if (arrived := self._groups.pop(group, None)) is not None:
            self._next.absorb(arrived)

    def weight(self, update: Update, staleness: int) -> float:
        """Return s(tau) p_i."""
        relative_share = self._examples[update.node_id] * len(self._examples) / self._sum_examples
        share = relative_share / max(1, len(self._exchange.members))
        return self.alpha * polynomial(staleness, self.staleness_exponent) * share

    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return True: what is not to be a version yet is in another buffer."""
        return True

    def due_at_s(self) -> float | None:
        """Return when the next group's time is up."""
        return self._compass.due_at_s()

    def state(self) -> State:
        """Return the state, with the buffers of all groups."""
        return super().state() | {"groups": {n: g.state() for n, g in self._groups.items()}}

    def restore(self, state: State) -> None:
        """Take over a state."""
        super().restore(state)
        self._groups = {n: self.contributions() for n in state["groups"]}
        for number, group in self._groups.items():
            group.restore(state["groups"][number])

    def renamed(self, old_id: int, new_id: int) -> None:
        """Keep the device's speed and its share of the data."""
        self._compass.rename(old_id, new_id)
        if (num_examples := self._examples.pop(old_id, None)) is not None:
            if new_id in self._examples:
                self._sum_examples -= num_examples
            self._examples.setdefault(new_id, num_examples)

    def resumed(self, offset_s: float) -> None:
        """Leave the time without a server out of the groups' times."""
        self._compass.shift(offset_s)

    def drained(self, buffer: UpdateBuffer) -> Vector:
        """Return the sum: the shares are in the weights."""
        return buffer.take_sum()

    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return w + sum."""
        return model + mean

    def _tell_about_telemetry(self, node_id: int) -> None:
        if not self._told_about_telemetry:
            self._told_about_telemetry = True
            log(WARNING, _NO_TELEMETRY, node_id)

    def summary(self) -> None:
        """Log the strategy's settings."""
        options = self.compass_options
        log(INFO, "\t├──> FedCompass:")
        log(INFO, "\t│\t├── Local steps: %d to %d", options.min_steps, options.max_steps)
        log(INFO, "\t│\t├── Latest time factor: %.3g", options.latest_time_factor)
        log(INFO, "\t│\t├── Alpha: %.3g", self.alpha)
        log(INFO, "\t│\t├── Staleness exponent: %.3g", self.staleness_exponent)
        log(INFO, "\t│\t└── Speed momentum: %.3g", options.speed_momentum)
        super().summary()

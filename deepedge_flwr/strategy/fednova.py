"""FedNova [Wang et al., 2020]: normalised averaging of unequal local work.

Paper: arXiv:2007.07481, sec. 4, for plain SGD.
"""

from logging import INFO
from typing import Any

from flwr.app import ArrayRecord
from flwr.common import log

from ..core.clock import Clock
from ..core.fleet import FleetOptions
from ..core.state import Names
from ..core.types import TrainPlan, Update, Vector
from ..layout import ModelLayout
from .options import auto, require_count, require_positive
from .profiled import ProfiledStrategy
from .synchronous import SynchronousStrategy


class FedNova(ProfiledStrategy, SynchronousStrategy):
    """Give every node the local steps that it can do in a common period, and normalise them.

        E_i = max(1, floor((period - c_i) / tau_i))
        w  += (sum p_i E_i) sum p_i delta_i / E_i,  p_i = n_i / sum n over the replies of the round

    tau_i and c_i are the node's measured step time and overhead; the average uses the steps that
    were really done. A node that cannot do one step in the period does one and is waited for.
    With equal steps this is FedAvg. An update of few steps is scaled up by sum p E / E_i, so a
    fleet with a large spread of speeds needs a smaller client learning rate. The server keeps two
    sums and one vector, whatever the number of nodes.

    Parameters
    ----------
    period_s : float | None (default: None)
        The common period; None for the time in which the median node does `local_steps`, its
        overhead included, estimated anew after every round.
    local_steps : int (default: 10)
        Local steps of the median node.
    first_steps : int (default: 5)
        Local steps of a node about which nothing is known.
    smoothing : float (default: 0.3)
        Weight of a new observation in a node's profile.
    patience_cycles : float (default: 3.0)
        Expected round trips after which a reply is no longer waited for.
    **options
        See `BufferedHooks`.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    STATE: Names = ("_period_s", "_sum_steps")

    def __init__(
        self,
        *,
        period_s: float | None = None,
        local_steps: int = 10,
        first_steps: int = 5,
        smoothing: float = 0.3,
        patience_cycles: float = 3.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_positive(period_s=period_s, patience_cycles=patience_cycles)
        require_count(local_steps=local_steps, first_steps=first_steps)
        self.period_s, self.local_steps, self.first_steps = period_s, local_steps, first_steps
        self.patience_cycles = patience_cycles
        self.without_telemetry = (
            f"gets no step allocation, and is taken to have done {local_steps} local steps"
        )
        self.fleet_options = FleetOptions(first_steps=first_steps, smoothing=smoothing)

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        super()._begin(layout, arrays, clock, timeout_s)
        self._period_s = self.period_s

    def _begin_round(self) -> None:
        super()._begin_round()
        self._sum_steps = 0.0

    def plan(self, node_id: int) -> TrainPlan:
        """Return the steps that the node can do in the common period."""
        period_s = self._period_s
        steps = self.first_steps if period_s is None else self._fleet.steps_in(node_id, period_s)
        return TrainPlan(num_steps=steps, model_version=self.version)

    def direction(self, update: Update) -> Vector:
        """Return delta_i / E_i."""
        return update.delta / self._steps_done(update)

    def folded(self, update: Update, now_s: float) -> None:
        """Add to sum n and sum n E."""
        super().folded(update, now_s)
        self._sum_steps += update.num_examples * self._steps_done(update)

    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return w + (sum p_i E_i) sum p_i delta_i / E_i."""
        return model + self._sum_steps / self._sum_examples * self.round_mean(mean)

    def advanced(self) -> None:
        """Estimate the period anew and begin the next round."""
        super().advanced()
        self._fleet.refresh(self._exchange.members.node_ids)
        if self.period_s is None:
            self._period_s = self._fleet.median_round_trip_s(self.local_steps)

    def _steps_done(self, update: Update) -> int:
        return self.local_steps if update.num_steps is None else update.num_steps

    def summary(self) -> None:
        """Log the strategy's settings."""
        log(INFO, "\t├──> FedNova:")
        log(INFO, "\t│\t├── Period: %s", auto(self.period_s))
        log(INFO, "\t│\t└── Local steps of the median node: %d", self.local_steps)
        super().summary()

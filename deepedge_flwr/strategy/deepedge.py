"""DeepEdge: capacity-aware, asynchronous, latency-safe federated learning.

After Deep-Edge [Bhattacharjee et al., 2020], arXiv:2004.05740, with buffered aggregation as in
FedBuff (arXiv:2106.06639) and step normalisation as in FedNova (arXiv:2007.07481).
"""

import math
from logging import INFO
from typing import Any

from flwr.app import ArrayRecord
from flwr.common import log

from ..core.aggregation import NormBound, UpdateBuffer, mix
from ..core.agreement import Agreement
from ..core.clock import Clock
from ..core.fleet import FleetOptions
from ..core.memory import UpdateMemory
from ..core.state import Names
from ..core.types import TrainPlan, Update, Vector
from ..core.weighting import Weighting
from ..layout import ModelLayout
from .options import auto, require_count, require_positive
from .patient import PatientStrategy
from .remembering import Remembering, share_of

#: For how many rounds of the fleet, N/K versions each, the last update of a node counts.
_REMEMBERED_FOR = 6
#: Of what is remembered, in mean lengths: it counts many times, so no single one may rule.
_LONGEST_REMEMBERED = 5.0


class DeepEdge(Remembering, PatientStrategy):
    """Train on devices of any speed without tuning, beside work that must not be disturbed.

    For node i with measured step time tau_i, overhead c_i and arrival rate 1/T_i, in a fleet of N
    nodes with data shares p_i:

        h_i = clip(floor((D + median(c) - c_i) / tau_i), 1, h_max) local steps
        g   = 1/|B| sum_B N p_i (1 + s)^-a (h_ref / h)^q r_i^-gamma delta_i,  r_i = (1/T_i) / mean
        w  += eta g;   average = beta average + (1 - beta) w

    The average is evaluated and published, w is sent to the nodes. The server measures how much
    the updates of different nodes agree (`core.agreement`). Where they point the same way, nodes
    are alike: eta falls, gamma too, to a half, and slow nodes may work longer. Jobs are as long as
    long links ask for where updates are aligned, half where orthogonal, a quarter where opposed.

    With a memory m > 0, delta_i is what is new in the update, and g also has m times the weighted
    mean of the nodes' last updates (`core.memory`), which turns g and does not make it longer. The
    weights of what is remembered then correct for r_i, not those of the news (`core.weighting`).

    Parameters
    ----------
    latency_budget_s : float | None (default: None)
        Budget of the service on the nodes, None for none; a node's `latency-budget-ms` wins.
    latency_quantile : float (default: 0.99)
        Share of the service's requests that is to keep it; a node's `latency-quantile` wins.
    buffer_size : int | None (default: None)
        K, updates per version; None for max(2, N/5).
    server_learning_rate : float | None (default: None)
        eta of updates that do not agree; None for min(K, 14 sqrt(K / (N h_max))).
    averaging : float | None (default: None)
        beta, memory of the published average; None for 1 - 0.5 K/N, 0 publishes w itself.
    staleness_exponent, step_exponent, participation_exponent, rate_bound : float
        a, q, gamma (default: 0.5, 0.5, 1.0) and the bound on r_i (4.0), see `core.weighting`.
        gamma 0 lets fast nodes dominate; 1 gives every node its share.
    memory, memory_bytes : float | None, int (default: None, 2**28)
        m of `core.memory`; None for 0.5, or 0 with `privacy` or another `combine` than the mean.
        And what the nodes' last updates may take of every checkpoint, 8 bytes per parameter and
        node: who comes when it is full is not remembered. The server takes up to four times that
        while checkpoints are written.
    norm_bound : float | None (default: 1.2)
        Longest g in mean lengths of g; None for no bounds, not even by its news.
    adaptive : bool (default: True)
        Whether to follow the agreement of the updates; else they count as orthogonal.
    max_steps, steps_per_overhead, min_max_steps, max_max_steps : (default: None, 0.2, 6, 30)
        h_max; None for the rule of `core.allocation`; factor and bounds before it is adapted.
    compute_spread : float (default: 11.0)
        R, longest job in units of h_max steps of the fastest node, before that is adapted.
    first_steps : int (default: 5)
        Local steps of a node about which nothing is known.
    smoothing, rate_smoothing : float (default: 0.3, 0.05)
        Weight of a new observation in a node's profile, and in its arrival rate.
    patience_cycles : float (default: 3.0)
        Cycles after which a buffer is used though not full, and a reply no longer waited for.
    **options
        See `BufferedHooks`.

    Raises
    ------
    ValueError
        If an option is out of range, or at the start if K exceeds the fleet.
    """

    without_telemetry = "gets no step allocation and no latency gate"
    STATE: Names = ("_agreement", "_bounded", "_believed", "_average")

    def __init__(
        self,
        *,
        latency_budget_s: float | None = None,
        latency_quantile: float = 0.99,
        buffer_size: int | None = None,
        server_learning_rate: float | None = None,
        averaging: float | None = None,
        staleness_exponent: float = 0.5,
        step_exponent: float = 0.5,
        participation_exponent: float = 1.0,
        rate_bound: float = 4.0,
        memory: float | None = None,
        memory_bytes: int = 2**28,
        norm_bound: float | None = 1.2,
        adaptive: bool = True,
        max_steps: int | None = None,
        steps_per_overhead: float = 0.2,
        min_max_steps: int = 6,
        max_max_steps: int = 30,
        compute_spread: float = 11.0,
        first_steps: int = 5,
        smoothing: float = 0.3,
        rate_smoothing: float = 0.05,
        patience_cycles: float = 3.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_count(buffer_size=buffer_size, max_steps=max_steps, first_steps=first_steps)
        require_positive(
            latency_budget_s=latency_budget_s,
            server_learning_rate=server_learning_rate,
            patience_cycles=patience_cycles,
        )
        if averaging is not None and not 0 <= averaging < 1:
            raise ValueError(f"averaging must be in [0, 1) or None, got {averaging}")
        require_count(memory_bytes=memory_bytes)
        NormBound(norm_bound)
        TrainPlan(num_steps=1, latency_quantile=latency_quantile)
        self.latency_quantile = latency_quantile
        self.latency_budget_s, self.buffer_size = latency_budget_s, buffer_size
        self.server_learning_rate, self.averaging = server_learning_rate, averaging
        self.weighting = Weighting(
            staleness_exponent=staleness_exponent,
            step_exponent=step_exponent,
            participation_exponent=participation_exponent,
            rate_bound=rate_bound,
        )
        can_remember = self.privacy is None and self.combine == "mean"
        self.memory, self.memory_bytes = share_of(memory, can_remember, norm_bound), memory_bytes
        self.norm_bound, self.adaptive, self.patience_cycles = norm_bound, adaptive, patience_cycles
        self.fleet_options = FleetOptions(
            first_steps=first_steps if max_steps is None else min(first_steps, max_steps),
            steps_per_overhead=steps_per_overhead,
            min_max_steps=min_max_steps if max_steps is None else max_steps,
            max_max_steps=max_max_steps if max_steps is None else max_steps,
            compute_spread=compute_spread,
            smoothing=smoothing,
            rate_smoothing=rate_smoothing,
        )

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        super()._begin(layout, arrays, clock, timeout_s)
        self._agreement, self._bounded = Agreement(), NormBound(self.norm_bound)
        self._believed = NormBound(None if self.norm_bound is None else _LONGEST_REMEMBERED)
        max_nodes = self.memory_bytes // (8 * layout.num_parameters)
        if self.memory:
            log(INFO, "memory_bytes: holds the last updates of %d nodes", max_nodes)
        self._memory = UpdateMemory(layout.num_parameters, self.memory, max_nodes)
        self._average = self._model

    def plan(self, node_id: int) -> TrainPlan:
        """Return the steps the node can do in the common period."""
        allocation = self._fleet.allocation
        return TrainPlan(
            num_steps=self._fleet.steps(node_id),
            model_version=self.version,
            deadline_s=None if allocation is None else allocation.compute_s,
            latency_budget_s=self.latency_budget_s,
            latency_quantile=None if self.latency_quantile == 0.99 else self.latency_quantile,
        )

    def weight(self, update: Update, staleness: int) -> float:
        """Return N p_i (1 + s)^-a (h_ref / h)^q r_i^-gamma, with u for the last if remembered."""
        return self._weights(update, staleness)[0]

    def folded(self, update: Update, now_s: float) -> None:
        """Remember the update."""
        super().folded(update, now_s)
        if not self._memory.has_room(update.node_id):
            return
        root = math.sqrt(update.num_steps or 1)  # as long as updates grow with their steps
        delta = root * self._believed(update.delta / root)
        self._memory.keep(update.node_id, delta, self._weights(update, 0)[1], update.base_version)

    def _weights(self, update: Update, staleness: int) -> tuple[float, float]:
        """Return the weights of an update, or of its news, and of what is remembered of it."""
        rates, aligned = self._fleet.rates(update.node_id), self._agreement.aligned
        remembers = self._memory.has_room(update.node_id)
        weight = self.weighting.weigh(
            relative_share=self._fleet.relative_share(update.node_id),
            staleness=staleness,
            num_steps=update.num_steps,
            reference_steps=self._fleet.reference_steps,
            rates=(0, 0) if remembers else rates,
            aligned=aligned,
        )
        news, rest = self.weighting.split(self.memory, rates, aligned) if remembers else (1, 0)
        return weight * news, weight * rest

    def drained(self, buffer: UpdateBuffer) -> Vector:
        """Return g, and take note of how much its updates agree."""
        if self.adaptive and self.privacy is None:  # it looks at updates without noise
            self._agreement.observe(len(buffer), *buffer.squares())
        news = buffer.take_mean()
        return self._bounded(self._memory.calibrated(news, self._num_nodes), news)

    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return w + eta g."""
        eta, slots = self.server_learning_rate, self._num_nodes * self._fleet.max_steps
        if eta is None:  # at most |B|: the plain sum of the updates
            eta = min(14 * math.sqrt(self._buffer_size / slots), self._buffer_size)
        return model + eta * self._agreement.step_factor * mean

    def advanced(self) -> None:
        """Move the average of the model, and plan anew."""
        super().advanced()
        fraction, beta = self._buffer_size / self._num_nodes, self.averaging
        beta = 1 - 0.5 * fraction if beta is None else beta
        self._average = mix(self._average, self._model, 1 - beta)
        self._memory.advance(self.version, _REMEMBERED_FOR / fraction)
        self._fleet.refresh(
            self._exchange.members.node_ids,
            aligned=self._agreement.aligned,
            opposed=self._agreement.opposed,
        )

    def published(self) -> Vector:
        """Return the average of the model."""
        return self._average

    def summary(self) -> None:
        """Log the strategy's settings."""
        budget_s = self.latency_budget_s
        log(INFO, "\t├──> DeepEdge:")
        log(INFO, "\t│\t├── Latency budget: %s", f"{budget_s:.3g} s" if budget_s else "none")
        for name in ("buffer_size", "server_learning_rate", "averaging", "memory"):
            label = name.capitalize().replace("_", " ")
            log(INFO, "\t│\t├── %s: %s", label, auto(getattr(self, name)))
        log(INFO, "\t│\t└── %s", self.weighting)
        super().summary()

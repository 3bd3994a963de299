"""The values that flow between the layers: frozen, so that a reader knows who made them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A model as one vector of shape [num_parameters] and dtype float64.
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """What the server has learned about one node, from telemetry and arrivals alone.

    Unobservable figures stay None: a node without telemetry has an arrival rate but no step time.

    Attributes
    ----------
    node_id : int
        The node.
    step_time_s : float | None
        Seconds of computing per local step, pauses excluded.
    pause_fraction : float
        Share of the training time that gate and duty held back, in [0, 1).
    overhead_s : float | None
        Round trip minus training: links, process start, queue.
    interarrival_s : float | None
        Seconds between two accepted replies.
    num_observations : int
        Replies seen so far.
    """

    node_id: int
    step_time_s: float | None = None
    pause_fraction: float = 0.0
    overhead_s: float | None = None
    interarrival_s: float | None = None
    num_observations: int = 0

    @property
    def pace_s(self) -> float | None:
        """Seconds per local step that the node really keeps, pauses included."""
        return None if self.step_time_s is None else self.step_time_s / (1 - self.pause_fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What one training message asks of a node.

    Attributes
    ----------
    num_steps : int
        Upper bound of local steps, at least 1.
    model_version : int
        Version of the model sent along.
    deadline_s : float | None
        Seconds after receipt at which training ends (relative: clocks are not synchronised).
    latency_budget_s : float | None
        Budget of the co-located latency-critical service; None leaves training ungated.
    latency_quantile : float | None
        Quantile of the service's latency that is to keep the budget; None for the gate's own.
    """

    num_steps: int
    model_version: int = 0
    deadline_s: float | None = None
    latency_budget_s: float | None = None
    latency_quantile: float | None = None

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps must be >= 1, got {self.num_steps}")
        if self.model_version < 0:
            raise ValueError(f"model_version must be >= 0, got {self.model_version}")
        for name in ("deadline_s", "latency_budget_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0 or None, got {value}")
        quantile = self.latency_quantile
        if quantile is not None and not 0.5 <= quantile < 1:
            raise ValueError(f"latency_quantile must be in [0.5, 1) or None, got {quantile}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a node reports about one training message.

    Attributes
    ----------
    num_steps : int
        Local steps done.
    busy_s, paused_s : float
        Seconds spent computing, and held back by the gate and the node's duty.
    num_requests, num_violations : int
        Requests of the co-located service seen, and those over the budget.
    service_p99_s : float
        99th percentile of the service's latency during the job; 0 without requests.
    device_id : str
        Stable identity given by the node's own configuration; empty if it has none.
    trouble : str
        Why training ended early for the service's sake or goes on unprotected; empty if neither.
    yielded : bool
        Whether it ended early.
    isolation : str
        How the operating system keeps the training from the service; empty if it does not.
    latency_quantile : float
        Share of the requests that is to keep the budget, if the device has one of its own; else 0.
    """

    num_steps: int
    busy_s: float
    paused_s: float = 0.0
    num_requests: int = 0
    num_violations: int = 0
    service_p99_s: float = 0.0
    device_id: str = ""
    trouble: str = ""
    yielded: bool = False
    isolation: str = ""
    latency_quantile: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One accepted result: what a node's local steps changed in the model it was sent.

    Attributes
    ----------
    node_id : int
        The node.
    base_version : int
        Version of the model the node started from.
    base, delta : Vector
        The model sent, and the local model minus it, shape [num_parameters].
    num_examples : float
        The node's weight in the objective.
    num_steps : int | None
        Local steps done; None if the node does not report them.
    """

    node_id: int
    base_version: int
    base: Vector
    delta: Vector
    num_examples: float
    num_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """One training message on its way.

    Attributes
    ----------
    message_id : str
        Flower's id of the message.
    node_id : int
        The node it went to.
    model_version : int
        Version of the model it carries.
    plan : TrainPlan | None
        The plan it carries; None for strategies that send none.
    index : int
        How many training messages the node had been sent before (0 for its first).
    sent_at_s, expires_at_s : float
        When it left, and when the server stops waiting for it.
    """

    message_id: str
    node_id: int
    model_version: int
    index: int
    sent_at_s: float
    expires_at_s: float
    plan: TrainPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """What the latency gate asks for before the next local step.

    Attributes
    ----------
    pause_s : float
        Seconds to hold training back before asking again; 0 to proceed.
    stop : bool
        End the job and return the steps done so far.
    reason : str
        Why to stop.
    """

    pause_s: float = 0.0
    stop: bool = False
    reason: str = ""

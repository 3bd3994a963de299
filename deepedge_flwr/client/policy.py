"""What the owner of a device allows, in Flower's own `--node-config`."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.local_run import OnBlind
from ..core.types import TrainPlan
from ..core.window import TrainWindow
from ..records import DEVICE_ID, LATENCY_BUDGET_MS
from .probes import Probe, make_probe

LATENCY_PROBE = "latency-probe"
LATENCY_QUANTILE = "latency-quantile"
PROBE_SILENCE_S = "probe-silence-s"
ON_PROBE_FAILURE = "on-probe-failure"
TRAIN_WINDOW = "train-window"
MAX_THREADS = "max-threads"
MAX_DUTY = "max-duty"
ISOLATION = "isolation"

_SILENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePolicy:
    """The policy of one device; None where its owner says nothing.

    Attributes
    ----------
    device_id : str | None
        `device-id`: a name that outlives restarts and node ids.
    latency_budget_s : float | None
        `latency-budget-ms`: budget of the service on the device; wins over the server's.
    latency_quantile : float | None
        `latency-quantile`: share of the service's requests that is to keep the budget.
    probe : Probe | None
        `latency-probe`: how the service is seen, see `make_probe`.
    probe_silence_s : float
        `probe-silence-s`: longest time without a request before the service counts as gone.
    on_probe_failure : {"stop", "train"}
        `on-probe-failure`: whether training ends or goes on when the service is not seen any more.
    train_window : TrainWindow | None
        `train-window`: local hours in which the device trains, such as "22:00-06:00".
    max_threads : int | None
        `max-threads`: threads of numerical libraries while it trains.
    max_duty : float | None
        `max-duty`: largest share of the time of a job that is computation, in (0, 1].
    isolation : bool | None
        `isolation`: "on" or "off"; unless it is given, on in Flower's client processes.
    """

    device_id: str | None = None
    latency_budget_s: float | None = None
    latency_quantile: float | None = None
    probe: Probe | None = None
    probe_silence_s: float = _SILENCE_S
    on_probe_failure: OnBlind = "stop"
    train_window: TrainWindow | None = None
    max_threads: int | None = None
    max_duty: float | None = None
    isolation: bool | None = None

    @classmethod
    def of(cls, node_config: Mapping[str, Any]) -> "NodePolicy":
        """Read a node's configuration; keys that are not ours are left to the app.

        Raises
        ------
        ValueError
            If a value of ours is not valid; the text names its key.
        """

        def read(key: str, parse: Callable[[Any], Any]) -> Any:
            """Return the parsed value of a key, or None where it is not set."""
            if (value := node_config.get(key)) is None:
                return None
            try:
                return parse(value)
            except ValueError as error:
                raise ValueError(f"node config {key} {error}") from None

        budget_ms = read(LATENCY_BUDGET_MS, _positive)
        return cls(
            device_id=read(DEVICE_ID, str),
            latency_budget_s=None if budget_ms is None else budget_ms / 1000,
            latency_quantile=read(LATENCY_QUANTILE, _quantile),
            probe=read(LATENCY_PROBE, lambda value: make_probe(str(value))),
            probe_silence_s=read(PROBE_SILENCE_S, _positive) or _SILENCE_S,
            on_probe_failure=read(ON_PROBE_FAILURE, _on_blind) or "stop",
            train_window=read(TRAIN_WINDOW, lambda value: TrainWindow.parse(str(value))),
            max_threads=read(MAX_THREADS, _count),
            max_duty=read(MAX_DUTY, _share),
            isolation=read(ISOLATION, _switch),
        )

    def applied_to(self, plan: TrainPlan | None) -> TrainPlan | None:
        """Return the server's plan with the node's own budget and quantile, where it has them.

        A strategy that sends no plan gets one without a bound of steps, if the owner of the device
        has a say in how they are done; else None.
        """
        if plan is None:
            if self.latency_budget_s is None and self.max_duty is None:
                return None
            plan = TrainPlan(num_steps=sys.maxsize)
        return replace(
            plan,
            latency_budget_s=self.latency_budget_s or plan.latency_budget_s,
            latency_quantile=self.latency_quantile or plan.latency_quantile,
        )


def _positive(value: Any) -> float:
    if isinstance(value, bool | str) or not 0 < value < math.inf:
        raise ValueError(f"must be a number > 0, got {value!r}")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"must be an integer >= 1, got {value!r}")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool | str) or not 0 < value <= 1:
        raise ValueError(f"must be a number in (0, 1], got {value!r}")
    return float(value)


def _switch(value: Any) -> bool:
    if value not in ("on", "off"):
        raise ValueError(f"must be 'on' or 'off', got {value!r}")
    return bool(value == "on")


def _quantile(value: Any) -> float:
    if isinstance(value, bool | str) or not 0.5 <= value < 1:
        raise ValueError(f"must be a number in [0.5, 1), got {value!r}")
    return float(value)


def _on_blind(value: Any) -> OnBlind:
    if value not in ("stop", "train"):
        raise ValueError(f"must be 'stop' or 'train', got {value!r}")
    return "stop" if value == "stop" else "train"

"""What the owner of a device allows, in Flower's own `--node-config`."""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.window import TrainWindow
from ..records import DEVICE_ID, LATENCY_BUDGET_MS
from .device import Probe

LATENCY_PROBE = "latency-probe"
TRAIN_WINDOW = "train-window"
MAX_THREADS = "max-threads"
MAX_DUTY = "max-duty"
ISOLATION = "isolation"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePolicy:
    """The policy of one device; None where its owner says nothing.

    Attributes
    ----------
    device_id : str | None
        `device-id`: a name that outlives restarts and node ids.
    latency_budget_s : float | None
        `latency-budget-ms`: budget of the service on the device; wins over the server's.
    probe : Probe | None
        `latency-probe`: "module:function" that returns the service's latest latencies in seconds.
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
    probe: Probe | None = None
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
            probe=read(LATENCY_PROBE, _load_probe),
            train_window=read(TRAIN_WINDOW, lambda value: TrainWindow.parse(str(value))),
            max_threads=read(MAX_THREADS, _count),
            max_duty=read(MAX_DUTY, _share),
            isolation=read(ISOLATION, _switch),
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


def _load_probe(value: Any) -> Probe:
    module, _, name = str(value).partition(":")
    try:
        probe = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"must be module:function, got {value!r}: {error}") from None
    if not callable(probe):
        raise ValueError(f"must be module:function, got {value!r}: it cannot be called")
    found: Probe = probe
    return found

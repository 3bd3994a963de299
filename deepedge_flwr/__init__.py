"""Capacity-aware, asynchronous and latency-safe federated learning for Flower."""

import importlib
from typing import TYPE_CHECKING, Any

from .client import DeepEdgeMod, FreeCores, local_steps, micro_batches
from .core.privacy import Privacy

if TYPE_CHECKING:
    from .strategy import (
        CA2FL,
        AsyncStrategy,
        DeadlineFedAvg,
        DeepEdge,
        FedAsync,
        FedBuff,
        FedCompass,
        FedNova,
    )

__all__ = [
    "CA2FL",
    "AsyncStrategy",
    "DeadlineFedAvg",
    "DeepEdge",
    "DeepEdgeMod",
    "FedAsync",
    "FedBuff",
    "FedCompass",
    "FedNova",
    "FreeCores",
    "Privacy",
    "local_steps",
    "micro_batches",
]


def __getattr__(name: str) -> Any:
    """Import the strategies when they are used.

    Flower starts a client process per message, and the server's half of Flower takes it another
    half second of CPU time.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(".strategy", __name__), name)

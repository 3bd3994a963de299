"""Capacity-aware, asynchronous and latency-safe federated learning for Flower."""

from .client import DeepEdgeMod, local_steps
from .core.privacy import Privacy
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
    "Privacy",
    "local_steps",
]

"""Capacity-aware, asynchronous and latency-safe federated learning for Flower."""

from .client import DeepEdgeMod, local_steps
from .strategy import CA2FL, AsyncStrategy, DeepEdge, FedAsync, FedBuff

__all__ = [
    "CA2FL",
    "AsyncStrategy",
    "DeepEdge",
    "DeepEdgeMod",
    "FedAsync",
    "FedBuff",
    "local_steps",
]

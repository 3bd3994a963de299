"""Capacity-aware, asynchronous and latency-safe federated learning for Flower."""

from .client import DeepEdgeMod, local_steps
from .strategy import AsyncStrategy, DeepEdge, FedBuff

__all__ = ["AsyncStrategy", "DeepEdge", "DeepEdgeMod", "FedBuff", "local_steps"]

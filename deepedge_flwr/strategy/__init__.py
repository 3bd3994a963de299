"""Server side: asynchronous strategies for Flower."""

from .async_strategy import AsyncStrategy
from .deepedge import DeepEdge
from .fedbuff import FedBuff

__all__ = ["AsyncStrategy", "DeepEdge", "FedBuff"]

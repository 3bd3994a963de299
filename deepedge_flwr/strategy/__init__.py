"""Server side: asynchronous strategies for Flower."""

from .async_strategy import AsyncStrategy
from .ca2fl import CA2FL
from .deepedge import DeepEdge
from .fedasync import FedAsync
from .fedbuff import FedBuff

__all__ = ["CA2FL", "AsyncStrategy", "DeepEdge", "FedAsync", "FedBuff"]

"""Server side: strategies for Flower, asynchronous ones and synchronous ones on the same loop."""

from .async_strategy import AsyncStrategy
from .ca2fl import CA2FL
from .deadline_fedavg import DeadlineFedAvg
from .deepedge import DeepEdge
from .fedasync import FedAsync
from .fedbuff import FedBuff
from .fedcompass import FedCompass
from .fednova import FedNova

__all__ = [
    "CA2FL",
    "AsyncStrategy",
    "DeadlineFedAvg",
    "DeepEdge",
    "FedAsync",
    "FedBuff",
    "FedCompass",
    "FedNova",
]

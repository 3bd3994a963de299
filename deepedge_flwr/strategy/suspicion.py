"""Nodes that miss heartbeats, before Flower itself gives them up."""

import math
from collections.abc import Iterable

from flwr.proto.node_pb2 import NodeInfo

#: A SuperNode renews its 60 s of life every 17.5 to 22.5 s: with less left than this it is late.
#: Measured on Flower 1.41: a live one never fell below 37.8 s; a killed one is found after 11 s
#: instead of 46 s.
_LEAST_LEFT_S = 35.0


def suspects(nodes: Iterable[NodeInfo], epoch_s: float) -> set[int]:
    """Return the nodes whose life is about to run out.

    Parameters
    ----------
    nodes : Iterable[NodeInfo]
        What the grid knows of its nodes. One that does not say until when it counts as online, or
        for ever, as in Flower's simulation engine, is never suspected.
    epoch_s : float
        The time, in seconds since the epoch.
    """
    return {
        node.node_id
        for node in nodes
        if 0 < node.online_until < math.inf and node.online_until - epoch_s < _LEAST_LEFT_S
    }

"""Nodes that miss heartbeats are found before Flower gives them up."""

import math
from collections.abc import Iterable

from flwr.proto.node_pb2 import NodeInfo

from deepedge_flwr.core.types import Dispatch
from deepedge_flwr.layout import ModelLayout
from deepedge_flwr.strategy.exchange import Exchange
from deepedge_flwr.strategy.suspicion import suspects


def nodes(*online_until: float) -> Iterable[NodeInfo]:
    return [NodeInfo(node_id=i + 1, online_until=t) for i, t in enumerate(online_until)]


def test_a_node_with_too_little_left_is_suspected() -> None:
    assert suspects(nodes(1060.0, 1035.0, 1034.9, 990.0), epoch_s=1000.0) == {3, 4}


def test_a_grid_that_does_not_tell_makes_no_suspects() -> None:
    assert suspects(nodes(0.0, math.inf, -1.0), epoch_s=1000.0) == set()


def test_a_suspect_gets_no_work_until_it_is_heard_of_and_its_late_reply_counts() -> None:
    exchange = Exchange(ModelLayout(()), "num-examples")
    exchange.members.update([1, 2])
    dispatch = Dispatch(
        message_id="m", node_id=1, model_version=0, index=0, sent_at_s=0.0, expires_at_s=100.0
    )
    exchange.in_flight.add(dispatch)
    exchange.members.occupy(1)
    exchange.suspect({1}, now_s=11.0)
    assert exchange.members.ready(now_s=1000.0) == [2]
    assert exchange.take_lost() == [1]
    assert exchange.in_flight.message_ids == ["m"]
    exchange.suspect({1}, now_s=12.0)
    exchange.suspect(set(), now_s=13.0)
    assert exchange.members.ready(now_s=1000.0) == [1, 2]
    assert exchange.events.counts == {"suspected": 1, "expired": 1, "failed": 1, "cleared": 1}
    assert exchange.in_flight.settle("m") == dispatch

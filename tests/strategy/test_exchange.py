import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict

from deepedge_flwr.layout import ModelLayout
from deepedge_flwr.records import put_plan
from deepedge_flwr.simulation import InProcessGrid
from deepedge_flwr.strategy.exchange import Exchange
from tests.numpy_app import arrays, follow_target


@pytest.fixture
def exchange() -> Exchange:
    InProcessGrid(follow_target([1.0]), 1)  # messages can be made from here on
    exchange = Exchange(ModelLayout.of(arrays([0.0])), "num-examples")
    exchange.members.update([7])
    return exchange


def send(exchange: Exchange, message_id: str, now_s: float = 0.0, weight: float = 1.0) -> Message:
    content = RecordDict({"arrays": arrays([weight]), "config": put_plan(ConfigRecord(), None, 0)})
    message = Message(content, 7, "train")
    message.metadata.__dict__["_message_id"] = message_id
    exchange.sent(message, arrays([weight]), version=0, now_s=now_s, timeout_s=10.0)
    return message


def answer(message: Message, weight: float) -> Message:
    metrics = MetricRecord({"num-examples": 2})
    return Message(RecordDict({"arrays": arrays([weight]), "metrics": metrics}), reply_to=message)


def test_a_reply_is_the_difference_to_the_model_that_was_sent(exchange: Exchange) -> None:
    accepted = exchange.settle(answer(send(exchange, "a", weight=3.0), 5.0), 1.0)
    assert accepted is not None
    np.testing.assert_array_equal(accepted.update.delta, [2.0])
    assert (accepted.update.num_examples, accepted.update.num_steps) == (2.0, None)
    assert exchange.members.ready(1.0) == [7]


def test_a_second_reply_and_a_strangers_reply_are_ignored(exchange: Exchange) -> None:
    message = send(exchange, "a")
    assert exchange.settle(answer(message, 1.0), 1.0) is not None
    assert exchange.settle(answer(message, 1.0), 1.0) is None
    message.metadata.__dict__["_message_id"] = "never sent"
    assert exchange.settle(answer(message, 1.0), 1.0) is None
    assert exchange.num_failures == 0


def test_an_overdue_reply_frees_the_node_and_still_counts_when_it_comes(
    exchange: Exchange,
) -> None:
    message = send(exchange, "a")
    exchange.expire(9.9)
    assert exchange.num_failures == 0
    exchange.expire(10.0)
    assert exchange.last_failure == "node 7: no reply for 10.0 s"
    assert exchange.members.ready(12.0) == [7]
    assert exchange.settle(answer(message, 1.0), 20.0) is not None
    assert exchange.settle(answer(message, 1.0), 21.0) is None


def test_a_late_reply_does_not_free_a_node_that_has_new_work(exchange: Exchange) -> None:
    late = send(exchange, "a")
    exchange.expire(10.0)
    send(exchange, "b", now_s=11.0)
    assert exchange.settle(answer(late, 1.0), 12.0) is not None
    assert exchange.members.ready(20.0) == []


def test_a_reply_that_must_not_touch_the_model_is_discarded(exchange: Exchange) -> None:
    assert exchange.settle(answer(send(exchange, "a"), np.nan), 1.0) is None
    refusal = Message(Error(2, "ValueError: boom"), reply_to=send(exchange, "b"))
    assert exchange.settle(refusal, 2.0) is None
    assert exchange.settle(answer(send(exchange, "c"), 1.0), 3.0) is not None
    # An error carries nothing that could be discarded.
    assert (exchange.discarded, exchange.num_failures) == ({"a"}, 2)


def test_a_node_is_lost_when_its_newest_message_ends_without_an_update(exchange: Exchange) -> None:
    old = send(exchange, "a")
    exchange.expire(10.0)
    assert (exchange.take_lost(), exchange.take_lost()) == ([7], [])
    new = send(exchange, "b", now_s=11.0)
    exchange.settle(Message(Error(2, "boom"), reply_to=old), 12.0)
    assert exchange.take_lost() == []
    exchange.settle(answer(new, 1.0), 13.0)
    assert exchange.take_lost() == []
    exchange.settle(Message(Error(2, "boom"), reply_to=send(exchange, "c", now_s=14.0)), 15.0)
    exchange.failed(7, "the grid rejected the message", 16.0)
    assert exchange.take_lost() == [7, 7]


def test_models_are_kept_as_long_as_somebody_trains_on_them(exchange: Exchange) -> None:
    message = send(exchange, "a", weight=3.0)
    exchange.forget_unused_models()
    assert exchange.settle(answer(message, 5.0), 1.0) is not None
    exchange.forget_unused_models()
    assert exchange.in_flight.model_versions == set()

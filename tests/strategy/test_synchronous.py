"""Rounds: who belongs to one, what ends it, and what a late reply is worth."""

from collections.abc import Iterable
from typing import Any

import pytest
from flwr.app import Error, Message, RecordDict

from deepedge_flwr.simulation import InProcessGrid, VirtualGrid
from deepedge_flwr.strategy.synchronous import SynchronousStrategy
from tests.numpy_app import arrays, fleet, follow_target, vector, virtual_grid


def failing_once(node_id: int) -> dict[str, Any]:
    """Options of an app whose node fails its first job."""
    failed: list[int] = []

    def reply(message: Message, content: RecordDict) -> Message:
        if message.metadata.dst_node_id == node_id and not failed:
            failed.append(node_id)
            return Message(Error(2, "ValueError: boom"), reply_to=message)
        return Message(content, reply_to=message)

    return {"reply": reply}


def test_a_round_is_the_mean_by_examples_of_all_its_nodes() -> None:
    app = follow_target([1.0, 10.0], num_examples=[3, 1])
    grid = virtual_grid(app, fleet(1.0, 2.5))
    result = SynchronousStrategy().start(grid, arrays([0.0]), num_rounds=2)
    w1 = (3 * 0.5 + 1 * 5.0) / 4
    w2 = w1 + (3 * 0.5 * (1 - w1) + 1 * 0.5 * (10 - w1)) / 4
    assert vector(result.arrays) == pytest.approx([w2])
    assert [row.time_s for row in grid.ledger.of("dispatch")] == pytest.approx([0, 0, 2.5, 2.5])
    assert result.train_metrics_clientapp[2]["mean-staleness"] == 0


def test_a_node_that_fails_does_not_block_its_round_and_is_asked_again() -> None:
    """It backs off for 1 s, so it misses the second round and is in the third."""
    grid = virtual_grid(follow_target([1.0, 10.0], **failing_once(2)), fleet(1.0, 0.6))
    result = SynchronousStrategy().start(grid, arrays([0.0]), num_rounds=3)
    sent = [(round(row.time_s, 6), row.node_id) for row in grid.ledger.of("dispatch")]
    assert sent == [(0, 1), (0, 2), (1, 1), (2, 1), (2, 2)]
    w2 = 0.75
    assert vector(result.arrays) == pytest.approx([w2 + (0.5 * (1 - w2) + 0.5 * (10 - w2)) / 2])


def test_a_round_that_fails_as_a_whole_begins_anew() -> None:
    grid = virtual_grid(follow_target([4.0], **failing_once(1)), fleet(1.0))
    strategy = SynchronousStrategy(min_available_nodes=1)
    result = strategy.start(grid, arrays([0.0]), num_rounds=1)
    assert vector(result.arrays) == [2.0]
    assert [row.time_s for row in grid.ledger.of("dispatch")] == pytest.approx([0, 2])


class Withholding(VirtualGrid):
    """A grid that holds back the first reply of node 2 until 12.5 s."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        held = {"message-2"} if self.clock.now_s() < 12.5 else set()
        return super().pull_messages(set(message_ids) - held)


def test_a_reply_that_comes_after_its_round_enters_no_model() -> None:
    """Node 2 is given up at 10 s; what it sends later would be an update of version 0."""
    app = follow_target([1.0, 10.0])
    grid = Withholding(InProcessGrid(app, 2), fleet(1.0, 1.0), num_steps=1)
    strategy = SynchronousStrategy()
    # The timeout is also how long a reply is waited for.
    result = strategy.start(grid, arrays([0.0]), num_rounds=4, timeout=10)
    counts = [result.train_metrics_clientapp[v]["num-updates"] for v in range(1, 5)]
    assert counts == [1, 1, 2, 2]
    assert strategy.discarded == {"message-2"}
    assert result.train_metrics_clientapp[4]["num-failures"] == 1
    lost = [row for row in grid.ledger.rows if row.message_id == "message-2"]
    bytes_lost = sum((row.bytes_down or 0) + (row.bytes_up or 0) for row in lost)
    assert grid.ledger.wasted_bytes() == 0
    assert grid.ledger.wasted_bytes(strategy.discarded) == bytes_lost > 0

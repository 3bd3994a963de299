"""A reply that is long on its way does not hold up the others."""

from collections.abc import Iterable
from threading import Event
from typing import Any

import pytest
from flwr.app import Message
from flwr.clientapp import ClientApp

from deepedge_flwr.simulation import InProcessGrid
from deepedge_flwr.strategy.puller import Puller
from tests.numpy_app import arrays, follow_target


class SlowLink(InProcessGrid):
    """A pull that asks for the reply `slow` returns when it is complete."""

    def __init__(self, app: ClientApp) -> None:
        super().__init__(app, 4)
        self.slow, self.complete = "", Event()
        self.asked: list[list[str]] = []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        ids = list(message_ids)
        self.asked.append(ids)
        if self.slow in ids:
            assert self.complete.wait(30)
        return super().pull_messages(ids)


@pytest.fixture
def grid() -> Any:
    found = SlowLink(follow_target([1.0] * 4))
    yield found
    found.complete.set()


def push(grid: SlowLink, *nodes: int) -> list[str]:
    from flwr.app import RecordDict

    return [
        next(iter(grid.push_messages([Message(RecordDict({"arrays": arrays([0.0])}), n, "train")])))
        for n in nodes
    ]


def sources(replies: list[Message]) -> list[int]:
    return sorted(reply.metadata.src_node_id for reply in replies)


def test_every_message_has_its_call(grid: SlowLink) -> None:
    ids = push(grid, 1, 2, 3)
    puller = Puller(grid)
    assert sources(puller.pull(ids)) == [1, 2, 3]
    assert sorted(grid.asked) == sorted([i] for i in ids)
    assert puller.pull([]) == []
    puller.close()


def test_a_slow_link_holds_up_nobody_from_the_first_call_on(grid: SlowLink) -> None:
    puller = Puller(grid, grace_s=0.05)
    grid.slow, *fast = push(grid, 1, 2, 3, 4)
    replies = list[Message]()
    while len(replies) < 3:  # the grace may be too short for a busy machine
        replies += puller.pull([grid.slow, *fast])
    assert sources(replies) == [2, 3, 4]
    puller.close()


def test_what_is_ready_arrives_while_another_reply_is_on_its_way(grid: SlowLink) -> None:
    puller = Puller(grid, grace_s=0.05)
    grid.slow, fast = push(grid, 1, 2)
    assert puller.pull([grid.slow]) == []
    (reply,) = puller.pull([grid.slow, fast])
    assert reply.metadata.reply_to_message_id == fast
    assert sum(grid.slow in ids for ids in grid.asked) == 1  # never twice at a time
    grid.complete.set()
    while not (late := puller.pull([grid.slow])):
        pass
    assert late[0].metadata.reply_to_message_id == grid.slow
    puller.close()


def test_of_more_messages_than_calls_all_have_their_turn(grid: SlowLink) -> None:
    puller = Puller(grid)
    ids = [f"message-{i}" for i in range(70)]
    for _ in range(3):
        puller.pull(ids)
    assert len(grid.asked) == 3 * 32
    assert {i for (i,) in grid.asked[:70]} >= set(ids[:64])
    assert {i for (i,) in grid.asked} == set(ids)
    puller.close()


def test_an_error_of_the_grid_is_raised() -> None:
    class Down(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            raise ConnectionError("the SuperLink is down")

    puller = Puller(Down(ClientApp(), 1))
    with pytest.raises(ConnectionError, match="SuperLink is down"):
        puller.pull(["a"])
    puller.close()

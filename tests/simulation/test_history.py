"""A grid is what was asked of it: asked again, another one is the same."""

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp.strategy import FedAvg

from deepedge_flwr.core.state import pack, unpack
from deepedge_flwr.records import count_bytes
from deepedge_flwr.simulation import (
    InProcessGrid,
    LinkSpec,
    Presence,
    VirtualGrid,
    build_fleet,
    speed_classes,
)
from deepedge_flwr.simulation.outline import filled, outline
from tests.numpy_app import arrays, deepedge_mod, follow_target

LINK = LinkSpec(uplink_bytes_per_s=1e4, downlink_bytes_per_s=1e4, jitter=0.1)


class Counting(InProcessGrid):
    """Counts the messages that clients work on."""

    num_calls = 0

    def push_messages(self, messages: object) -> list[str]:
        self.num_calls += 1
        return list(super().push_messages(messages))  # type: ignore[arg-type]


def grid() -> tuple[VirtualGrid, Counting]:
    fleet = build_fleet(
        speed_classes(num_nodes=4, step_time_s=0.1, spread=16),
        LINK,
        seed=1,
        presence=Presence(job_loss=0.2, mean_absence_s=3.0),
        notice_s=1.0,
    )
    inner = Counting(follow_target([1.0] * 4, mods=[deepedge_mod()]), 4)
    made = VirtualGrid(inner, fleet, num_steps=3)
    made.start_recording()
    return made, inner


def message(node: int, size: int = 3) -> Message:
    content = RecordDict(
        {"arrays": arrays([0.0] * size), "config": ConfigRecord({"server-round": 1})}
    )
    return Message(content, node, "train")


def test_after_every_call_another_grid_can_take_over() -> None:
    first, inner = grid()
    sent = list(first.push_messages([message(n) for n in (4, 2, 1, 3)]))
    for turn in range(12):
        second, other = grid()
        assert second.restore(unpack(b"".join(map(bytes, pack(first.state())))))
        assert second.clock.now_s() == first.clock.now_s()
        assert second.ledger.sha256() == first.ledger.sha256()
        assert other.num_calls <= inner.num_calls
        ahead = [list(g.pull_messages(sent)) for g in (first, second)]
        found = [[(m.metadata.src_node_id, m.has_error()) for m in some] for some in ahead]
        assert found[0] == found[1]
        nodes = first.get_node_ids()
        sent += first.push_messages([message(n) for n in nodes if turn % 3 == 0])
        first.note("expired", 1)
        first.clock.wait(0.7)
    assert first.ledger.count("reply") > 1 and first.ledger.count("lost") > 0


def test_clients_work_again_only_on_what_was_not_ready() -> None:
    first, _ = grid()
    sent = list(first.push_messages([message(n) for n in (1, 2, 3, 4)]))
    first.clock.wait(100.0)
    while first.clock.now_s() < 100.0:
        first.clock.wait(100.0 - first.clock.now_s())
    second, inner = grid()
    second.restore(first.state())
    assert inner.num_calls == 0
    replies = list(second.pull_messages(sent))
    good = [m.content.array_records["arrays"]["w"].numpy() for m in replies if m.has_content()]
    assert good and all(np.all(values > 0) for values in good)


def test_what_has_been_taken_takes_no_more_room_for_a_larger_model() -> None:
    sizes = []
    for size in (10, 10_000):
        first, _ = grid()
        for _ in range(5):
            sent = list(first.push_messages([message(1, size)]))
            first.clock.wait(50.0)
            while not list(first.pull_messages(sent)):
                first.clock.wait(50.0)
        sizes.append(sum(len(bytes(part)) for part in pack(first.state())))
    assert sizes[1] < sizes[0] + 500


def test_a_grid_that_has_been_used_is_not_changed() -> None:
    first, _ = grid()
    first.push_messages([message(1)])
    state = first.state()
    second, _ = grid()
    second.push_messages([message(2)])
    before = second.ledger.sha256()
    assert not second.restore(state)
    assert second.ledger.sha256() == before


def test_flowers_own_strategies_are_recorded_too() -> None:
    first, _ = grid()
    FedAvg(min_available_nodes=2, min_train_nodes=2, fraction_evaluate=0.0).start(
        first, arrays([0.0]), num_rounds=3
    )
    second, _ = grid()
    assert second.restore(first.state())
    assert second.ledger.sha256() == first.ledger.sha256()


def test_an_outline_has_the_size_and_the_structure_of_a_content() -> None:
    odd = Array("float64", (2, 3), "my.own", b"not numpy at all")
    content = RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.ones((2, 3), np.float32)), "odd": odd}),
            "config": ConfigRecord({"lr": 0.1, "name": "x", "raw": b"\x00"}),
        }
    )
    twin = filled(outline(content))
    assert list(twin) == list(content)
    assert twin["config"] == content["config"]
    assert count_bytes(twin) == count_bytes(content)
    assert np.all(twin.array_records["arrays"]["w"].numpy() == 0)
    assert twin.array_records["arrays"]["odd"].stype == "my.own"

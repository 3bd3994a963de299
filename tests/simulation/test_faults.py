"""Faults strike where and when the plan says, and every message has one end."""

from collections.abc import Callable
from math import inf

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from deepedge_flwr.simulation import (
    Fault,
    FaultPlan,
    Fleet,
    InProcessGrid,
    ServerKilled,
    VirtualGrid,
    combine_faults,
    random_faults,
)
from tests.numpy_app import arrays, deepedge_mod, fleet, follow_target, vector

ENDS = ("reply", "answer", "error", "late", "lost", "unfinished")
SetUp = Callable[..., VirtualGrid]


def grid_with(*faults: Fault, kills: tuple[int, ...] = (), num_nodes: int = 2) -> VirtualGrid:
    """Devices that take 1 s for the one local step of a message; no time for links."""
    app = follow_target([1.0] * num_nodes, mods=[deepedge_mod()])
    devices = Fleet(fleet(*[1.0] * num_nodes).devices, notice_s=0.25)
    plan = FaultPlan(faults, kills)
    return VirtualGrid(InProcessGrid(app, num_nodes), devices, num_steps=1, faults=plan)


def message(node: int = 1) -> Message:
    content = RecordDict({"arrays": arrays([0.0]), "config": ConfigRecord({"server-round": 1})})
    return Message(content, node, "train")


def ask(grid: VirtualGrid, until_s: float = 10.0, node: int = 1) -> list[tuple[float, Message]]:
    """Send a message; return what comes back by a time, and when."""
    sent = [i for i in grid.push_messages([message(node)]) if i]
    replies = []
    while sent and grid.clock.now_s() < until_s:
        grid.clock.wait(until_s - grid.clock.now_s())
        replies += [(grid.clock.now_s(), reply) for reply in grid.pull_messages(sent)]
    return replies


def ends(grid: VirtualGrid) -> list[tuple[str, float]]:
    grid.close()
    return [(row.kind, pytest.approx(row.time_s, abs=1e-6)) for row in grid.ledger.of(*ENDS)]


def test_without_a_fault() -> None:
    grid = grid_with(Fault(kind="nan", node=1, dispatch=1))
    ((time_s, reply),) = ask(grid)
    assert time_s == pytest.approx(1.0, abs=1e-6)
    assert vector(reply.content.array_records["arrays"]) == [0.5]
    assert grid.ledger.count("fault-nan") == 0


def test_a_hanging_device_answers_late_and_keeps_others_waiting() -> None:
    grid = grid_with(Fault(kind="hang", node=1, dispatch=0, value=4.0))
    ((first_s, _),) = ask(grid, 5.5)
    ((second_s, _),) = ask(grid, 8.0)
    assert [first_s, second_s] == pytest.approx([5.0, 6.5], abs=1e-6)


def test_a_device_that_hangs_for_ever_leaves_its_messages_open() -> None:
    grid = grid_with(Fault(kind="hang", node=1, dispatch=0))
    assert ask(grid, 5.0) == ask(grid, 10.0) == []
    assert ends(grid) == [("unfinished", 10.0), ("unfinished", 10.0)]


def test_a_lost_reply_costs_its_bytes() -> None:
    grid = grid_with(Fault(kind="lose", node=1))
    assert ask(grid) == []
    assert ends(grid) == [("lost", 1.0)]
    (row,) = grid.ledger.of("lost")
    assert row.bytes_up is not None and row.bytes_up > 0
    assert grid.ledger.wasted_bytes() == grid.ledger.total("bytes_up", "lost") + (
        grid.ledger.total("bytes_down")
    )


def test_a_reply_is_delivered_twice_and_ends_once() -> None:
    grid = grid_with(Fault(kind="duplicate", node=1))
    first, second = ask(grid)
    assert first[1] is second[1]
    assert ends(grid) == [("reply", 1.0)]


def test_a_reply_to_nothing_comes_along() -> None:
    grid = grid_with(Fault(kind="stray", node=1))
    (_, good), (_, stray) = ask(grid)
    assert good.metadata.reply_to_message_id == "message-1"
    assert stray.metadata.reply_to_message_id == "message-0"
    assert ends(grid) == [("reply", 1.0)]


def test_a_message_is_not_accepted() -> None:
    grid = grid_with(Fault(kind="reject", node=1, dispatch=0))
    assert ask(grid) == []
    assert grid.ledger.count("dispatch") == 0
    assert len(ask(grid)) == 1


def test_an_error_with_any_code_instead_of_the_reply() -> None:
    grid = grid_with(Fault(kind="error", node=1, value=8))
    ((time_s, reply),) = ask(grid)
    assert reply.error.code == 8 and time_s == pytest.approx(1.0, abs=1e-6)
    assert ends(grid) == [("error", 1.0)]
    assert grid.ledger.total("bytes_up") == 0


def test_a_spoilt_reply_is_spoilt_on_its_way() -> None:
    ((_, reply),) = ask(grid_with(Fault(kind="sign_flip", node=1)))
    assert vector(reply.content.array_records["arrays"]) == [-0.5]


def test_a_crash_loses_the_job_and_the_device_is_back() -> None:
    grid = grid_with(Fault(kind="crash", node=1, at_s=0.5, back_s=3.0))
    ((time_s, reply),) = ask(grid, 2.0)
    assert reply.error.code == 5 and time_s == pytest.approx(0.75, abs=1e-6)
    assert list(grid.get_node_ids()) == [2]
    while grid.clock.now_s() < 3.0:
        grid.clock.wait(3.0 - grid.clock.now_s())
    assert list(grid.get_node_ids()) == [1, 2]
    assert len(ask(grid)) == 1
    grid.close()
    assert [row.time_s for row in grid.ledger.of("fault-crash")] == [0.5]
    assert [row.value for row in grid.ledger.of("absent")] == [2.5]


def test_a_device_is_back_under_a_new_id_with_its_data_and_its_name() -> None:
    grid = grid_with(Fault(kind="restart", node=1, at_s=0.5, back_s=2.0))
    assert ask(grid, 2.0)[0][1].error.code == 5
    assert list(grid.get_node_ids()) == [2, 3]
    ((_, reply),) = ask(grid, node=3)
    assert vector(reply.content.array_records["arrays"]) == [0.5]


def test_a_partition_stops_transfers_not_work() -> None:
    grid = grid_with(Fault(kind="partition", node=1, at_s=0.5, back_s=4.0))
    ask(grid, 5.0)
    grid.close()
    (row,) = grid.ledger.of("compute")
    assert row.value == pytest.approx(1.0)


def test_the_server_is_killed_right_after_an_event() -> None:
    grid = grid_with(kills=(1, 3))
    with pytest.raises(ServerKilled, match="event 1"):
        grid.push_messages([message(1)])
    grid.push_messages([message(2)])
    for _ in range(4):
        grid.clock.wait(1.0)
    with pytest.raises(ServerKilled, match="event 3"):
        grid.pull_messages(["message-1", "message-2"])
    assert grid.ledger.count("reply") == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"kind": "melt", "node": 1}, "kind must be one of crash, .*'melt'"),
        ({"kind": "nan", "node": 0}, "node must be a node id >= 1, got 0"),
        ({"kind": "crash", "node": 1}, "at_s is for crash, restart, partition and needed there"),
        ({"kind": "nan", "node": 1, "at_s": 2.0}, "at_s is for crash"),
        ({"kind": "crash", "node": 1, "at_s": 2.0, "back_s": 1.0}, "need 0 <= at_s < back_s"),
        ({"kind": "crash", "node": 1, "at_s": 2.0, "dispatch": 1}, "dispatch must be >= 0"),
        ({"kind": "hang", "node": 1, "value": 0.0}, "hang of node 1: value must be > 0"),
        ({"kind": "error", "node": 1, "value": 0.5}, "value must be an error code"),
        ({"kind": "corrupt", "node": 1, "value": 99}, "value must be from 0 to 10, got 99"),
        ({"kind": "nan", "node": 1, "value": 1.0}, "value must be None, got 1.0"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Fault(**options)  # type: ignore[arg-type]


def test_a_fault_is_of_a_node_of_the_fleet() -> None:
    with pytest.raises(ValueError, match=r"at most the number of devices \(2\), got 3"):
        grid_with(Fault(kind="nan", node=3))


def test_plans_add_up() -> None:
    one, other = FaultPlan((Fault(kind="nan", node=1),)), FaultPlan((), (3,))
    total = combine_faults([one, other])
    assert total == one + other
    assert (len(total.faults), total.server_kills) == (1, (3,))


def test_chance_is_a_function_of_the_seed() -> None:
    def plan(kind: str, seed: int = 1) -> FaultPlan:
        return random_faults(kind, 30, 0.3, seed, until_s=1000.0)

    assert plan("nan") == plan("nan") != plan("nan", 2)
    assert len({fault.node for fault in plan("nan").faults}) == len(plan("nan").faults) == 9
    crashes = plan("crash").faults
    assert {fault.node for fault in crashes} <= set(range(1, 31))
    for node in {fault.node for fault in crashes}:
        times_s = [t for f in crashes if f.node == node for t in (f.at_s, f.back_s)]
        assert times_s == sorted(times_s)  # type: ignore[type-var]
    assert len(plan("restart").faults) == len({fault.node for fault in plan("restart").faults})
    assert all(fault.back_s < inf for fault in crashes)
    with pytest.raises(ValueError, match="share must be in"):
        random_faults("nan", 30, 1.5, 1)
    with pytest.raises(ValueError, match="finite until_s"):
        random_faults("crash", 30, 0.5, 1, until_s=inf)

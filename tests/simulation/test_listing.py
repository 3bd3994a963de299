"""Nodes that leave and return: exact times of notice, error 5 and late work."""

import math
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from deepedge_flwr.simulation import (
    DeviceSpec,
    Fleet,
    InProcessGrid,
    LinkSpec,
    Presence,
    Schedule,
    ServiceSpec,
    VirtualGrid,
)
from tests.numpy_app import INSTANT, arrays, follow_target, vector

# A message of 1000 bytes takes 0.75 s down, a job 1 s, its reply of 500 bytes 1 s up.
LINK = LinkSpec(
    uplink_bytes_per_s=1000.0,
    downlink_bytes_per_s=2000.0,
    uplink_latency_s=0.5,
    downlink_latency_s=0.25,
    jitter=0.0,
)
SERVICE = ServiceSpec(period_s=0.125, latency_s=0.01, budget_s=0.02, slowdown=2.0)


class CountingApp(ClientApp):
    """Answers with 500 bytes, and counts the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.num_calls = 0

        @self.train()
        def train(message: Message, _context: Context) -> Message:
            self.num_calls += 1
            content = RecordDict({"config": ConfigRecord({"blob": bytes(496)})})
            return Message(content, reply_to=message)


def online(*intervals: tuple[float, float]) -> Presence:
    return Presence(schedule=Schedule(online_s=intervals))


def away(off_s: float, back_s: float) -> Presence:
    return online((0.0, off_s), (back_s, math.inf))


def devices(
    *presences: Presence | None, seed: int = 0, notice_s: float = 10.0, **changes: Any
) -> Fleet:
    fields: dict[str, Any] = {"step_time_s": 0.125, "link": LINK, "step_jitter": 0.0} | changes
    return Fleet(tuple(DeviceSpec(presence=p, **fields) for p in presences), seed, notice_s)


def grid_of(*presences: Presence | None, **changes: Any) -> tuple[VirtualGrid, CountingApp]:
    app = CountingApp()
    fleet = devices(*presences, **changes)
    return VirtualGrid(InProcessGrid(app, len(fleet)), fleet, num_steps=8), app


def message(node_id: int = 1) -> Message:
    return Message(RecordDict({"config": ConfigRecord({"blob": bytes(996)})}), node_id, "train")


def wait_until(grid: VirtualGrid, time_s: float) -> None:
    while grid.clock.now_s() < time_s:
        grid.clock.wait(time_s - grid.clock.now_s())


def outcome(grid: VirtualGrid, *ids: str) -> list[tuple[float, int | None]]:
    """When each reply arrives and the code of its error."""
    seen: dict[str, tuple[float, int | None]] = {}
    while len(seen) < len(ids):
        grid.clock.wait()
        for reply in grid.pull_messages(ids):
            code = reply.error.code if reply.has_error() else None
            seen[reply.metadata.reply_to_message_id] = (grid.clock.now_s(), code)
    return [seen[message_id] for message_id in ids]


def rows(grid: VirtualGrid, *kinds: str) -> list[tuple[float, str, float | None]]:
    return [(row.time_s, row.kind, row.value) for row in grid.ledger.of(*kinds)]


# A device that its schedule takes off the network


@pytest.mark.parametrize(
    ("off_s", "back_s", "arrives_at_s"),
    [
        (3.0, 9.0, 2.75),
        (2.75, 9.0, 2.75),
        (2.0, 6.0, 6.75),  # 0.25 s of the upload are done
        (1.0, 6.0, 7.0),  # the job ends at 1.75, off the network
        (0.25, 6.0, 8.5),  # 0.25 s of the download are done
        (1.0, 10.9, 11.9),  # 9.9 s are not noticed
    ],
)
def test_a_short_absence_suspends_the_transfers_only(
    off_s: float, back_s: float, arrives_at_s: float
) -> None:
    grid, app = grid_of(away(off_s, back_s))
    assert outcome(grid, *grid.push_messages([message()])) == [(arrives_at_s, None)]
    assert app.num_calls == 1


@pytest.mark.parametrize(
    ("off_s", "num_calls", "bytes_up"),
    [
        (0.25, 0, 0),  # never starts
        (1.0, 0, 0),  # the local run ends at 1.75, off the network
        (2.0, 1, 500),  # the upload has begun
    ],
)
def test_a_noticed_absence_is_error_5_at_that_moment(
    off_s: float, num_calls: int, bytes_up: int
) -> None:
    grid, app = grid_of(away(off_s, 50.0))
    (message_id,) = grid.push_messages([message()])
    assert outcome(grid, message_id) == [(off_s + 10.0, 5)]
    wait_until(grid, 60.0)
    assert list(grid.pull_messages([message_id])) == []
    grid.close()
    (row,) = grid.ledger.of("lost")
    assert (row.time_s, row.node_id, row.bytes_up) == (off_s + 10.0, 1, bytes_up)
    assert app.num_calls == num_calls
    assert grid.ledger.wasted_bytes() == 1000 + bytes_up
    assert rows(grid, "absent") == [(off_s, "absent", 50.0 - off_s)]


def test_work_that_ends_after_the_notice_is_done_but_not_trained() -> None:
    grid, app = grid_of(away(1.0, 50.0), step_time_s=2.0, service=SERVICE)
    assert outcome(grid, *grid.push_messages([message()])) == [(11.0, 5)]
    wait_until(grid, 18.75)
    grid.close()
    assert app.num_calls == 0
    assert rows(grid, "compute") == [(0.75, "compute", 16.0)]
    (lost,) = grid.ledger.of("lost")
    assert (lost.time_s, lost.num_requests) == (11.0, 16 * 8)
    # The service runs on all the time.
    assert grid.ledger.total("num_requests") == 18.75 * 8


def test_a_run_that_ends_meanwhile_counts_the_service_up_to_there() -> None:
    grid, _ = grid_of(away(1.0, 50.0), step_time_s=2.0, service=SERVICE)
    grid.push_messages([message()])
    wait_until(grid, 12.0)
    grid.close()
    assert grid.ledger.total("num_requests") == 12.0 * 8
    assert [row.kind for row in grid.ledger.of("lost", "unfinished")] == ["lost"]
    assert rows(grid, "absent") == [(1.0, "absent", 11.0)]


def test_a_node_is_listed_until_it_is_noticed_and_again_when_it_is_back() -> None:
    grid, _ = grid_of(away(1.0, 50.0), None)
    seen = {}
    for time_s in (0.0, 1.0, 10.9, 11.0, 49.9, 50.0):
        wait_until(grid, time_s)
        seen[time_s] = grid.get_node_ids()
    assert [time_s for time_s, ids in seen.items() if ids == [2]] == [11.0, 49.9]
    assert all(ids in ([2], [1, 2]) for ids in seen.values())


def test_a_device_that_comes_later_is_not_listed_before() -> None:
    grid, _ = grid_of(online((4.0, math.inf)), None)
    assert grid.get_node_ids() == [2]
    wait_until(grid, 4.0)
    assert grid.get_node_ids() == [1, 2]


def test_a_message_to_a_vanished_node_waits_for_its_return_or_the_notice() -> None:
    for back_s, expected in ((6.0, (8.75, None)), (50.0, (11.0, 5))):
        grid, _ = grid_of(away(1.0, back_s))
        wait_until(grid, 2.0)
        assert outcome(grid, *grid.push_messages([message()])) == [expected]


def test_a_message_to_a_node_known_to_be_gone_fails_at_once() -> None:
    grid, app = grid_of(away(1.0, 50.0))
    wait_until(grid, 12.0)
    (reply,) = grid.send_and_receive([message()])
    assert (reply.error.code, grid.clock.now_s()) == (5, 12.0)
    assert reply.error.reason == "node 1 is no longer connected"
    wait_until(grid, 50.0)
    assert outcome(grid, *grid.push_messages([message()])) == [(52.75, None)]
    assert app.num_calls == 1


def test_all_that_a_node_was_sent_fails_together() -> None:
    grid, app = grid_of(away(2.0, 50.0))
    ids = grid.push_messages([message(), message(), message()])
    # The first is being sent up at 2, the second computes until 2.75, the third until 3.75.
    assert outcome(grid, *ids) == [(12.0, 5)] * 3
    assert app.num_calls == 1
    assert grid.ledger.total("bytes_up") == 500


# A device that loses a job


def test_a_lost_job_never_answers_and_its_device_is_gone_until_noticed() -> None:
    presence = Presence(job_loss=1.0, mean_absence_s=0.5)
    loss = presence.loss((0, 0, 0))
    assert loss is not None
    grid, app = grid_of(presence)
    lost_at_s = 0.75 + loss.fraction
    assert outcome(grid, *grid.push_messages([message()])) == [(lost_at_s + 10.0, 5)]
    assert grid.get_node_ids() == [1]
    grid.close()
    assert app.num_calls == 0
    assert rows(grid, "compute", "absent") == [
        (0.75, "compute", lost_at_s - 0.75),
        (lost_at_s, "absent", pytest.approx(10.0)),
    ]
    assert [(row.time_s, row.bytes_up) for row in grid.ledger.of("lost")] == [(lost_at_s + 10, 0)]


def test_a_restart_loses_what_was_queued_behind_the_job() -> None:
    presence = Presence(job_loss=1.0)
    loss = presence.loss((0, 0, 0))
    assert loss is not None
    grid, _ = grid_of(presence)
    ids = grid.push_messages([message(), message()])
    assert outcome(grid, *ids) == [(0.75 + loss.fraction + 10.0, 5)] * 2
    grid.close()
    assert rows(grid, "compute") == [(0.75, "compute", pytest.approx(loss.fraction))]


def test_a_long_absence_after_a_loss_takes_the_node_off_the_list() -> None:
    presence = Presence(job_loss=1.0, mean_absence_s=1000.0)
    loss = presence.loss((0, 0, 0))
    assert loss is not None
    assert loss.absence_s > 10.0
    grid, _ = grid_of(presence, None)
    outcome(grid, *grid.push_messages([message()]))
    assert grid.get_node_ids() == [2]
    wait_until(grid, 0.75 + loss.fraction + loss.absence_s)
    assert grid.get_node_ids() == [1, 2]


def test_the_service_outlives_a_lost_job() -> None:
    grid, _ = grid_of(Presence(job_loss=1.0), service=SERVICE)
    outcome(grid, *grid.push_messages([message()]))
    wait_until(grid, 20.0)
    grid.close()
    assert grid.ledger.total("num_requests") == 20.0 * 8


def test_a_loss_cuts_the_reply_to_the_message_before() -> None:
    presence = Presence(job_loss=0.5)
    seed, loss = next(
        (seed, loss)
        for seed in range(99)
        if presence.loss((seed, 0, 0)) is None and (loss := presence.loss((seed, 0, 1)))
    )
    grid, app = grid_of(presence, seed=seed)
    ids = list(grid.push_messages([message()]))
    wait_until(grid, 1.0)
    ids += grid.push_messages([message()])
    # The second job runs, and is lost, while the first one's reply is on its way.
    assert outcome(grid, *ids) == [(1.75 + loss.fraction + 10.0, 5)] * 2
    assert app.num_calls == 1
    assert [row.bytes_up for row in grid.ledger.of("lost")] == [500, 0]


def test_only_training_is_lost() -> None:
    app = CountingApp()

    @app.evaluate()
    def evaluate(message: Message, _context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    fleet = devices(Presence(job_loss=1.0))
    grid = VirtualGrid(InProcessGrid(app, 1), fleet)
    (reply,) = grid.send_and_receive([Message(RecordDict(), 1, "evaluate")])
    assert reply.has_content()


# Strategies that wait for nodes


def test_asking_again_and_again_lets_time_pass() -> None:
    grid, _ = grid_of(away(1.0, 50.0), away(1.0, 40.0), None)
    wait_until(grid, 20.0)
    assert [grid.get_node_ids() for _ in range(2)] == [[3], [3]]
    assert grid.clock.now_s() == 20.0
    assert (grid.get_node_ids(), grid.clock.now_s()) == ([2, 3], 40.0)
    grid.push_messages([])
    assert [grid.get_node_ids() for _ in range(2)] == [[2, 3], [2, 3]]
    assert (grid.get_node_ids(), grid.clock.now_s()) == ([1, 2, 3], 50.0)
    for _ in range(5):
        grid.get_node_ids()
    assert grid.clock.now_s() == 50.0


def test_asking_twice_is_enough_while_nobody_is_there() -> None:
    grid, _ = grid_of(away(1.0, 50.0))
    wait_until(grid, 20.0)
    assert (grid.get_node_ids(), grid.clock.now_s()) == ([], 20.0)
    assert (grid.get_node_ids(), grid.clock.now_s()) == ([1], 50.0)


def test_fedavg_waits_in_virtual_time_for_nodes_to_come_back() -> None:
    fleet = devices(away(1.5, 30.0), away(1.5, 40.0), notice_s=1.0, step_time_s=1.0, link=INSTANT)
    grid = VirtualGrid(InProcessGrid(follow_target([1.0, 1.0]), 2), fleet, num_steps=1)
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
    result = strategy.start(grid, arrays([0.0]), num_rounds=3)
    assert vector(result.arrays) == [0.75]
    lost = [row.time_s for row in grid.ledger.of("lost")]
    replies = [(row.node_id, row.time_s) for row in grid.ledger.of("reply")]
    assert lost == [2.5, 2.5]
    assert replies == [
        (1, pytest.approx(1.0)),
        (2, pytest.approx(1.0)),
        (1, pytest.approx(31.0)),
    ]

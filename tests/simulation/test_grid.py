"""The virtual grid: exact arrival times, waste, requests, and any strategy on top of it."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, FedProx

from deepedge_flwr import DeepEdge, DeepEdgeMod, local_steps
from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.types import Telemetry
from deepedge_flwr.layout import model_sha256
from deepedge_flwr.records import count_bytes, get_plan, get_telemetry
from deepedge_flwr.simulation import (
    DeviceSpec,
    Fleet,
    HorizonReached,
    InProcessGrid,
    LinkSpec,
    ServiceSpec,
    SimulationMismatch,
    VirtualGrid,
    build_fleet,
    simulated_device,
    speed_classes,
)
from deepedge_flwr.simulation.simulated_device import live

Train = Callable[[Message, Context], Message]

EXACT = LinkSpec(
    uplink_bytes_per_s=1000.0,
    downlink_bytes_per_s=2000.0,
    uplink_latency_s=0.5,
    downlink_latency_s=0.25,
    jitter=0.0,
)
SERVICE = ServiceSpec(period_s=0.125, latency_s=0.01, budget_s=0.02, slowdown=2.0)
CONTEXT = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})


def app_of(train: Train, *mods: Any) -> ClientApp:
    app = ClientApp(mods=list(mods))
    app.train()(train)
    return app


def small_reply(message: Message, _context: Context) -> Message:
    """Answer with 500 bytes."""
    return Message(RecordDict({"config": ConfigRecord({"blob": bytes(496)})}), reply_to=message)


def fail(message: Message, context: Context) -> Message:
    raise RuntimeError("out of memory")


def exact_fleet(*step_times_s: float, service: ServiceSpec | None = None) -> Fleet:
    return Fleet(
        tuple(
            DeviceSpec(step_time_s=t, link=EXACT, step_jitter=0.0, service=service)
            for t in step_times_s
        )
    )


def exact_grid(*step_times_s: float, train: Train = small_reply, **options: Any) -> VirtualGrid:
    inner = InProcessGrid(app_of(train), len(step_times_s))
    return VirtualGrid(inner, exact_fleet(*step_times_s), **{"num_steps": 8} | options)


def big_message(node_id: int, message_type: str = "train") -> Message:
    """Return a message of 1000 bytes."""
    config = ConfigRecord({"blob": bytes(996)})
    return Message(RecordDict({"config": config}), node_id, message_type)


def arrivals(grid: VirtualGrid, ids: Iterable[str]) -> list[tuple[float, int]]:
    """Pull until all have arrived: (time, node) of each reply."""
    missing, seen = set(ids), list[tuple[float, int]]()
    while missing:
        grid.clock.wait()
        for reply in grid.pull_messages(missing):
            missing.discard(reply.metadata.reply_to_message_id)
            seen.append((grid.clock.now_s(), reply.metadata.src_node_id))
    return seen


# When replies arrive


def test_a_reply_arrives_after_download_local_run_and_upload() -> None:
    grid = exact_grid(0.125)
    assert count_bytes(big_message(1).content) == 1000
    ids = grid.push_messages([big_message(1)])
    # 0.25 + 1000/2000 down, 8 steps of 0.125, 0.5 + 500/1000 up
    assert arrivals(grid, ids) == [(0.75 + 1.0 + 1.0, 1)]


def test_a_message_that_is_not_training_takes_its_own_steps() -> None:
    app = app_of(small_reply)
    app.evaluate()(small_reply)
    grid = VirtualGrid(InProcessGrid(app, 1), exact_fleet(0.125), evaluate_steps=2)
    assert arrivals(grid, grid.push_messages([big_message(1, "evaluate")])) == [(2.0, 1)]


def test_only_a_reply_to_training_counts_as_one() -> None:
    app = app_of(small_reply)
    app.evaluate()(small_reply)
    grid = VirtualGrid(InProcessGrid(app, 1), exact_fleet(0.125))
    grid.send_and_receive([big_message(1, "evaluate")])
    assert (grid.ledger.count("answer"), grid.ledger.count("reply")) == (1, 0)
    grid.send_and_receive([big_message(1, "train")])
    assert (grid.ledger.count("answer"), grid.ledger.count("reply")) == (1, 1)


def test_each_device_has_its_own_pace() -> None:
    grid = exact_grid(0.125, 1.0)
    ids = grid.push_messages([big_message(2), big_message(1)])
    assert arrivals(grid, ids) == [(2.75, 1), (9.75, 2)]


def test_messages_to_one_node_are_served_one_after_the_other() -> None:
    grid = exact_grid(0.125)
    ids = grid.push_messages([big_message(1), big_message(1)])
    assert arrivals(grid, ids) == [(2.75, 1), (3.75, 1)]


def count_calls(message: Message, context: Context) -> Message:
    calls = len(context.state) + 1
    context.state[f"call-{calls}"] = MetricRecord({})
    return Message(RecordDict({"m": MetricRecord({"calls": calls})}), reply_to=message)


def test_a_queued_message_sees_the_state_that_its_predecessor_left() -> None:
    grid = exact_grid(0.125, train=count_calls)
    ids = list(grid.push_messages([big_message(1) for _ in range(3)]))
    while grid.clock.now_s() < 10.0:
        grid.clock.wait(10.0 - grid.clock.now_s())
    replies = {r.metadata.reply_to_message_id: r.content for r in grid.pull_messages(ids)}
    assert [replies[i].metric_records["m"]["calls"] for i in ids] == [1, 2, 3]


def test_the_order_in_which_nodes_are_listed_does_not_matter() -> None:
    def run(node_ids: list[int]) -> str:
        grid = exact_grid(0.125, 0.125, 0.25)
        list(grid.send_and_receive([big_message(node_id) for node_id in node_ids]))
        return grid.ledger.sha256()

    assert run([1, 2, 3]) == run([3, 1, 2])


def test_replies_of_one_instant_are_released_together_by_node() -> None:
    grid = exact_grid(0.125, 0.125, 0.125)
    ids = list(grid.push_messages([big_message(3), big_message(1), big_message(2)]))
    while grid.clock.now_s() < 2.75:
        assert list(grid.pull_messages(ids)) == []
        grid.clock.wait()
    nodes = [reply.metadata.src_node_id for reply in grid.pull_messages(ids)]
    assert (grid.clock.now_s(), nodes) == (2.75, [1, 2, 3])


def test_a_reply_is_pulled_by_its_own_id_and_once() -> None:
    grid = exact_grid(0.125, 0.125)
    first, second = grid.push_messages([big_message(1), big_message(2)])
    assert len(arrivals(grid, [second])) == 1
    assert [r.metadata.reply_to_message_id for r in grid.pull_messages([first, second])] == [first]
    assert list(grid.pull_messages([first, second])) == []


def test_an_error_reply_takes_no_bytes_but_time() -> None:
    grid = exact_grid(0.125, train=fail)
    (reply,) = grid.send_and_receive([big_message(1)])
    assert reply.error.code == 2
    assert reply.error.reason == "RuntimeError: out of memory"
    assert grid.clock.now_s() == 0.75 + 1.0 + 0.5
    (row,) = grid.ledger.of("error")
    assert (row.node_id, row.bytes_up) == (1, 0)
    assert grid.ledger.wasted_bytes() == 1000


def test_a_message_to_an_unknown_node_is_rejected() -> None:
    grid = exact_grid(0.125)
    ids = list(grid.push_messages([big_message(9), big_message(1)]))
    assert ids[0] == "" != ids[1]
    assert grid.ledger.count("dispatch") == 1
    assert list(grid.send_and_receive([big_message(9)])) == []


# send_and_receive, in virtual time


def test_send_and_receive_waits_for_the_slowest_and_sorts_by_node() -> None:
    grid = exact_grid(1.0, 0.125)
    replies = list(grid.send_and_receive([big_message(2), big_message(1)]))
    assert [reply.metadata.src_node_id for reply in replies] == [1, 2]
    assert grid.clock.now_s() == 9.75


def test_a_reply_after_the_timeout_is_late_and_wasted() -> None:
    grid = exact_grid(0.125, 1.0)
    replies = list(grid.send_and_receive([big_message(1), big_message(2)], timeout=5.0))
    assert [reply.metadata.src_node_id for reply in replies] == [1]
    assert grid.clock.now_s() == 5.0
    list(grid.send_and_receive([big_message(2)]))
    grid.close()
    (late,) = grid.ledger.of("late")
    assert (late.time_s, late.node_id, late.bytes_up) == (9.75, 2, 500)
    assert grid.ledger.wasted_bytes() == 1000 + 500


# The ledger


def test_bytes_are_counted_both_ways() -> None:
    grid = exact_grid(0.125, 0.125)
    list(grid.send_and_receive([big_message(1), big_message(2)]))
    assert grid.ledger.total("bytes_down") == 2000
    assert grid.ledger.total("bytes_up") == 1000
    assert grid.ledger.wasted_bytes() == 0


def test_staleness_counts_the_rounds_sent_since() -> None:
    grid = exact_grid(0.125, 1.0)

    def of_round(node_id: int, server_round: int) -> Message:
        config = ConfigRecord({"server-round": server_round})
        return Message(RecordDict({"config": config}), node_id, "train")

    slow = grid.push_messages([of_round(2, 1)])
    for server_round in (1, 2, 3):
        list(grid.send_and_receive([of_round(1, server_round)]))
    arrivals(grid, slow)
    rows = [(row.node_id, row.version, row.staleness) for row in grid.ledger.of("reply")]
    assert rows == [(1, 1, 0), (1, 2, 0), (1, 3, 0), (2, 1, 2)]


def test_rows_of_a_device_tile_its_time() -> None:
    inner = InProcessGrid(app_of(small_reply), 1)
    grid = VirtualGrid(inner, exact_fleet(0.125, service=SERVICE), num_steps=8, horizon_s=8.0)
    list(grid.send_and_receive([big_message(1)]))
    with pytest.raises(HorizonReached):
        grid.clock.wait()
    grid.close()
    rows = [(r.time_s, r.kind, r.value, r.num_requests) for r in grid.ledger.rows]
    assert rows == [
        (0.0, "dispatch", None, None),
        (0.0, "idle", 0.75, 6),
        (0.75, "compute", 1.0, None),
        (1.75, "idle", 6.25, 50),
        (2.75, "reply", 8.0, 8),
    ]


def test_the_ledger_ends_at_the_present() -> None:
    grid = exact_grid(1.0, 1.0)
    grid.push_messages([big_message(1), big_message(2), big_message(2)])
    grid.clock.wait(4.75)
    grid.close()
    seconds = [(r.node_id, r.kind, r.value) for r in grid.ledger.rows if r.kind != "dispatch"]
    assert seconds == [
        (1, "compute", 4.0),
        (2, "compute", 4.0),
        (1, "unfinished", None),
        (2, "unfinished", None),
        (2, "unfinished", None),
    ]


# A model of one number, and clients whose result is known


def start_arrays() -> ArrayRecord:
    return ArrayRecord([np.zeros(3)])


def add_partition(message: Message, context: Context) -> Message:
    """Add partition id + 1 to the model."""
    amount = int(context.node_config["partition-id"]) + 1
    return _answer(message, amount)


def one_per_step(message: Message, _context: Context) -> Message:
    """Add the number of local steps to the model."""
    return _answer(message, sum(local_steps([1, 1, 1])))


def break_early(message: Message, _context: Context) -> Message:
    steps = 0
    for _ in local_steps([0]):
        steps += 1
        if steps == 2:
            break
    return _answer(message, steps)


def _answer(message: Message, amount: int) -> Message:
    (arrays,) = message.content.array_records.values()
    model = [array + amount for array in arrays.to_numpy_ndarrays()]
    content = RecordDict(
        {"arrays": ArrayRecord(model), "metrics": MetricRecord({"num-examples": 1})}
    )
    return Message(content, reply_to=message)


def virtual_grid(
    train: Train, *mods: Any, num_nodes: int = 4, service: ServiceSpec | None = None, **options: Any
) -> VirtualGrid:
    fleet = build_fleet(
        speed_classes(num_nodes, 0.1, 16),
        LinkSpec(uplink_bytes_per_s=1e3, downlink_bytes_per_s=1e3),
        service=service,
    )
    return VirtualGrid(InProcessGrid(app_of(train, *mods), num_nodes), fleet, **options)


@pytest.mark.parametrize("strategy_class", [FedAvg, FedProx])
def test_stock_strategies_run_unmodified(strategy_class: type[FedAvg]) -> None:
    grid = virtual_grid(add_partition)
    result = strategy_class(fraction_evaluate=0.0).start(grid, start_arrays(), num_rounds=3)
    # Every round adds the mean of 1, 2, 3 and 4.
    assert result.arrays.to_numpy_ndarrays()[0].tolist() == [7.5, 7.5, 7.5]
    assert grid.ledger.count("reply") == 12
    slowest = [row.time_s for row in grid.ledger.of("reply") if row.node_id == 4]
    assert grid.clock.now_s() == slowest[-1] > 3 * 10 * 1.6 * 0.8


def test_an_app_without_the_mod_runs_under_deepedge() -> None:
    grid = virtual_grid(add_partition, follows_plans=False)
    result = DeepEdge().start(grid, start_arrays(), num_rounds=5)
    (model,) = result.arrays.to_numpy_ndarrays()
    assert np.all(np.isfinite(model))
    assert model[0] > 0
    assert len(result.train_metrics_clientapp) == 5


def test_the_same_run_twice_is_the_same_to_the_last_bit() -> None:
    def run(fleet_seed: int) -> tuple[str, str]:
        fleet = build_fleet([0.1, 0.2, 0.4], EXACT, seed=fleet_seed, service=SERVICE)
        app = app_of(one_per_step, DeepEdgeMod(device=simulated_device))
        grid = VirtualGrid(InProcessGrid(app, 3), fleet)
        result = DeepEdge(latency_budget_s=0.02).start(grid, start_arrays(), num_rounds=8)
        grid.close()
        return grid.ledger.sha256(), model_sha256(result.arrays)

    assert run(0) == run(0)
    assert run(0)[0] != run(1)[0]


class RecordingGrid(InProcessGrid):
    """Keep every message and the client's reply to it."""

    def __init__(self, client_app: ClientApp, num_nodes: int) -> None:
        super().__init__(client_app, num_nodes)
        self.messages: dict[str, Message] = {}
        self.exchanges: list[tuple[Message, Message]] = []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = list(messages)
        ids = list(super().push_messages(pushed))
        self.messages.update(zip(ids, pushed, strict=True))
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(super().pull_messages(message_ids))
        self.exchanges += [(self.messages[r.metadata.reply_to_message_id], r) for r in replies]
        return replies


def predict(message: Message) -> Telemetry:
    plan, device = get_plan(message.content), simulated_device(message, CONTEXT)
    if plan is None or device is None:
        raise ValueError("the message carries no plan or no device")
    return live(device, plan, Gate.for_plan(plan))


def test_reported_telemetry_is_the_predicted_one() -> None:
    app = app_of(one_per_step, DeepEdgeMod(device=simulated_device))
    inner = RecordingGrid(app, 4)
    link = LinkSpec(uplink_bytes_per_s=1e3, downlink_bytes_per_s=1e3)
    fleet = build_fleet(speed_classes(4, 0.1, 16), link, service=SERVICE)
    grid = VirtualGrid(inner, fleet)
    DeepEdge(latency_budget_s=0.015).start(grid, start_arrays(), num_rounds=10)
    reported = [get_telemetry(reply.content) for _, reply in inner.exchanges]
    assert len(reported) >= 20
    assert reported == [predict(message) for message, _ in inner.exchanges]
    assert any(telemetry is not None and telemetry.paused_s > 0 for telemetry in reported)
    devices = [simulated_device(message, CONTEXT) for message, _ in inner.exchanges]
    knows = [device is not None and len(device.gate_memory) == 4 for device in devices]
    assert (knows[0], knows[-1]) == (False, True)  # its gate goes on where the last one ended


def test_a_client_that_leaves_its_loop_early_is_a_mismatch() -> None:
    grid = virtual_grid(break_early, DeepEdgeMod(device=simulated_device))
    with pytest.raises(SimulationMismatch, match=r"must finish the steps that local_steps\(\)"):
        DeepEdge().start(grid, start_arrays(), num_rounds=5)


# The service runs on, whatever the strategy does


def run_nothing(grid: VirtualGrid) -> None:
    grid.clock.wait()


def run_fedavg(grid: VirtualGrid) -> None:
    FedAvg(fraction_evaluate=0.0).start(grid, start_arrays(), num_rounds=1000)


def run_ungated(grid: VirtualGrid) -> None:
    DeepEdge().start(grid, start_arrays(), num_rounds=1000)


def run_gated(grid: VirtualGrid) -> None:
    DeepEdge(latency_budget_s=0.015).start(grid, start_arrays(), num_rounds=1000)


@pytest.mark.parametrize("run", [run_nothing, run_fedavg, run_ungated, run_gated])
@pytest.mark.parametrize("horizon_s", [3.0, 16.0])
def test_every_request_is_counted_once_whatever_runs(
    run: Callable[[VirtualGrid], None], horizon_s: float
) -> None:
    mod = DeepEdgeMod(device=simulated_device)
    grid = virtual_grid(one_per_step, mod, service=SERVICE, horizon_s=horizon_s)
    with pytest.raises(HorizonReached):
        run(grid)
    grid.close()
    per_node = {
        node_id: sum(r.num_requests or 0 for r in grid.ledger.rows if r.node_id == node_id)
        for node_id in grid.get_node_ids()
    }
    assert per_node == dict.fromkeys([1, 2, 3, 4], int(horizon_s / 0.125))


@pytest.mark.parametrize("periods", range(1, 48))
def test_every_request_is_counted_once_wherever_the_run_ends(periods: int) -> None:
    inner, end_s = InProcessGrid(app_of(small_reply), 1), 0.125 * periods
    grid = VirtualGrid(inner, exact_fleet(0.125, service=SERVICE), num_steps=8, horizon_s=end_s)
    grid.push_messages([big_message(1), big_message(1)])
    with pytest.raises(HorizonReached):
        while True:
            grid.clock.wait()
    grid.close()
    assert grid.ledger.total("num_requests") == periods


# What is refused


def test_the_grid_must_not_be_larger_than_the_fleet() -> None:
    grid = VirtualGrid(InProcessGrid(app_of(small_reply), 3), exact_fleet(0.125, 0.25))
    with pytest.raises(ValueError, match="the grid has 3 nodes but the fleet 2 devices"):
        grid.get_node_ids()


def test_missing_nodes_are_waited_for_and_then_named() -> None:
    grid = VirtualGrid(
        InProcessGrid(app_of(small_reply), 1), exact_fleet(0.125, 0.25), reply_timeout_s=1e-6
    )
    with pytest.raises(RuntimeError, match="1 of 2 nodes connected"):
        grid.get_node_ids()


@pytest.mark.parametrize("options", [{"num_steps": 0}, {"evaluate_steps": 0}])
def test_local_steps_are_at_least_one(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="num_steps and evaluate_steps must be >= 1"):
        exact_grid(0.125, **options)


def test_the_rest_of_the_grid_is_the_inner_ones() -> None:
    grid = exact_grid(0.125, 0.25)
    grid.set_run(grid.run)
    assert grid.run.run_id == 1
    assert list(grid.get_node_ids()) == [1, 2]
    assert grid.create_message(RecordDict(), "train", 2, "").metadata.dst_node_id == 2

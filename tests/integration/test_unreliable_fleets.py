"""Strategies on fleets whose devices leave, return and lose jobs."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.serverapp.strategy import FedAvg, Strategy

from deepedge_flwr import CA2FL, DeadlineFedAvg, DeepEdge, FedAsync, FedBuff, FedNova
from deepedge_flwr.layout import model_sha256
from deepedge_flwr.simulation import (
    Fault,
    FaultPlan,
    Fleet,
    HorizonReached,
    InProcessGrid,
    LinkSpec,
    Presence,
    Schedule,
    VirtualGrid,
    build_fleet,
    daily_windows,
    speed_classes,
)
from simulations.configuration import compose_config
from simulations.experiment import run_experiment
from tests.numpy_app import arrays, deepedge_mod, fleet, follow_target, vector

NUM_NODES = 8
ENDS = ("reply", "answer", "error", "late", "lost", "unfinished")
UNRELIABLE: dict[str, Presence | Sequence[Presence]] = {
    "dropouts": Presence(job_loss=0.2, mean_absence_s=20.0),
    "day_night": daily_windows(NUM_NODES, 120.0, -35.0, 70.0, 15.0),
    "both": [
        Presence(schedule=window.schedule, job_loss=0.2, mean_absence_s=20.0)
        for window in daily_windows(NUM_NODES, 120.0, -35.0, 70.0, 15.0)
    ],
}
STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "deepedge": lambda: DeepEdge(min_available_nodes=1),
    "fedbuff": lambda: FedBuff(buffer_size=3, min_available_nodes=1),
    "fedasync": lambda: FedAsync(min_available_nodes=1),
    "ca2fl": lambda: CA2FL(buffer_size=3, min_available_nodes=1),
    "fednova": lambda: FedNova(min_available_nodes=1),
    "deadline": lambda: DeadlineFedAvg(min_available_nodes=1),
    "fedavg": lambda: FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1),
}


def unreliable(presence: Presence | Sequence[Presence]) -> Fleet:
    link = LinkSpec(uplink_bytes_per_s=1e4, downlink_bytes_per_s=1e4, uplink_latency_s=0.4)
    steps_s = speed_classes(NUM_NODES, 0.1, 16)
    return build_fleet(steps_s, link, presence=presence, notice_s=5.0)


def all_with(presence: Presence, step_time_s: float) -> Fleet:
    pair = fleet(step_time_s, step_time_s).devices
    return Fleet(tuple(replace(device, presence=presence) for device in pair), 0, 2.0)


def run(strategy: Strategy, devices: Fleet, num_rounds: int = 40) -> tuple[VirtualGrid, Any]:
    app = follow_target([1.0] * len(devices), num_steps=5, mods=[deepedge_mod()])
    grid = VirtualGrid(InProcessGrid(app, len(devices)), devices, num_steps=5, horizon_s=2000.0)
    result = strategy.start(grid, arrays([0.0]), num_rounds=num_rounds)
    grid.close()
    return grid, result


@pytest.mark.parametrize("presence", UNRELIABLE)
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_finishes_on_unreliable_fleets(name: str, presence: str) -> None:
    synchronous = dict.fromkeys(("fedavg", "fednova", "deadline"), 15)
    num_rounds = {**synchronous, "fedasync": 150}.get(name, 60)
    grid, result = run(STRATEGIES[name](), unreliable(UNRELIABLE[presence]), num_rounds)
    assert vector(result.arrays)[0] > 0.9
    assert grid.ledger.count("lost") > 0
    # Every message ends, and once.
    sent = Counter(row.message_id for row in grid.ledger.of("dispatch"))
    assert Counter(row.message_id for row in grid.ledger.of(*ENDS)) == sent


@pytest.mark.parametrize("presence", UNRELIABLE)
def test_an_unreliable_run_is_the_same_twice(presence: str) -> None:
    def digest(devices: Fleet) -> tuple[str, str]:
        grid, result = run(DeepEdge(min_available_nodes=1), devices)
        return grid.ledger.sha256(), model_sha256(result.arrays)

    devices = unreliable(UNRELIABLE[presence])
    assert digest(devices) == digest(devices)


def test_an_asynchronous_strategy_uses_a_node_as_soon_as_it_may_know_of_it() -> None:
    away = Presence(schedule=Schedule(online_s=((0.0, 21.0), (41.5, 1000.0))))
    devices = Fleet(
        tuple(replace(device, presence=away) for device in fleet(4.0, 4.0).devices), 0, 2.0
    )
    grid, _ = run(FedBuff(buffer_size=1, min_available_nodes=1), devices, num_rounds=4)
    # Lost at 23, when the list is asked for at once, and then every 5 s.
    assert [row.time_s for row in grid.ledger.of("lost")] == [23.0, 23.0]
    after = [row.time_s for row in grid.ledger.of("dispatch") if row.time_s > 23.0]
    assert after[:2] == [43.0, 43.0]


def test_nobody_ever_comes_back() -> None:
    gone = Presence(schedule=Schedule(online_s=((0.0, 1.0),)))
    devices = Fleet(
        tuple(replace(device, presence=gone) for device in fleet(1.0, 1.0).devices), 0, 2.0
    )
    with pytest.raises(HorizonReached):
        run(FedAvg(fraction_evaluate=0.0), devices)


@pytest.mark.parametrize("name", ["dropouts", "day_night"])
@pytest.mark.parametrize("strategy", ["deepedge", "fedbuff"])
def test_the_configured_fleets_run(strategy: str, name: str, tmp_path: Path) -> None:
    config = compose_config(
        [f"fleet={name}", f"strategy={strategy}", "task=synthetic", "num_nodes=6",
         "horizon_s=60", "num_evaluations=5"]
    )  # fmt: skip
    summary = run_experiment(config, tmp_path)
    assert summary.num_updates > 20
    assert summary.bytes_wasted > 0


def test_a_device_that_restarts_under_a_new_id_keeps_its_profile() -> None:
    """Node 1, which has answered before, crashes at 12 s and is node 4 from 15 s on."""
    plan = FaultPlan((Fault(kind="restart", node=1, at_s=12.0, back_s=15.0),))
    devices = Fleet(fleet(1.0, 2.0, 3.0).devices, notice_s=1.0)
    app = follow_target([1.0, 2.0, 3.0], mods=[deepedge_mod()])
    grid = VirtualGrid(InProcessGrid(app, 3), devices, faults=plan)
    strategy = DeepEdge()
    result = strategy.start(grid, arrays([0.0]), num_rounds=30)
    assert strategy._exchange.events.counts["renamed"] == 1
    assert grid.ledger.count("server-renamed") == 1
    profiles = strategy._fleet._profiles
    assert sorted(profiles) == [2, 3, 4]
    assert profiles[4].num_observations > grid.ledger.count("reply") / 3
    assert result.train_metrics_clientapp[30]["num-failures"] == 1


def test_a_node_that_always_lies_is_quarantined_and_the_model_stays_good() -> None:
    plan = FaultPlan(tuple(Fault(kind=kind, node=2) for kind in ("huge",)))
    app = follow_target([1.0, 2.0, 3.0], mods=[deepedge_mod()])
    grid = VirtualGrid(InProcessGrid(app, 3), fleet(1.0, 1.0, 1.0), faults=plan)
    result = DeepEdge(averaging=0).start(grid, arrays([0.0]), num_rounds=40)
    metrics = result.train_metrics_clientapp[40]
    assert metrics["num-quarantined"] == 1
    assert metrics["num-rejected"] == metrics["num-failures"] >= 5
    assert 0.9 < vector(result.arrays)[0] < 3.1

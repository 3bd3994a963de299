"""The worlds beside the fleet: what is kept of it, and what the cloud's data cost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepedge_flwr.simulation import (
    DeviceSpec,
    Fleet,
    HorizonReached,
    LinkSpec,
    Presence,
    ServiceSpec,
)
from simulations.build import build_fleet, task_loader
from simulations.configuration import compose_config
from simulations.experiment import run_experiment
from simulations.report import read_run
from simulations.tasks.task import Task
from simulations.worlds import World, build_world, ideal_fleet, uploads
from tests.numpy_app import follow_target, virtual_grid

SERVICE = ServiceSpec(period_s=0.1, latency_s=0.01, budget_s=0.02)
SLOW_LINK = LinkSpec(
    uplink_bytes_per_s=10.0,
    downlink_bytes_per_s=20.0,
    uplink_latency_s=1.0,
    downlink_latency_s=0.5,
    jitter=0.3,
)
FAST_LINK = LinkSpec(uplink_bytes_per_s=40.0, downlink_bytes_per_s=80.0, jitter=0.2)
FLEET = Fleet(
    (
        DeviceSpec(step_time_s=0.5, link=FAST_LINK, service=SERVICE),
        DeviceSpec(step_time_s=1.5, link=SLOW_LINK, service=SERVICE),
    ),
    seed=4,
)


def task() -> Task:
    """Three examples on the first node, one on the second, of two features each."""
    return Task(
        name="tiny",
        node_inputs=(np.ones((3, 2), np.float32), np.zeros((1, 2), np.float32)),
        node_labels=(np.array([0, 1, 0]), np.array([1])),
        test_inputs=np.ones((1, 2), np.float32),
        test_labels=np.array([0]),
        hidden=(),
        num_classes=2,
        learning_rate=0.1,
        batch_size=1,
        target_accuracy=0.5,
    )


def world(name: str, *overrides: str) -> World:
    config = compose_config([f"strategy={name}", "num_nodes=2", *overrides])
    return build_world(config, FLEET, task)


def test_the_ideal_fleet_keeps_the_total_throughput() -> None:
    ideal = ideal_fleet(FLEET)
    assert (len(ideal), len(set(ideal.devices)), ideal.seed) == (2, 1, 4)
    throughput = sum(1 / device.step_time_s for device in ideal.devices)
    assert throughput == pytest.approx(1 / 0.5 + 1 / 1.5)


@pytest.mark.parametrize("num_bytes", [0, 100, 12_345])
def test_a_transfer_on_the_ideal_fleet_takes_the_mean_of_the_devices_times(num_bytes: int) -> None:
    ideal = ideal_fleet(FLEET).devices[0].link
    for direction in ("up", "down"):
        times_s = [link.transfer_s(num_bytes, direction) for link in (FAST_LINK, SLOW_LINK)]
        assert ideal.transfer_s(num_bytes, direction) == pytest.approx(sum(times_s) / 2)


def test_nothing_varies_or_gets_lost_on_the_ideal_fleet_and_the_service_goes_on() -> None:
    unreliable = Presence(job_loss=0.2, mean_absence_s=20.0)
    real = Fleet(tuple(replace(device, presence=unreliable) for device in FLEET.devices))
    device = ideal_fleet(real).devices[0]
    assert (device.step_jitter, device.link.jitter, device.presence) == (0.0, 0.0, None)
    assert device.service == SERVICE


def test_the_ideal_world_has_the_data_of_the_real_one() -> None:
    """Partitioned by the real devices' speed: on the equal ones it would be another partition."""
    config = compose_config(["strategy=oracle", "task=digits_correlated", "num_nodes=8"])
    fleet, _ = build_fleet(config)
    slowest_first = Fleet(fleet.devices[::-1], fleet.seed)
    load = task_loader(config, slowest_first)
    ideal = build_world(config, slowest_first, load)
    assert ideal.load() is load()
    assert set(ideal.load().node_labels[0]) == {8, 9}
    assert set(task_loader(config, ideal.fleet)().node_labels[0]) == {0, 1, 2}


def test_raw_data_are_four_bytes_a_feature_and_one_a_label() -> None:
    first, second = uploads(FLEET, task())
    assert (first.node_id, first.num_bytes, first.arrives_at_s) == (1, 27, 27 / 40)
    assert (second.node_id, second.num_bytes, second.arrives_at_s) == (2, 9, 1 + 9 / 10)


def test_training_begins_when_the_last_data_have_arrived() -> None:
    grid = virtual_grid(follow_target([1.0]), world("cloud").fleet)
    world("cloud").begin(grid)
    rows = [(row.time_s, row.node_id, row.bytes_up) for row in grid.ledger.of("upload")]
    assert rows == [(27 / 40, 1, 27), (1.9, 2, 9)]
    assert grid.clock.now_s() == 1.9


def test_data_that_do_not_arrive_by_the_horizon_are_not_charged() -> None:
    grid = virtual_grid(follow_target([1.0]), world("cloud").fleet, horizon_s=1.5)
    with pytest.raises(HorizonReached):
        world("cloud").begin(grid)
    assert grid.ledger.total("bytes_up") == 27


def test_the_cloud_is_one_fast_device_with_all_examples() -> None:
    cloud = world("cloud")
    (device,) = cloud.fleet.devices
    assert (device.step_time_s, device.step_jitter, device.service) == (0.05, 0.0, None)
    assert device.link.transfer_s(10**9, "up") == device.link.transfer_s(10**9, "down") == 0
    (inputs,), (labels,) = cloud.load().node_inputs, cloud.load().node_labels
    np.testing.assert_array_equal(inputs, [[1, 1], [1, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(labels, [0, 1, 0, 1])
    assert world("cloud", "strategy.step_time_s=0.3").fleet.devices[0].step_time_s == 0.3


def test_a_run_in_the_cloud_costs_its_data_once(tmp_path: Path) -> None:
    """1438 digits of 64 features, then rounds of 50 steps of 10 ms up to the horizon."""
    config = compose_config(["strategy=cloud", "num_nodes=4", "horizon_s=20", "num_evaluations=8"])
    summary = run_experiment(config, tmp_path)
    assert (summary.bytes_up, summary.bytes_down) == (1438 * (4 * 64 + 1), 0)
    fleet, _ = build_fleet(config)
    last_s = max(u.arrives_at_s for u in uploads(fleet, task_loader(config, fleet)()))
    assert 1 < last_s < 10
    assert summary.num_versions == int((20 - last_s) / (50 * 0.01) + 1e-9)
    assert summary.utilisation == pytest.approx((20 - last_s) / 20)
    assert read_run(tmp_path).ledger.traffic[:, 1].sum() == summary.bytes_up


def test_the_fleet_itself_is_the_default() -> None:
    real = world("deepedge")
    assert (real.fleet, real.load, real.uploads, real.charges_messages) == (FLEET, task, (), True)


def test_links_without_any_transfer_time_stay_so() -> None:
    instant = LinkSpec(uplink_bytes_per_s=float("inf"), downlink_bytes_per_s=float("inf"))
    fleet = Fleet(tuple(DeviceSpec(step_time_s=t, link=instant) for t in (1.0, 3.0)))
    link = ideal_fleet(fleet).devices[0].link
    assert (link.uplink_bytes_per_s, link.downlink_bytes_per_s) == (float("inf"),) * 2

"""Fleets: link times, families of step times, spread of links, ranks."""

import math
from typing import Any

import numpy as np
import pytest

from deepedge_flwr.simulation import (
    DeviceSpec,
    Fleet,
    LinkSpec,
    ServiceSpec,
    build_fleet,
    exponential,
    heavy_tail,
    log_normal,
    speed_classes,
)


def link(**changes: Any) -> LinkSpec:
    fields = {
        "uplink_bytes_per_s": 1000.0,
        "downlink_bytes_per_s": 4000.0,
        "uplink_latency_s": 0.5,
        "downlink_latency_s": 0.25,
        "jitter": 0.2,
    }
    return LinkSpec(**fields | changes)


def test_a_transfer_takes_latency_and_bandwidth() -> None:
    assert link().transfer_s(500, "up") == 1.0
    assert link().transfer_s(1000, "down") == 0.5
    assert link().transfer_s(0, "up") == 0.5


def test_noise_multiplies_a_transfer() -> None:
    assert link().transfer_s(500, "up", noise=1.5) == pytest.approx(math.exp(0.3))
    assert link(jitter=0.0).transfer_s(500, "up", noise=1.5) == 1.0


def test_a_slowed_link_scales_every_transfer() -> None:
    slow = link().slowed(4.0)
    assert slow.transfer_s(500, "up") == 4.0
    assert slow.transfer_s(1000, "down") == 2.0
    assert slow.jitter == 0.2


@pytest.mark.parametrize("name", ["uplink_bytes_per_s", "downlink_bytes_per_s"])
@pytest.mark.parametrize("value", [0.0, -5.0, math.nan])
def test_bandwidths_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"link {name} must be > 0, got {value}"):
        link(**{name: value})


@pytest.mark.parametrize("name", ["uplink_latency_s", "downlink_latency_s", "jitter"])
def test_latencies_must_not_be_negative(name: str) -> None:
    with pytest.raises(ValueError, match=rf"link {name} must be >= 0, got -0\.1"):
        link(**{name: -0.1})


def test_a_device_checks_its_step_time() -> None:
    with pytest.raises(ValueError, match="device step_time_s must be > 0, got 0"):
        DeviceSpec(step_time_s=0, link=link())
    with pytest.raises(ValueError, match=r"device step_jitter must be >= 0, got -0\.5"):
        DeviceSpec(step_time_s=1.0, link=link(), step_jitter=-0.5)


def test_a_fleet_has_at_least_one_device() -> None:
    with pytest.raises(ValueError, match="a fleet needs at least one device, got none"):
        Fleet(())


def test_speed_classes_are_geometric_and_fastest_first() -> None:
    factors = [1, 16 ** (1 / 3), 16 ** (2 / 3), 16]
    expected = [0.1 * f for f in factors for _ in range(2)]
    assert speed_classes(8, 0.1, 16) == pytest.approx(expected, rel=1e-14)


def test_speed_classes_of_a_fleet_that_does_not_divide() -> None:
    assert speed_classes(5, 1.0, 8, num_classes=4) == pytest.approx([1, 1, 2, 4, 8])
    assert speed_classes(3, 1.0, 9, num_classes=3) == pytest.approx([1, 3, 9])


def test_one_class_or_no_spread_is_an_equal_fleet() -> None:
    assert speed_classes(3, 0.5, 16, num_classes=1) == [0.5, 0.5, 0.5]
    assert speed_classes(3, 0.5, 1) == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("spread", "num_classes"), [(0.5, 4), (2.0, 0)])
def test_speed_classes_check_their_bounds(spread: float, num_classes: int) -> None:
    with pytest.raises(ValueError, match="need spread >= 1 and num_classes >= 1, got"):
        speed_classes(4, 0.1, spread, num_classes)


def test_heavy_tail_slows_the_last_devices() -> None:
    assert heavy_tail(10, 0.1, fraction=0.2, slowdown=16) == [0.1] * 8 + [1.6] * 2
    assert heavy_tail(3, 0.1, fraction=0.0) == [0.1] * 3
    assert heavy_tail(2, 0.5, fraction=1.0, slowdown=2) == [1.0, 1.0]


def test_heavy_tail_checks_its_fraction() -> None:
    with pytest.raises(ValueError, match=r"fraction must be in \[0, 1\], got 1\.5"):
        heavy_tail(4, 0.1, fraction=1.5)


def test_exponential_has_its_mean_and_spread_and_is_a_function_of_its_seed() -> None:
    step_times_s = np.array(exponential(4000, 0.1))
    assert step_times_s.mean() == pytest.approx(0.1, rel=0.05)
    assert step_times_s.std() == pytest.approx(0.1, rel=0.1)
    assert list(step_times_s) == sorted(step_times_s)
    assert exponential(5, 0.1, seed=1) == exponential(5, 0.1, seed=1) != exponential(5, 0.1, seed=2)


def test_log_normal_has_its_median_and_spread() -> None:
    step_times_s = np.array(log_normal(4000, 0.1, sigma=0.8))
    assert np.median(step_times_s) == pytest.approx(0.1, rel=0.1)
    assert np.std(np.log(step_times_s)) == pytest.approx(0.8, rel=0.05)
    assert np.all(np.diff(step_times_s) >= 0)


def test_log_normal_is_a_function_of_its_seed() -> None:
    assert log_normal(5, 0.1, 0.8, seed=1) == log_normal(5, 0.1, 0.8, seed=1)
    assert log_normal(5, 0.1, 0.8, seed=1) != log_normal(5, 0.1, 0.8, seed=2)
    assert log_normal(3, 0.25, sigma=0.0) == [0.25, 0.25, 0.25]


def test_every_family_needs_a_node() -> None:
    with pytest.raises(ValueError, match="num_nodes must be >= 1, got 0"):
        speed_classes(0, 0.1, 16)
    with pytest.raises(ValueError, match="num_nodes must be >= 1, got 0"):
        log_normal(0, 0.1, 0.8)
    with pytest.raises(ValueError, match="num_nodes must be >= 1, got 0"):
        heavy_tail(0, 0.1)


def test_speed_rank_is_zero_for_the_fastest_with_ties_by_index() -> None:
    fleet = build_fleet([0.4, 0.1, 0.4, 0.2], link())
    assert fleet.speed_rank == (2, 0, 3, 1)
    assert len(fleet) == 4


def test_a_fleet_without_link_spread_has_equal_links() -> None:
    service = ServiceSpec(period_s=0.1, latency_s=0.01, budget_s=0.02)
    fleet = build_fleet(
        [0.1, 0.2], link(), seed=7, step_jitter=0.3, link_spread=0.0, service=service
    )
    expected = [
        DeviceSpec(step_time_s=t, link=link(), step_jitter=0.3, service=service) for t in (0.1, 0.2)
    ]
    assert (list(fleet.devices), fleet.seed) == (expected, 7)


def test_link_spread_keeps_the_mean_link() -> None:
    fleet = build_fleet([0.1] * 4000, link(), link_spread=0.3)
    factors = np.array([device.link.transfer_s(500, "up") for device in fleet.devices])
    assert factors.mean() == pytest.approx(1.0, abs=0.02)
    assert np.std(np.log(factors)) == pytest.approx(0.3, rel=0.05)


def test_link_spread_is_a_function_of_the_seed() -> None:
    assert build_fleet([0.1] * 3, link(), seed=1) == build_fleet([0.1] * 3, link(), seed=1)
    assert (
        build_fleet([0.1] * 3, link(), seed=1).devices
        != build_fleet([0.1] * 3, link(), seed=2).devices
    )

"""What virtual time expects of a measured fleet."""

import pytest

from simulations.deployment.forecast import Device, forecast


def test_equal_devices_arrive_together() -> None:
    devices = [Device(f"device-{i}", step_time_s=0.1, overhead_s=1.0) for i in range(4)]
    expected = forecast(devices, 40, jitter=0.0)
    # Two of four make a version: every cycle of overhead and steps makes two.
    assert set(expected.arrivals.values()) == {20}
    assert 2 * expected.version_s == pytest.approx(1.0 + 0.1 * 6, rel=0.05)


def test_a_faster_device_arrives_more_often() -> None:
    devices = [Device("fast", 0.01, 1.0), Device("slow", 0.01, 3.0)]
    arrivals = forecast(devices, 40, jitter=0.0).arrivals
    assert arrivals["fast"] > 2 * arrivals["slow"]

"""The real device: time passes by itself, a pause is a sleep, the service is seen by a probe."""

import time

import pytest

from deepedge_flwr.client import LocalDevice
from deepedge_flwr.core.device import Device


def test_without_a_probe_no_request_is_seen() -> None:
    device: Device = LocalDevice()
    assert list(device.service_latencies_s()) == []


def test_the_probe_is_asked_once_a_look() -> None:
    seen = iter([[0.01, 0.02], [], [0.03]])
    device = LocalDevice(probe=lambda: next(seen))
    assert [list(device.service_latencies_s()) for _ in range(3)] == [[0.01, 0.02], [], [0.03]]


def test_a_pause_is_one_whole_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    # A pause may be longer than the polling interval of a clock; the gate counts on all of it.
    slept_s: list[float] = []
    monkeypatch.setattr(time, "sleep", slept_s.append)
    LocalDevice().pause(30.0)
    assert slept_s == [30.0]


def test_a_step_takes_no_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s: list[float] = []
    monkeypatch.setattr(time, "sleep", slept_s.append)
    device = LocalDevice()
    before_s = device.now_s()
    device.end_step()
    assert slept_s == []
    assert device.now_s() >= before_s

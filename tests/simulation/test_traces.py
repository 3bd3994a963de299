"""Fleets from traces, against hand-computed values of the tiny files in tests/data/traces."""

import json
import math
from pathlib import Path
from typing import TypeVar

import pytest

from deepedge_flwr.simulation import (
    Presence,
    Schedule,
    fedscale_links,
    fedscale_step_times_s,
    flash_links,
    flash_presences,
)
from deepedge_flwr.simulation.trace_file import draw_entries
from simulations.configuration import compose_config
from simulations.experiment import build_fleet

DATA = Path(__file__).parents[1] / "data/traces"
SPEED, STATE, CAPACITY = (
    DATA / name for name in ("flash_speed.json", "flash_state.json", "fedscale.csv")
)
HOUR = 3600.0
T = TypeVar("T")


def by_name(path: Path, values: list[T]) -> dict[str, T]:
    return {e.name: v for e, v in zip(draw_entries(path, 3, 0), values, strict=True)}


def test_flash_links_are_kilobytes_per_second_and_vary() -> None:
    links = by_name(SPEED, flash_links(SPEED, 3, latency_s=0.1, payload_factor=100.0))
    a = links["a"]
    assert (a.downlink_bytes_per_s, a.uplink_bytes_per_s) == (40_000, 20_000)
    assert (a.downlink_latency_s, a.uplink_latency_s) == (0.1, 0.1)
    assert a.jitter == pytest.approx(math.sqrt(math.log(1 + 0.4**2)))
    assert links["b"].jitter == 0.0
    assert links["c"].jitter == pytest.approx(math.sqrt(math.log(1 + 0.2**2)))


def test_a_flash_device_is_there_while_locked_charging_and_in_a_wifi() -> None:
    schedules = by_name(STATE, flash_presences(STATE, 3))
    # From 18:00 until midnight, every day.
    assert schedules["a"] == Presence(
        schedule=Schedule(online_s=((18 * HOUR, 24 * HOUR),), period_s=24 * HOUR)
    )
    # From 18:00 on the day before until 6:00, in a trace of 24 hours from noon to noon.
    assert schedules["b"] == Presence(
        schedule=Schedule(online_s=((0.0, 6 * HOUR), (18 * HOUR, 24 * HOUR)), period_s=24 * HOUR)
    )
    # A single event says nothing.
    assert schedules["c"] == Presence(schedule=Schedule(online_s=()))


def test_a_trace_may_be_sped_up() -> None:
    schedules = by_name(STATE, flash_presences(STATE, 3, speed_up=720.0))
    assert schedules["b"].schedule == Schedule(online_s=((0.0, 30.0), (90.0, 120.0)), period_s=120)
    with pytest.raises(ValueError, match="speed_up must be finite and > 0, got 0"):
        flash_presences(STATE, 3, speed_up=0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2020-01-02 00:00:00\tflying", r"lines 'time<TAB>event' of known events, got '2020.*flyi"),
        ("2020-01-02 00:00:00", "must be lines 'time<TAB>event'"),
        ("yesterday\twifi", r"must have times as '%Y-%m-%d %H:%M:%S', got 'yesterday\\twifi'"),
    ],
)
def test_a_malformed_trace_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"user 7": {"messages": f"2020-01-01 00:00:00\twifi\n{line}\n"}}))
    with pytest.raises(ValueError, match=rf"state\.json: entry 'user 7': messages .*{message}"):
        flash_presences(path, 1)


def test_a_malformed_speed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"u": {"down_u": 1, "down_sigma": 0, "up_u": "?", "up_sigma": 0}}))
    with pytest.raises(ValueError, match=r"speed\.json: entry 'u': up_u must be .* got '\?'"):
        flash_links(path, 1)


def test_fedscale_times_and_links_are_of_the_same_devices() -> None:
    times_s = fedscale_step_times_s(CAPACITY, 3, batch_size=10)
    # 3 x 10 samples x 10, 20 and 160 ms.
    assert by_name(CAPACITY, times_s) == pytest.approx({"1": 0.3, "2": 0.6, "3": 4.8})
    links = by_name(CAPACITY, fedscale_links(CAPACITY, 3, payload_factor=10.0, jitter=0.2))
    assert {name: link.uplink_bytes_per_s for name, link in links.items()} == {
        "1": 100_000, "2": 50_000, "3": 12_500
    }  # fmt: skip
    assert all(link.uplink_bytes_per_s == link.downlink_bytes_per_s for link in links.values())
    assert {link.jitter for link in links.values()} == {0.2}
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        fedscale_step_times_s(CAPACITY, 3, batch_size=0)


def test_a_fleet_is_built_from_each_trace() -> None:
    paths = [f"fleet.speed_path={SPEED}", f"fleet.state_path={STATE}"]
    flash, _ = build_fleet(compose_config(["fleet=trace_flash", *paths, "seed=2"]))
    presences = flash_presences(STATE, 30, speed_up=720.0, seed=2)
    assert [device.presence for device in flash.devices] == presences
    assert flash.notice_s == 5
    fedscale, _ = build_fleet(
        compose_config(["fleet=trace_fedscale", f"fleet.path={CAPACITY}", "seed=2"])
    )
    times_s = [device.step_time_s for device in fedscale.devices]
    assert times_s == fedscale_step_times_s(CAPACITY, 30, batch_size=10, seed=2)

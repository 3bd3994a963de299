"""The co-located service: contention in closed form, noise by request and not by interval."""

import math
from typing import Any

import numpy as np
import pytest

from deepedge_flwr.simulation import ServiceSpec
from deepedge_flwr.simulation.service import serve

SEED = (3, 1)


def spec(**changes: Any) -> ServiceSpec:
    fields = {"period_s": 0.125, "latency_s": 0.01, "budget_s": 0.02, "jitter": 0.2}
    return ServiceSpec(**fields | changes)


def test_contention_is_a_first_order_lag() -> None:
    service = spec(contention_s=2.0)
    assert service.contention(0.0, 2.0, training=True) == pytest.approx(1 - math.exp(-1))
    assert service.contention(0.5, 4.0, training=True) == pytest.approx(1 - 0.5 * math.exp(-2))
    assert service.contention(0.5, 2.0, training=False) == pytest.approx(0.5 * math.exp(-1))
    assert service.contention(0.25, 0.0, training=True) == 0.25


def test_latency_rises_with_contention_in_closed_form() -> None:
    service = spec(jitter=0.0, slowdown=3.0, contention_s=0.5)
    served = serve(service, SEED, 1.0, 5.0, contention=0.25, training=True)
    level = 1 - 0.75 * np.exp(-(served.times_s - 1.0) / 0.5)
    np.testing.assert_allclose(served.latencies_s, 0.01 * (1 + 2 * level), rtol=1e-14)
    assert served.contention == pytest.approx(1 - 0.75 * math.exp(-8))


def test_latency_falls_back_without_training() -> None:
    service = spec(jitter=0.0, slowdown=3.0, contention_s=0.5)
    served = serve(service, SEED, 0.0, 5.0, contention=0.8, training=False)
    level = 0.8 * np.exp(-served.times_s / 0.5)
    np.testing.assert_allclose(served.latencies_s, 0.01 * (1 + 2 * level), rtol=1e-14)


def test_an_idle_service_has_its_median_latency() -> None:
    served = serve(spec(jitter=0.0), SEED, 0.0, 4.0, contention=0.0, training=False)
    assert served.latencies_s.tolist() == [0.01] * 32


@pytest.mark.parametrize("node", range(5))
def test_one_request_per_period(node: int) -> None:
    served = serve(spec(), (0, node), 0.0, 16.0, 0.0, training=False)
    assert len(served.times_s) == 128
    assert 0 <= served.times_s[0] < 0.125
    np.testing.assert_allclose(np.diff(served.times_s), 0.125)


def test_devices_are_not_synchronised() -> None:
    first = {serve(spec(), (0, node), 0, 1, 0, training=False).times_s[0] for node in range(8)}
    assert len(first) == 8


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cuts", [[3.0], [0.1, 0.2, 5.0], [2.5, 2.5, 9.999]])
def test_cutting_an_interval_changes_nothing(cuts: list[float], training: bool) -> None:
    whole = serve(spec(), SEED, 0.0, 10.0, 0.3, training)
    times_s, latencies_s, contention = list[float](), list[float](), 0.3
    for start_s, end_s in zip([0.0, *cuts], [*cuts, 10.0], strict=True):
        part = serve(spec(), SEED, start_s, end_s, contention, training)
        times_s += part.times_s.tolist()
        latencies_s += part.latencies_s.tolist()
        contention = part.contention
    assert times_s == whole.times_s.tolist()
    np.testing.assert_allclose(latencies_s, whole.latencies_s, rtol=1e-13)
    assert contention == pytest.approx(whole.contention, rel=1e-12)


def test_cutting_an_idle_interval_is_exact() -> None:
    whole = serve(spec(), SEED, 0.0, 10.0, 0.0, training=False)
    parts = [serve(spec(), SEED, a, b, 0.0, training=False) for a, b in [(0.0, 3.0), (3.0, 10.0)]]
    joined = np.concatenate([part.latencies_s for part in parts])
    assert joined.tolist() == whole.latencies_s.tolist()


def test_noise_belongs_to_the_request_not_to_the_load() -> None:
    service = spec(slowdown=1.0)
    idle = serve(service, SEED, 0.0, 10.0, 0.0, training=False)
    busy = serve(service, SEED, 0.0, 10.0, 1.0, training=True)
    assert idle.latencies_s.tolist() == busy.latencies_s.tolist()
    assert np.std(np.log(idle.latencies_s)) == pytest.approx(0.2, rel=0.3)


def test_noise_is_seeded_by_run_and_node() -> None:
    def latencies(seed: tuple[int, int]) -> list[float]:
        served = serve(spec(), seed, 0.0, 2.0, 0.0, training=False)
        return [float(latency_s) for latency_s in served.latencies_s]

    assert latencies((0, 0)) == latencies((0, 0))
    assert latencies((0, 0)) != latencies((0, 1))
    assert latencies((0, 0)) != latencies((1, 0))


def test_noise_goes_on_across_its_blocks() -> None:
    whole = serve(spec(), SEED, 0.0, 400.0, 0.0, training=False)
    late = serve(spec(), SEED, 200.0, 400.0, 0.0, training=False)
    assert len(whole.latencies_s) == 3200
    assert whole.latencies_s[-len(late.latencies_s) :].tolist() == late.latencies_s.tolist()
    assert len(set(whole.latencies_s.tolist())) == 3200


def test_an_interval_shorter_than_the_period_may_be_empty() -> None:
    served = serve(spec(), SEED, 1.0, 1.0, 0.5, training=True)
    assert (len(served.times_s), len(served.latencies_s), served.contention) == (0, 0, 0.5)


@pytest.mark.parametrize("name", ["period_s", "latency_s", "budget_s", "contention_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_times_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"service {name} must be > 0, got {value}"):
        spec(**{name: value})


@pytest.mark.parametrize("changes", [{"slowdown": 0.5}, {"jitter": -0.1}])
def test_slowdown_and_jitter_have_bounds(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="service needs slowdown >= 1 and jitter >= 0"):
        spec(**changes)


def test_requests_that_collide_with_training_wait_and_no_others() -> None:
    service = spec(jitter=0.0, slowdown=1.0, collision=0.25, wait_s=0.5)
    calm = serve(service, SEED, 0.0, 1000.0, 0.0, training=False)
    assert calm.latencies_s.tolist() == [0.01] * 8000
    busy = serve(service, SEED, 0.0, 1000.0, 0.0, training=True)
    assert set(busy.latencies_s.tolist()) == {0.01, 0.51}
    # Within four standard deviations of a binomial share.
    assert abs(np.mean(busy.latencies_s > 0.01) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 8000)


def test_a_wait_belongs_to_its_request_and_not_to_the_interval() -> None:
    service = spec(collision=0.5, wait_s=0.5)
    whole = serve(service, SEED, 0.0, 8.0, 0.0, training=True)
    parts = [serve(service, SEED, t, t + 2.0, 0.0, training=True) for t in (0.0, 2.0, 4.0, 6.0)]
    waits = np.concatenate([part.latencies_s for part in parts])
    assert np.count_nonzero(whole.latencies_s > 0.1) == np.count_nonzero(waits > 0.1) > 0


def test_requests_collide_more_often_while_a_computation_begins() -> None:
    service = spec(collision=0.0, first_collision=1.0, settle_s=1.0, wait_s=0.5)

    def waits(start_s: float, trained_s: float) -> list[bool]:
        served = serve(service, SEED, start_s, start_s + 2.0, 0.0, True, trained_s)
        is_first = served.times_s - start_s + trained_s < 1.0
        assert list(served.latencies_s > 0.1) == list(is_first)
        return list(is_first)

    assert 0 < sum(waits(0.0, 0.0)) < len(waits(0.0, 0.0))
    # The computation goes on: only what is left of its first second counts.
    assert 0 < sum(waits(10.0, 0.5)) < sum(waits(10.0, 0.0))
    assert not any(waits(20.0, 1.0))


def test_nothing_collides_with_a_device_that_rests() -> None:
    service = spec(collision=1.0, first_collision=1.0, settle_s=1.0, wait_s=0.5)
    assert max(serve(service, SEED, 0.0, 2.0, 0.0, training=False).latencies_s) < 0.1


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"collision": 1.5}, r"collision must be in \[0, 1\], got 1.5"),
        ({"first_collision": -0.1}, r"first_collision must be in \[0, 1\], got -0.1"),
        ({"wait_s": -1.0}, r"wait_s must be >= 0, got -1.0"),
        ({"settle_s": -1.0}, r"settle_s must be >= 0, got -1.0"),
    ],
)
def test_a_collision_is_a_probability_and_a_wait_is_not_negative(
    changes: dict[str, float], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        spec(**changes)

"""Distributions fitted to measured devices."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from deepedge_flwr.simulation import phones, relative_speeds, wifi_links
from deepedge_flwr.simulation.measured import (
    PHONE_SCORES,
    WIFI_DOWN_KB_PER_S,
    WIFI_UP_KB_PER_S,
    fit_log_sigma,
    log_sigma,
)


def test_quantiles_of_a_log_normal_give_back_its_sigma() -> None:
    orders = (0.05, 0.25, 0.5, 0.9)
    exact = {p: 7.0 * math.exp(1.3 * NormalDist().inv_cdf(p)) for p in orders}
    assert fit_log_sigma(exact) == pytest.approx(1.3)


def test_the_fits_to_the_published_quantiles() -> None:
    assert fit_log_sigma(PHONE_SCORES) == pytest.approx(1.295, abs=0.001)
    assert fit_log_sigma(WIFI_DOWN_KB_PER_S) == pytest.approx(0.513, abs=0.001)
    assert fit_log_sigma(WIFI_UP_KB_PER_S) == pytest.approx(0.705, abs=0.001)
    # The fit meets every published score within a factor of 1.5.
    for order, score in PHONE_SCORES.items():
        fitted = 4638.0 * math.exp(1.295 * NormalDist().inv_cdf(order))
        assert 1 / 1.5 < fitted / score < 1.5


@pytest.mark.parametrize("quantiles", [{0.5: 1.0}, {0.0: 1.0, 0.5: 2.0}, {0.1: -1.0, 0.5: 2.0}])
def test_a_fit_needs_two_quantiles(quantiles: dict[float, float]) -> None:
    with pytest.raises(ValueError, match="at least two values > 0 by order"):
        fit_log_sigma(quantiles)


def test_phones_spread_as_the_scores_do() -> None:
    times_s = phones(20_000, step_time_s=0.2, seed=3)
    assert times_s == sorted(times_s) == phones(20_000, 0.2, seed=3)
    assert np.median(times_s) == pytest.approx(0.2, rel=0.05)
    assert np.std(np.log(times_s)) == pytest.approx(1.295, rel=0.02)


def test_wifi_links_have_the_measured_medians_and_spreads() -> None:
    links = wifi_links(20_000, latency_s=0.1, payload_factor=10.0, seed=3)
    down = np.log([link.downlink_bytes_per_s for link in links])
    up = np.log([link.uplink_bytes_per_s for link in links])
    assert np.exp(np.median(down)) == pytest.approx(431_800, rel=0.02)
    assert np.exp(np.median(up)) == pytest.approx(328_600, rel=0.02)
    assert (np.std(down), np.std(up)) == pytest.approx((0.513, 0.705), rel=0.02)
    assert abs(np.corrcoef(down, up)[0, 1]) < 0.03
    assert {link.jitter for link in links} == {log_sigma(0.4)}
    assert {link.uplink_latency_s for link in links} == {0.1}
    assert links[:3] == wifi_links(3, latency_s=0.1, payload_factor=10.0, seed=3)


def test_the_variation_of_a_log_normal() -> None:
    sigma = log_sigma(0.4)
    assert math.sqrt(math.exp(sigma**2) - 1) == pytest.approx(0.4)


def test_kinds_of_devices_are_equally_many_in_order() -> None:
    times_s = relative_speeds(6, 0.1, [1, 1.81, 11.6])
    assert times_s == pytest.approx([0.1, 0.1, 0.181, 0.181, 1.16, 1.16])
    assert relative_speeds(4, 1.0, [1, 2, 3]) == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("num_nodes", "step_time_s", "times"), [(0, 1, [1]), (1, 0, [1]), (1, 1, []), (1, 1, [0])]
)
def test_kinds_out_of_range_are_refused(
    num_nodes: int, step_time_s: float, times: list[float]
) -> None:
    with pytest.raises(ValueError, match="relative_times > 0, got"):
        relative_speeds(num_nodes, step_time_s, times)
    with pytest.raises(ValueError, match="payload_factor must be > 0, got 0"):
        wifi_links(1, payload_factor=0)

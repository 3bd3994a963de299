"""The share of late requests beside training, in closed form, and who is left alone for it."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepedge_flwr.core.interference import Interference, Services
from deepedge_flwr.core.types import Telemetry

ALLOWED = 0.01


def report(late: int, requests: int, trouble: str = "", **more: Any) -> Telemetry:
    return Telemetry(
        num_steps=4,
        busy_s=1.0,
        num_requests=requests,
        num_violations=late,
        trouble=trouble,
        yielded=bool(trouble),
        **more,
    )


@pytest.mark.parametrize("allowed", [0.01, 0.001, 0.1])
def test_before_any_report_what_is_allowed_is_expected(allowed: float) -> None:
    prior = Interference(allowed=allowed)
    assert prior.share == pytest.approx(allowed)
    assert prior.share_sd == pytest.approx(math.sqrt(allowed * (1 - allowed) / 51), rel=1e-12)
    assert prior.keeps
    assert prior.expected_violations(10) == (0.0, 0.0)


def test_a_report_moves_the_share_by_fifty_requests_at_most() -> None:
    few = Interference().observed(report(late=2, requests=10))
    assert few.share == pytest.approx(2.5 / 60, rel=1e-12)
    many = Interference().observed(report(late=200, requests=1000))
    assert many.share == pytest.approx(10.5 / 100, rel=1e-12)
    assert many.requests_per_step == 250.0


def test_what_is_old_is_forgotten() -> None:
    estimate = Interference(late=40.0, in_time=60.0)
    for _ in range(10):
        estimate = estimate.observed(report(late=0, requests=0))
    assert (estimate.late, estimate.in_time) == pytest.approx((40 * 0.93**10, 60 * 0.93**10))
    assert pytest.approx(0.5, abs=0.02) == 0.93**10


def test_the_next_job_s_violations_are_predicted_with_their_deviation() -> None:
    estimate = Interference(late=9.5, in_time=40.5, requests_per_step=5.0)
    expected, deviation = estimate.expected_violations(20)
    assert expected == pytest.approx(10.0)
    share_variance = 0.1 * 0.9 / 101
    assert deviation == pytest.approx(math.sqrt(100 * 0.09 + 100**2 * share_variance), rel=1e-12)


@given(st.floats(0.0, 0.4), st.integers(5, 60))
def test_the_estimate_tends_to_the_share_there_is(share: float, reports: int) -> None:
    estimate = Interference()
    for _ in range(reports):
        estimate = estimate.observed(report(late=round(1000 * share), requests=1000))
    # Five reports are 219 requests, against 50 that were believed before.
    assert abs(estimate.share - share) <= 0.19 * abs(0.01 - share) + 0.001
    if share > 0.05:
        assert not estimate.keeps


@pytest.mark.parametrize(("allowed", "share"), [(0.01, 0.022), (0.001, 0.007), (0.1, 0.14)])
def test_a_device_that_is_late_twice_as_often_as_allowed_is_found_out(
    allowed: float, share: float
) -> None:
    estimate = Interference(allowed=allowed)
    for _ in range(60):
        estimate = estimate.observed(report(late=round(1000 * share), requests=1000))
    assert not estimate.keeps


def test_a_node_is_left_alone_for_longer_every_time_and_believed_again_when_it_is_good() -> None:
    services, trouble = Services(ALLOWED), report(late=0, requests=5, trouble="no probe")
    waits = [services.deferral(1, trouble)[0] for _ in range(8)]
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0]
    assert services.deferral(1, report(late=0, requests=100)) == (0.0, "")
    assert services.deferral(1, trouble) == (10.0, "no probe")


def test_a_device_that_cannot_keep_its_budget_is_left_alone_and_one_good_job_clears_it() -> None:
    services, bad = Services(ALLOWED), report(late=300, requests=1000)
    assert services.deferral(1, bad)[0] == 10.0
    back_off_s, reason = services.deferral(1, bad)
    assert back_off_s == 20.0
    assert reason.endswith("of its service's requests are expected to be late, 0.01 of them may be")
    assert services.deferral(1, report(late=0, requests=1000)) == (0.0, "")


def test_a_device_within_its_budget_is_never_left_alone() -> None:
    services = Services(ALLOWED)
    for _ in range(200):
        assert services.deferral(1, report(late=1, requests=100)) == (0.0, "")


def test_a_device_is_judged_by_its_own_quantile() -> None:
    services = Services(ALLOWED)
    for _ in range(100):
        told = report(late=50, requests=1000, latency_quantile=0.9)
        assert services.deferral(1, told) == (0.0, "")
    waits = [services.deferral(2, report(late=50, requests=1000))[0] for _ in range(100)]
    assert 10.0 in waits


def test_a_device_without_a_service_is_not_remembered() -> None:
    services = Services(ALLOWED)
    assert services.deferral(1, report(late=0, requests=0)) == (0.0, "")
    assert services.state() == {"_of": {}}


def test_trouble_of_a_device_that_did_not_end_early_is_its_owner_s_choice() -> None:
    told = replace(report(late=0, requests=5, trouble="no probe"), yielded=False)
    assert Services(ALLOWED).deferral(1, told) == (0.0, "")


def test_a_device_keeps_its_record_under_another_node_id() -> None:
    services = Services(ALLOWED)
    services.deferral(1, report(late=0, requests=5, trouble="no probe"))
    services.rename(1, 2)
    assert services.of(2).num_deferrals == 1
    assert services.of(1) == Interference()

"""The share of late requests beside training, in closed form, and who is left alone for it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepedge_flwr.core.interference import Interference, Services
from deepedge_flwr.core.types import Telemetry

ALLOWED = 0.01


def report(late: int, requests: int, num_steps: int = 4, trouble: str = "") -> Telemetry:
    return Telemetry(
        num_steps=num_steps,
        busy_s=1.0,
        num_requests=requests,
        num_violations=late,
        trouble=trouble,
    )


def test_before_any_report_one_in_a_hundred_is_expected() -> None:
    prior = Interference()
    assert prior.share == 0.01
    assert prior.share_sd == pytest.approx(math.sqrt(0.01 * 0.99 / 51), rel=1e-12)
    assert prior.keeps(ALLOWED)
    assert prior.expected_violations(10) == (0.0, 0.0)


def test_a_report_moves_the_share_by_twenty_requests_at_most() -> None:
    few = Interference().observed(report(late=2, requests=10))
    assert (few.late, few.in_time) == pytest.approx((2.5, 57.5), rel=1e-12)
    many = Interference().observed(report(late=200, requests=1000))
    assert (many.late, many.in_time) == pytest.approx((4.5, 65.5), rel=1e-12)
    assert many.requests_per_step == 250.0


def test_what_is_old_is_forgotten() -> None:
    estimate = Interference(late=40.0, in_time=60.0)
    for _ in range(400):
        estimate = estimate.observed(report(late=0, requests=0))
    assert (estimate.late, estimate.in_time) == pytest.approx((0.5, 49.5), rel=1e-9)


def test_the_next_job_s_violations_are_predicted_with_their_deviation() -> None:
    estimate = Interference(late=10.0, in_time=90.0, requests_per_step=5.0)
    expected, deviation = estimate.expected_violations(20)
    assert expected == pytest.approx(10.0)
    share_variance = 0.1 * 0.9 / 101
    assert deviation == pytest.approx(math.sqrt(100 * 0.09 + 100**2 * share_variance), rel=1e-12)


@given(st.floats(0.0, 0.4), st.integers(5, 60))
def test_the_estimate_tends_to_the_share_there_is(share: float, reports: int) -> None:
    estimate = Interference()
    for _ in range(reports):
        estimate = estimate.observed(report(late=round(1000 * share), requests=1000))
    # Of what is remembered, at most a half is what was believed before.
    assert abs(estimate.share - share) <= 0.5 * abs(0.01 - share) + 0.001
    if share > 0.1:
        assert not estimate.keeps(ALLOWED)


def test_a_node_is_left_alone_for_longer_every_time_and_believed_again_when_it_is_good() -> None:
    services, trouble = Services(ALLOWED), report(late=0, requests=5, trouble="no probe")
    waits = [services.deferral(1, trouble, planned=9)[0] for _ in range(8)]
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0]
    assert services.deferral(1, report(late=0, requests=100, num_steps=9), planned=9) == (0.0, "")
    assert services.deferral(1, trouble, planned=9) == (10.0, "no probe")


def test_a_device_that_cannot_keep_its_budget_is_left_alone_and_then_tried_again() -> None:
    services = Services(ALLOWED)
    bad = report(late=300, requests=1000)
    waits: list[float] = []
    while not waits or not waits[-1]:
        waits.append(services.deferral(1, bad, planned=4)[0])
    assert waits == [10.0]  # three in ten of twenty are enough
    _, reason = services.deferral(1, bad, planned=4)
    assert "of its service's requests are expected to be late, 1.0% may be" in reason
    good = report(late=0, requests=1000)
    outcomes = [services.deferral(1, good, planned=4)[0] for _ in range(3)]
    assert outcomes[-1] == 0.0


def test_a_device_within_its_budget_is_never_left_alone() -> None:
    services = Services(ALLOWED)
    for _ in range(200):
        assert services.deferral(1, report(late=1, requests=100), planned=4) == (0.0, "")


def test_a_device_without_a_service_is_not_remembered() -> None:
    services = Services(ALLOWED)
    assert services.deferral(1, report(late=0, requests=0), planned=9) == (0.0, "")
    assert services.state() == {"_of": {}}


def test_trouble_of_a_device_that_did_all_its_steps_is_its_owner_s_choice() -> None:
    told = report(late=0, requests=5, num_steps=4, trouble="no probe")
    assert Services(ALLOWED).deferral(1, told, planned=4) == (0.0, "")


def test_a_device_keeps_its_record_under_another_node_id() -> None:
    services = Services(ALLOWED)
    services.deferral(1, report(late=0, requests=5, trouble="no probe"), planned=9)
    services.rename(1, 2)
    assert services.of(2).num_deferrals == 1
    assert services.of(1) == Interference()

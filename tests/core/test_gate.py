"""The control law of the latency gate, on latencies that make the estimate exact."""

import math

import numpy as np
import pytest

from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.types import GateDecision, TrainPlan

GO = GateDecision()
#: Enough repetitions of one latency for the running spread to die out (0.95^1000 < 1e-22).
LONG = 1300


def settle(gate: Gate, latency_s: float) -> None:
    gate.observe([latency_s] * LONG)
    assert gate.quantile_s == pytest.approx(latency_s, rel=1e-9)


def test_a_constant_latency_is_its_own_percentile() -> None:
    gate = Gate(1.0)
    gate.observe([0.25])
    assert gate.quantile_s == pytest.approx(0.25, rel=1e-15)


def test_the_estimate_is_the_log_normal_of_running_mean_and_variance() -> None:
    gate = Gate(10.0)
    step = math.exp(0.2)  # less than what counts at most
    gate.observe([1.0, step])
    # m = 0 + 0.3 * 0.2, s^2 = 0 + 0.05 * 0.2^2
    assert gate.quantile_s == pytest.approx(math.exp(0.06 + 2.326 * math.sqrt(0.002)), rel=1e-14)
    gate.observe([1.0])
    mean, variance = 0.06 * 0.7, 0.002 + 0.05 * (0.06**2 - 0.002)
    assert gate.quantile_s == pytest.approx(math.exp(mean + 2.326 * math.sqrt(variance)), rel=1e-14)


def test_a_batch_of_latencies_is_the_same_as_one_after_the_other() -> None:
    together, apart = Gate(1.0), Gate(1.0)
    together.observe([0.1, 0.4, 0.2])
    for latency_s in (0.1, 0.4, 0.2):
        apart.observe([latency_s])
    assert together.quantile_s == apart.quantile_s


@pytest.mark.parametrize(
    ("latency_s", "decision"),
    [(1.49, GO), (1.51, GateDecision(pause_s=2.0)), (9.0, GateDecision(pause_s=2.0))],
)
def test_training_pauses_when_the_service_comes_near_its_budget(
    latency_s: float, decision: GateDecision
) -> None:
    gate = Gate(2.0, high=0.75, low=0.5, pause_s=2.0)
    gate.observe([latency_s])
    assert gate.decide() == decision


def test_a_paused_run_waits_until_the_latency_is_well_below_the_budget() -> None:
    gate = Gate(1.0, high=2.0, low=1.0, pause_s=0.25, max_pause_s=1e9)
    settle(gate, 1.5)
    assert gate.decide() == GO
    settle(gate, 3.0)
    assert gate.decide() == GateDecision(pause_s=0.25)
    settle(gate, 1.5)  # below high, above low: what proceeded before now goes on pausing
    assert gate.decide() == GateDecision(pause_s=0.25)
    settle(gate, 0.5)
    assert gate.decide() == GO


def pauses_beside(gate: Gate, latency_s: float, per_pause: int = 20) -> list[GateDecision]:
    """Decide, beside a service that answers so many requests a pause, until that is no pause."""
    decisions = []
    for _ in range(10_000):
        decisions.append(gate.decide())
        if decisions[-1].stop or decisions[-1] == GO:
            return decisions
        gate.observe([latency_s] * per_pause, elapsed_s=decisions[-1].pause_s)
    raise AssertionError("the gate pauses for ever")


def test_the_job_ends_when_one_pause_has_lasted_too_long() -> None:
    gate = Gate(1.0, pause_s=0.5, max_pause_s=1.5)
    gate.observe([2.0])
    *pauses, last = pauses_beside(gate, 2.0)
    assert pauses == [GateDecision(pause_s=0.5)] * 3
    assert last.stop
    assert last.reason == (
        "the service does not keep its budget of 1 s while training pauses: 2 s after 1.5 s"
    )


def test_it_takes_twenty_requests_to_say_that_pausing_does_not_help() -> None:
    gate = Gate(1.0, pause_s=0.5, max_pause_s=1.5)
    gate.observe([2.0])
    *pauses, last = pauses_beside(gate, 2.0, per_pause=3)
    assert (len(pauses), last.stop) == (7, True)


def in_debt(gate: Gate, num_late: int) -> None:
    """Let the next step make so many requests late, after enough good ones for two in hand."""
    settle(gate, 0.01)
    assert gate.decide() == GO
    gate.observe([0.021] * num_late)


def test_a_debt_that_a_long_pause_does_not_pay_ends_the_job() -> None:
    gate = Gate(0.02, pause_s=0.5, max_pause_s=2.0)
    in_debt(gate, 4)
    *pauses, last = pauses_beside(gate, 0.01, per_pause=10)
    assert (len(pauses), last.stop) == (4, True)
    assert last.reason.startswith(
        "more than 0.01 of the requests would be late beside training: 1.56 too many after 2 s"
    )


def test_the_next_job_begins_without_the_debt_of_the_last() -> None:
    first, second = Gate(0.02), Gate(0.02)
    in_debt(first, 4)
    assert credit_of(first) == pytest.approx(-1.96)
    second.remember(first.memory)
    assert credit_of(second) == 0.0


def test_a_pause_for_a_debt_has_the_threshold_of_training() -> None:
    gate = Gate(0.02, high=1.5, low=0.5)
    settle(gate, 0.015)  # between the two
    assert gate.decide() == GO
    gate.observe([0.021, 0.021, 0.021])
    *pauses, last = pauses_beside(gate, 0.015, per_pause=1)
    assert last == GO
    assert 90 <= len(pauses) <= 100  # 0.97 is owed


def test_a_request_that_began_beside_training_is_charged_though_it_ends_in_the_pause() -> None:
    gate = Gate(0.02, pause_s=0.05)
    in_debt(gate, 3)
    assert gate.decide() == GateDecision(pause_s=0.05)
    gate.observe([0.021])  # ended in the first pause
    assert credit_of(gate) == pytest.approx(2 - 4 + 0.04)
    assert gate.decide() == GateDecision(pause_s=0.05)
    gate.observe([0.049, 0.051])  # in the second: the one began in the pause, the other before
    assert credit_of(gate) == pytest.approx(2 - 5 + 0.06)
    assert gate.memory[3] == pytest.approx(0.01 * 0.998)


def test_what_was_late_without_training_is_forgotten_beside_it() -> None:
    gate = Gate(0.02)
    gate.remember([math.log(0.01), 0.0, 2.0, 0.5])
    assert gate.decide() == GO
    gate.observe([0.01] * 1000)
    assert gate.memory[3] == pytest.approx(0.5 * 0.998**1000)


def test_a_service_that_was_idle_finds_a_new_gate() -> None:
    gate = Gate(0.02, pause_s=0.1)
    in_debt(gate, 4)
    assert gate.decide() == GateDecision(pause_s=0.1)
    gate.observe([], elapsed_s=1e9)
    assert gate.decide() == GO
    gate.observe([0.021])
    assert credit_of(gate) == pytest.approx(2 - 1 + 0.01)


def test_where_no_request_comes_any_more_there_is_nothing_to_pause_for() -> None:
    gate = Gate(1.0, pause_s=0.5, max_pause_s=5.0)
    gate.observe([2.0] * 50)
    *pauses, last = pauses_beside(gate, 2.0, per_pause=0)
    assert pauses == [GateDecision(pause_s=0.5)] * 10
    assert last == GO
    gate.observe([2.0])
    assert gate.decide() == GateDecision(pause_s=0.5)


def test_a_service_is_idle_after_twenty_times_its_usual_gap() -> None:
    gate = Gate(1.0, pause_s=0.5, max_pause_s=1e9)
    gate.observe([2.0] * 4, elapsed_s=2.0)  # one request in 0.5 s
    num_pauses = 0
    while gate.decide() != GO:
        num_pauses += 1
        gate.observe([], elapsed_s=0.5)
    assert num_pauses == 21  # over 10 s
    slow = Gate(1.0, pause_s=0.5, max_pause_s=1e9)
    slow.observe([2.0], elapsed_s=1e6)
    for _ in range(100):
        assert slow.decide() != GO
        slow.observe([], elapsed_s=0.5)


def test_one_hiccup_pauses_nothing_whatever_its_length() -> None:
    gate = Gate(0.02)
    settle(gate, 0.01)
    gate.observe([1000.0])
    expected_s = 0.01 * math.exp(0.3 * 0.25 + 2.326 * math.sqrt(0.05 * 0.25**2))
    assert gate.quantile_s == pytest.approx(expected_s, rel=1e-6)
    assert gate.decide() == GO


def test_a_wider_spread_lets_a_latency_move_it_further() -> None:
    gate = Gate(1.0)
    gate.remember([math.log(0.01), 0.04, 2.0, 0.0])
    gate.observe([1000.0])
    variance = 0.04 + 0.05 * (0.6**2 - 0.04)  # three standard deviations of 0.2
    expected_s = 0.01 * math.exp(0.3 * 0.6 + 2.326 * math.sqrt(variance))
    assert gate.quantile_s == pytest.approx(expected_s, rel=1e-12)


def credit_of(gate: Gate) -> float:
    return gate.memory[2]


def test_the_third_late_request_of_a_hundred_pauses_until_it_is_earned() -> None:
    gate = Gate(0.02)
    settle(gate, 0.01)
    assert gate.decide() == GO
    for late, decision in ((1, GO), (2, GO), (3, GateDecision(pause_s=0.04))):
        gate.observe([0.021, *[0.01] * 9])
        assert gate.decide() == decision
        assert credit_of(gate) == pytest.approx(2 - late + 0.1 * late, abs=1e-9)
    *pauses, last = pauses_beside(gate, 0.01, per_pause=1)
    assert len(pauses) in (70, 71)  # 0.7 is owed, and 0.01 earned with every request
    assert last == GO


def test_in_the_long_run_no_more_are_late_beside_training_than_the_quantile_allows() -> None:
    gate = Gate(0.02, quantile=0.95)
    settle(gate, 0.01)
    num_late, num_requests = 0, 0
    for k in range(20_000):
        trains = gate.decide() == GO
        is_late = trains and k % 3 == 0
        num_late, num_requests = num_late + is_late, num_requests + 1
        gate.observe([0.021 if is_late else 0.01])
    assert 0.045 < num_late / num_requests <= 0.05 + 3 / 20_000


def test_training_is_not_to_blame_for_what_is_late_without_it() -> None:
    """One in thirty requests is late, whether training runs or not."""
    gate = Gate(0.02)
    settle(gate, 0.01)
    is_late = np.random.default_rng(1).random(12_000) < 1 / 30
    num_go = 0
    for late in is_late:
        num_go += gate.decide() == GO
        gate.observe([0.021 if late else 0.01])
    assert num_go > 0.55 * 12_000  # were it to blame, it would be a third
    assert 0.01 < gate.memory[3] < 0.06


def test_a_burst_owes_ten_late_requests_at_most() -> None:
    gate = Gate(0.02)
    settle(gate, 0.01)
    gate.observe([0.5] * 50)
    assert credit_of(gate) == 2.0  # nobody has trained yet
    settle(gate, 0.01)
    assert gate.decide() == GO
    gate.observe([0.5] * 50)
    assert credit_of(gate) == -10.0


def test_the_longest_pause_counts_from_the_last_step() -> None:
    gate = Gate(1.0, high=2.0, low=1.0, pause_s=1.0, max_pause_s=2.0)
    for _ in range(3):
        settle(gate, 3.0)
        assert gate.decide() == GateDecision(pause_s=1.0)
        settle(gate, 0.5)
        assert gate.decide() == GO


def test_pauses_are_measured_in_budgets() -> None:
    # The defaults are tuned by experiment; that they scale with the budget is the contract.
    short, long = Gate(0.25), Gate(1.0)
    short.observe([4.0])
    long.observe([4.0])
    assert 4 * short.decide().pause_s == long.decide().pause_s > 0
    assert len(pauses_beside(short, 4.0)) == len(pauses_beside(long, 4.0)) > 100


@pytest.mark.parametrize(("quantile", "z"), [(0.5, 0.0), (0.95, 1.645), (0.999, 3.09)])
def test_any_quantile_can_be_held(quantile: float, z: float) -> None:
    gate = Gate(1.0, quantile=quantile)
    gate.observe([1.0, math.exp(0.2)])
    assert gate.quantile_s == pytest.approx(math.exp(0.06 + z * math.sqrt(0.002)), rel=1e-14)
    with pytest.raises(ValueError, match=r"quantile must be in \[0.5, 1\), got 1"):
        Gate(1.0, quantile=1.0)


def test_the_next_gate_knows_what_the_last_one_knew() -> None:
    first, second = Gate(1.0), Gate(1.0)
    assert first.memory == []
    second.remember(first.memory)
    assert second.decide() == GO
    first.observe([2.0, 4.0])
    second.remember(first.memory)
    assert second.quantile_s == first.quantile_s
    assert second.decide() == first.decide() != GO


@pytest.mark.parametrize(
    "memory",
    [
        [1.0],
        [1.0, 1.0],
        [1.0, -1.0, 0.0, 0.0],
        [math.nan, 1.0, 0.0, 0.0],
        [1.0, 1.0, 2.1, 0.0],
        [1.0, 1.0, -10.1, 0.0],
        [1.0, 1.0, 0.0, 1.5],
    ],
)
def test_a_memory_that_no_gate_has_is_left_out(memory: list[float]) -> None:
    gate = Gate(1.0)
    gate.remember(memory)
    assert gate.memory == []


def test_no_request_is_no_news() -> None:
    gate = Gate(1.0, pause_s=1.0)
    gate.observe([])
    assert (gate.quantile_s, gate.decide()) == (0.0, GO)
    gate.observe([3.0])
    before_s = gate.quantile_s
    gate.observe([])
    assert gate.quantile_s == before_s
    assert gate.decide() == GateDecision(pause_s=1.0)


@pytest.mark.parametrize("latency_s", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_latency_is_ignored(latency_s: float) -> None:
    gate = Gate(1.0)
    gate.observe([0.5, latency_s])
    assert gate.quantile_s == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["pause_s", "max_pause_s"])
def test_a_pause_takes_time(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be > 0 or None, got 0"):
        Gate(1.0, **{name: 0.0})


def test_a_plan_without_a_budget_asks_for_no_gate() -> None:
    assert Gate.for_plan(TrainPlan(num_steps=1)) is None
    gate = Gate.for_plan(TrainPlan(num_steps=1, latency_budget_s=0.02))
    assert gate is not None
    assert gate.budget_s == 0.02


@pytest.mark.parametrize("budget_s", [0.0, -1.0, float("nan")])
def test_a_budget_is_positive(budget_s: float) -> None:
    with pytest.raises(ValueError, match=f"budget_s must be > 0, got {budget_s}"):
        Gate(budget_s)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.9, 0.8), (float("nan"), 1.0)])
def test_hysteresis_has_a_lower_and_an_upper_end(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"0 < low <= high, got low {low} and high {high}"):
        Gate(1.0, high=high, low=low)

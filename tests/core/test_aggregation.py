"""Weights in closed form, and the buffer against the mean it stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepedge_flwr.core.aggregation import (
    NormBound,
    UpdateBuffer,
    mix,
    participation_weight,
    step_weight,
)

PERIODS_S = [1.0, 2.0, 4.0, 16.0]
HORIZON_S = 160.0


def total_weights(exponent: float) -> list[float]:
    """Sum what each node's updates weigh when it replies every `period` seconds, exactly."""
    mean_rate = float(np.mean([1 / period_s for period_s in PERIODS_S]))
    return [
        sum(
            participation_weight(1 / period_s, mean_rate, exponent)
            for _ in np.arange(period_s, HORIZON_S + period_s / 2, period_s)
        )
        for period_s in PERIODS_S
    ]


def test_a_node_counts_the_same_per_second_whatever_its_speed() -> None:
    mean_rate = (1 + 1 / 2 + 1 / 4 + 1 / 16) / 4
    assert total_weights(1.0) == pytest.approx([HORIZON_S * mean_rate] * 4, rel=1e-12)


def test_without_the_correction_a_node_counts_as_often_as_it_replies() -> None:
    assert total_weights(0.0) == [160.0, 80.0, 40.0, 10.0]


def test_half_the_correction_leaves_the_square_root_of_the_speed() -> None:
    fast, _, slow, _ = total_weights(0.5)
    assert fast / slow == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(
    ("rate", "weight"), [(1.0, 1.0), (4.0, 0.25), (0.5, 2.0), (1e9, 1 / 20), (1e-9, 20.0)]
)
def test_a_mismeasured_rate_is_bounded(rate: float, weight: float) -> None:
    assert participation_weight(rate, 1.0) == pytest.approx(weight, rel=1e-15)


@pytest.mark.parametrize(
    ("rate", "mean_rate", "bound", "message"),
    [
        (0.0, 1.0, 20.0, "rates must be > 0, got 0.0 and mean 1.0"),
        (1.0, -1.0, 20.0, "rates must be > 0, got 1.0 and mean -1.0"),
        (float("nan"), 1.0, 20.0, "rates must be > 0, got nan"),
        (1.0, 1.0, 0.5, "bound must be >= 1, got 0.5"),
    ],
)
def test_an_impossible_rate_is_an_error(
    rate: float, mean_rate: float, bound: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        participation_weight(rate, mean_rate, bound=bound)


@pytest.mark.parametrize(
    ("num_steps", "exponent", "weight"),
    [(8, 0.0, 1.0), (8, 1.0, 0.5), (16, 0.5, 0.5), (1, 0.5, 2.0), (4, 0.7, 1.0)],
)
def test_longer_jobs_weigh_less(num_steps: int, exponent: float, weight: float) -> None:
    assert step_weight(num_steps, 4.0, exponent) == weight


@pytest.mark.parametrize(("num_steps", "reference"), [(0, 4.0), (4, 0.0)])
def test_an_update_without_steps_has_no_weight(num_steps: int, reference: float) -> None:
    with pytest.raises(ValueError, match=f"got {num_steps} and reference {reference}"):
        step_weight(num_steps, reference)


def test_mixing_goes_from_the_one_model_to_the_other() -> None:
    current, other = np.array([1.0, -2.0, 0.1]), np.array([3.0, 6.0, 0.7])
    assert mix(current, other, 0.0).tolist() == current.tolist()
    assert mix(current, other, 1.0).tolist() == other.tolist()
    assert mix(current, other, 0.25)[:2].tolist() == [1.5, 0.0]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_mixture_is_convex(alpha: float) -> None:
    with pytest.raises(ValueError, match=rf"alpha must be in \[0, 1\], got {alpha}"):
        mix(np.zeros(1), np.ones(1), alpha)


@settings(deadline=None)
@given(weights=st.lists(st.floats(0, 4), min_size=1, max_size=20), seed=st.integers(0, 2**32 - 1))
def test_the_buffer_is_the_explicit_mean(weights: list[float], seed: int) -> None:
    deltas = np.random.default_rng((seed, len(weights))).uniform(-1, 1, (len(weights), 7))
    buffer = UpdateBuffer(7)
    for delta, weight in zip(deltas, weights, strict=True):
        buffer.add(delta, weight)
    explicit = np.mean(np.array(weights)[:, None] * deltas, axis=0)
    # The sum has magnitude sum |w|; what remains is the order of summation.
    tolerance = 1e-15 * max(1.0, float(np.sum(weights)))
    np.testing.assert_allclose(buffer.take_mean(), explicit, rtol=0, atol=tolerance)


def test_taking_the_mean_empties_the_buffer_and_gives_the_mean_away() -> None:
    buffer = UpdateBuffer(2)
    buffer.add(np.array([2.0, 4.0]), 0.5)
    buffer.add(np.array([6.0, 0.0]), 0.5)
    assert len(buffer) == 2
    mean = buffer.take_mean()
    buffer.add(np.array([8.0, 8.0]), 1.0)
    assert mean.tolist() == [2.0, 1.0]
    assert len(buffer) == 1
    assert buffer.take_mean().tolist() == [8.0, 8.0]


def test_the_buffer_never_keeps_the_caller_s_array() -> None:
    delta, buffer = np.array([1.0]), UpdateBuffer(1)
    buffer.add(delta, 1.0)
    delta[0] = 99.0
    assert buffer.take_mean().tolist() == [1.0]


def test_a_buffer_takes_over_another_and_can_be_taken_as_a_sum() -> None:
    buffer, other = UpdateBuffer(2), UpdateBuffer(2)
    buffer.add(np.array([2.0, 4.0]), 0.5)
    other.add(np.array([6.0, 0.0]), 1.0)
    other.add(np.array([0.0, 1.0]), 3.0)
    buffer.absorb(other)
    assert (len(buffer), len(other)) == (3, 0)
    taken = buffer.take_sum()
    assert taken.tolist() == [7.0, 5.0]
    buffer.absorb(other)
    other.add(np.array([1.0, 1.0]), 1.0)
    assert (len(buffer), buffer.take_sum().tolist()) == (0, [0.0, 0.0])
    assert taken.tolist() == [7.0, 5.0]


def test_the_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty buffer: add an update first"):
        UpdateBuffer(3).take_mean()


def test_the_squares_of_a_buffer_by_hand() -> None:
    buffer, other = UpdateBuffer(2), UpdateBuffer(2)
    buffer.add(np.array([3.0, 4.0]), 2.0)
    other.add(np.array([1.0, 0.0]), 1.0)
    assert buffer.squares() == (100.0, 100.0)
    buffer.absorb(other)
    # (6 + 1)^2 + 8^2 of the sum; 100 and 1 of its parts.
    assert buffer.squares() == (113.0, 101.0)
    buffer.take_mean()
    assert buffer.squares() == (0.0, 0.0)


def test_a_step_is_bounded_by_the_mean_of_those_before_it() -> None:
    bounded = NormBound(bound=1.0, memory=0.5)
    assert bounded(np.array([3.0, 4.0])).tolist() == [3.0, 4.0]  # mean 5
    # 100 counts as 10: the mean becomes 7.5, and so long is the step.
    np.testing.assert_allclose(bounded(np.array([60.0, 80.0])), [4.5, 6.0])
    assert bounded(np.array([1.0, 0.0])).tolist() == [1.0, 0.0]  # mean 4.25
    np.testing.assert_allclose(bounded(np.array([0.0, 8.5])), [0.0, 6.375])


def test_a_step_is_a_fifth_longer_than_the_mean_at_most() -> None:
    bounded = NormBound()
    bounded(np.array([1.0]))
    # 3 counts as 2: the mean becomes 0.95 + 0.05 * 2.
    assert bounded(np.array([3.0])) == pytest.approx([1.2 * 1.05])


def test_a_turned_step_is_not_longer_than_it_was() -> None:
    """And that is the length that is learned: the mean is 5, then 7.5."""
    bounded = NormBound(bound=1.0, memory=0.5)
    before = np.array([0.0, 5.0])
    np.testing.assert_allclose(bounded(np.array([30.0, 40.0]), before), [3.0, 4.0])
    np.testing.assert_allclose(bounded(np.array([60.0, 80.0])), [4.5, 6.0])
    assert bounded(np.array([1.0, 0.0]), before).tolist() == [1.0, 0.0]
    assert bounded(np.array([1.0, 0.0]), np.zeros(2)).tolist() == [0.0, 0.0]
    assert NormBound(None)(np.array([30.0, 40.0]), before).tolist() == [30.0, 40.0]


@pytest.mark.parametrize("step", [[0.0, 0.0], [np.inf, 1.0], [1.0, np.nan], [1e200, 1.0]])
def test_what_has_no_length_is_left_alone_and_not_learned_from(step: list[float]) -> None:
    bounded = NormBound(bound=1.0, memory=0.5)
    bounded(np.array([1.0, 0.0]))
    np.testing.assert_array_equal(bounded(np.array(step)), step)
    # The mean is still 1: 2 makes it 1.5, and is cut to that.
    assert bounded(np.array([0.0, 2.0])).tolist() == [0.0, 1.5]


def test_without_a_bound_a_step_stays_as_it_is() -> None:
    unbounded = NormBound(None)
    unbounded(np.array([1.0]))
    assert unbounded(np.array([1e9])).tolist() == [1e9]


def test_a_bound_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"bound must be >= 1 or None, got 0\.9"):
        NormBound(0.9)

"""Agreement against hand computation: it is a mean cosine, tracked without keeping an update."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepedge_flwr.core.aggregation import UpdateBuffer
from deepedge_flwr.core.agreement import Agreement


def observed(agreement: Agreement, *updates: list[float]) -> Agreement:
    """Fold in a version made of these updates."""
    buffer = UpdateBuffer(len(updates[0]))
    for update in updates:
        buffer.add(np.array(update), 1.0)
    agreement.observe(len(buffer), *buffer.squares())
    return agreement


def test_identical_updates_agree_orthogonal_ones_do_not_and_opposed_ones_cancel() -> None:
    assert observed(Agreement(), [1, 2], [1, 2], [1, 2]).value == pytest.approx(1.0)
    assert observed(Agreement(), [3, 0], [0, 4]).value == 0.0
    # m updates that sum to zero: each pair has the mean cosine -1 / (m - 1).
    assert observed(Agreement(), [1, 0], [-1, 0]).value == pytest.approx(-1.0)
    third = np.array([[np.cos(x), np.sin(x)] for x in (0, 2 * np.pi / 3, 4 * np.pi / 3)])
    assert observed(Agreement(), *third.tolist()).value == pytest.approx(-1 / 2)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 6))
def test_one_version_is_the_mean_product_of_pairs_over_the_mean_square(
    seed: int, count: int
) -> None:
    updates = np.random.default_rng(seed).normal(size=(count, 5))
    products = updates @ updates.T
    pairs = (products.sum() - np.trace(products)) / (count * (count - 1))
    got = observed(Agreement(), *updates.tolist()).value
    assert got == pytest.approx(pairs / (np.trace(products) / count), rel=1e-9)


def test_versions_are_averaged_before_the_ratio_is_taken() -> None:
    agreement = observed(Agreement(memory=0.5), [1.0], [1.0])  # C = 2, Q = 2
    observed(agreement, [2.0, 0.0], [0.0, 2.0])  # C = 0, Q = 8
    assert agreement.value == (0.25 * 2 + 0.5 * 0) / (0.25 * 2 + 0.5 * 8)


def test_a_version_counts_for_a_twentieth() -> None:
    agreement = observed(Agreement(), [1.0, 0.0], [1.0, 0.0])  # C = 2, Q = 2
    observed(agreement, [2.0, 0.0], [0.0, 2.0])  # C = 0, Q = 8
    assert agreement.value == pytest.approx(0.95 * 2 / (0.95 * 2 + 8), rel=1e-12)


def test_nothing_is_learned_from_one_update_or_from_sums_that_overflow() -> None:
    agreement = observed(Agreement(), [1.0], [1.0])
    before = agreement.value
    observed(agreement, [5.0])
    observed(agreement, [1e200], [-1e200])
    agreement.observe(3, float("nan"), 1.0)
    assert agreement.value == before == 1.0


@pytest.mark.parametrize(
    ("value", "aligned", "opposed"),
    [(0.0, 0, 0), (0.02, 0.25, 0), (0.08, 1, 0), (0.5, 1, 0), (-0.00625, 0, 0.5), (-0.1, 0, 1)],
)
def test_aligned_and_opposed_are_shares_of_their_limits(
    value: float, aligned: float, opposed: float
) -> None:
    agreement = Agreement()
    agreement.observe(2, 1 + value, 1.0)
    assert agreement.value == pytest.approx(value)
    assert (agreement.aligned, agreement.opposed) == pytest.approx((aligned, opposed))
    assert agreement.step_factor == pytest.approx(0.12 / (0.12 + max(0.0, value)))


def test_an_agreement_about_nothing_is_none() -> None:
    agreement = observed(Agreement(), [0.0], [0.0])
    assert (agreement.value, agreement.aligned, agreement.opposed) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("memory", [-0.1, 1.0])
def test_a_memory_must_forget(memory: float) -> None:
    with pytest.raises(ValueError, match=r"memory must be in \[0, 1\), got"):
        Agreement(memory)

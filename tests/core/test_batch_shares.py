"""Cores that differ in pace are done with a batch at the same time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepedge_flwr.core.batch_shares import BatchShares


def sizes(shares: BatchShares, num_samples: int) -> list[int]:
    return [part.stop - part.start for part in shares.cut(num_samples)]


def step(shares: BatchShares, num_samples: int, paces: list[float]) -> list[float]:
    """Compute a batch on cores of these samples per second; return how long each took."""
    parts = shares.cut(num_samples)
    times_s = [(part.stop - part.start) / pace for part, pace in zip(parts, paces, strict=True)]
    shares.learn(parts, times_s)
    return times_s


def test_nothing_known_is_an_even_cut() -> None:
    assert BatchShares(1).cut(7) == [slice(0, 7)]
    assert BatchShares(4).cut(8) == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    assert sizes(BatchShares(3), 256) == [85, 86, 85]


def test_a_share_is_the_mean_of_ten_batches_and_then_follows_by_a_tenth() -> None:
    shares = BatchShares(2)
    for batch in range(1, 40):
        step(shares, 1000, [3.0, 1.0])
        left = 1 / (batch + 1) if batch < 10 else 0.1 * 0.9 ** (batch - 9)
        assert shares.weights[0] == pytest.approx(0.75 - 0.25 * left)
        assert sum(shares.weights) == pytest.approx(1.0)


def test_cores_that_differ_in_pace_end_at_the_same_time() -> None:
    shares, paces = BatchShares(3), [30.0, 20.0, 50.0]
    assert step(shares, 999, paces) == pytest.approx([333 / 30, 333 / 20, 333 / 50])
    for _ in range(100):
        times_s = step(shares, 1000, paces)
    assert times_s == pytest.approx([10.0] * 3, rel=0.01)


@pytest.mark.parametrize("num_samples", [2, 4, 1000])
def test_a_core_that_stands_still_is_seen_to_go_on(num_samples: int) -> None:
    shares = BatchShares(2)
    for _ in range(100):
        step(shares, num_samples, [1.0, 1e-9])
    # A twentieth of an even share, of what the two then have together.
    assert shares.weights[1] == pytest.approx(0.025 / 1.0025, rel=0.01)
    assert sizes(shares, num_samples)[1] >= 1
    for _ in range(100):
        step(shares, num_samples, [1.0, 1.0])
    assert shares.weights == pytest.approx([0.5, 0.5], rel=0.01)


def test_fewer_samples_than_cores_and_clocks_that_stood_still_teach_nothing() -> None:
    shares = BatchShares(3)
    parts = shares.cut(2)
    assert parts == [slice(0, 1), slice(1, 2), slice(2, 2)]
    shares.learn(parts, [1.0, 3.0])
    shares.learn(shares.cut(30), [1.0, 0.0, 2.0])
    assert shares.weights == [1 / 3] * 3
    shares.learn(shares.cut(30), [1.0, 1.0, 2.0])
    assert shares.weights == pytest.approx(
        [(1 / 3 + 0.4) / 2, (1 / 3 + 0.4) / 2, (1 / 3 + 0.2) / 2]
    )


@given(
    st.integers(1, 16),
    st.integers(0, 5000),
    st.lists(st.lists(st.floats(1e-3, 1e3), min_size=16, max_size=16), max_size=5),
)
def test_the_parts_are_the_batch_in_order_and_none_is_empty_without_need(
    count: int, num_samples: int, paces: list[list[float]]
) -> None:
    shares = BatchShares(count)
    for of_batch in paces:
        step(shares, 1000, of_batch[:count])
    assert min(shares.weights) >= 0.05 / count / (1 + 0.05)
    samples = range(num_samples)
    assert [i for part in shares.cut(num_samples) for i in samples[part]] == list(samples)
    assert sum(size > 0 for size in sizes(shares, num_samples)) == min(count, num_samples)

"""Which updates are believed."""

import math

import pytest

from deepedge_flwr.core.guard import UpdateGuard, Window


def check(guard: UpdateGuard, norm: float, steps: int | None = 1, n: float = 1.0) -> str | None:
    return guard.reason_against(norm=norm, base_norm=1.0, num_steps=steps, num_examples=n)


def test_a_window_has_a_median_of_its_last_values_once_there_are_five() -> None:
    window = Window(6)
    for value in (1.0, 2.0, math.nan, 3.0, 4.0):
        window.add(value)
    assert window.median is None
    window.add(5.0)
    assert window.median == 3.0
    for value in (6.0, 7.0, 8.0):
        window.add(value)
    assert window.median == 5.5


def test_an_update_is_measured_against_the_median_of_the_others() -> None:
    guard = UpdateGuard(norm_bound=10.0)
    assert [check(guard, 1.0) for _ in range(5)] == [None] * 5
    assert check(guard, 10.0) is None
    reason = check(guard, 10.1)
    assert reason is not None and "too long: 10.1 per root of its steps, at most 10" in reason


def test_long_jobs_make_long_updates() -> None:
    guard = UpdateGuard(norm_bound=10.0)
    for _ in range(5):
        check(guard, 1.0)
    assert check(guard, 50.0, steps=25) is None
    assert check(guard, 51.0, steps=25) is not None
    assert check(guard, 50.0, steps=None) is not None


def test_the_first_ones_are_measured_against_the_model() -> None:
    guard = UpdateGuard()
    assert check(guard, 2e6) is None
    assert check(guard, 2.1e6) is not None
    assert check(UpdateGuard(norm_bound=None), 1e300) is None
    assert check(UpdateGuard(), math.inf) is not None


def test_a_minority_does_not_move_the_bound_and_a_majority_does() -> None:
    guard = UpdateGuard(norm_bound=10.0)
    for i in range(101):
        check(guard, 1e9 if i % 3 == 0 else 1.0)
    assert check(guard, 11.0) is not None
    results = [check(guard, 1e9) for _ in range(60)]
    assert results[0] is not None and results[-1] is None


def test_converged_nodes_do_not_lock_out_the_others() -> None:
    guard = UpdateGuard()
    for _ in range(10):
        check(guard, 0.0)
    assert check(guard, 1.0) is None


def test_a_node_cannot_claim_any_number_of_examples() -> None:
    guard = UpdateGuard(examples_bound=1000.0)
    for _ in range(5):
        check(guard, 1.0, n=20.0)
    assert check(guard, 1.0, n=20_000.0) is None
    reason = check(guard, 1.0, n=20_001.0)
    assert reason is not None and "claims 2e+04 examples, at most 2e+04" in reason
    unbounded = UpdateGuard(examples_bound=None)
    assert all(check(unbounded, 1.0, n=10.0**i) is None for i in range(20))


@pytest.mark.parametrize("option", ["norm_bound", "examples_bound"])
def test_a_bound_is_above_one(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be > 1 or None, got 1"):
        UpdateGuard(**{option: 1})

"""The three weight functions of arXiv:1903.03934, sec. 5.2, in closed form."""

from collections.abc import Callable

import pytest

from deepedge_flwr.core.staleness import constant, hinge, polynomial


@pytest.mark.parametrize("weight", [constant, polynomial, hinge])
def test_a_fresh_update_counts_in_full(weight: Callable[[int], float]) -> None:
    assert weight(0) == 1.0


def test_constant_ignores_staleness() -> None:
    assert [constant(s) for s in (1, 7, 1000)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("staleness", "exponent", "weight"),
    [(3, 0.5, 0.5), (8, 0.5, 1 / 3), (3, 1.0, 0.25), (1, 2.0, 0.25), (99, 0.0, 1.0)],
)
def test_polynomial_is_a_power_of_the_age(staleness: int, exponent: float, weight: float) -> None:
    assert polynomial(staleness, exponent) == pytest.approx(weight, rel=1e-15)


@pytest.mark.parametrize(
    ("staleness", "weight"), [(0, 1.0), (3, 1.0), (4, 1.0), (5, 1 / 11), (6, 1 / 21), (14, 1 / 101)]
)
def test_hinge_is_flat_and_then_hyperbolic(staleness: int, weight: float) -> None:
    assert hinge(staleness) == weight


def test_hinge_without_a_slope_is_constant() -> None:
    assert [hinge(s, slope=0.0, threshold=2.0) for s in (0, 2, 50)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("weight", [constant, polynomial, hinge])
def test_a_model_from_the_future_is_an_error(weight: Callable[[int], float]) -> None:
    with pytest.raises(ValueError, match="staleness must be >= 0, got -1"):
        weight(-1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: polynomial(1, exponent=-0.5), "exponent must be >= 0, got -0.5"),
        (lambda: hinge(1, slope=-1.0), "slope must be >= 0, got -1.0"),
        (lambda: hinge(1, threshold=-2.0), "threshold must be >= 0, got -2.0"),
    ],
)
def test_a_weight_that_grows_with_staleness_is_an_error(
    call: Callable[[], float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call()

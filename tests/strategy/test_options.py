from typing import Any

import pytest

from deepedge_flwr.strategy.options import (
    auto,
    require_count,
    require_non_negative,
    require_positive,
)


def test_good_values_pass() -> None:
    require_positive(one=1, missing=None)
    require_non_negative(zero=0.0)
    require_count(one=1, missing=None)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_positive_is_required(value: float) -> None:
    with pytest.raises(ValueError, match=f"eta must be > 0 and finite, got {value}"):
        require_positive(eta=value)


@pytest.mark.parametrize("value", [0, -3, 2.5, 2.0, True, float("nan"), float("inf")])
def test_a_count_is_an_integer(value: Any) -> None:
    with pytest.raises(ValueError, match=f"buffer_size must be an integer >= 1, got {value}"):
        require_count(buffer_size=value)


@pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
def test_non_negative_is_required(value: float) -> None:
    with pytest.raises(ValueError, match=f"gamma must be >= 0 and finite, got {value}"):
        require_non_negative(gamma=value)


def test_auto_shows_what_the_strategy_chooses() -> None:
    assert auto(None) == "auto"
    assert auto(0.25) == "0.25"

import pytest

from deepedge_flwr.strategy.options import auto, require_non_negative, require_positive


def test_good_values_pass() -> None:
    require_positive(one=1, missing=None)
    require_non_negative(zero=0.0)


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_positive_is_required(value: float) -> None:
    with pytest.raises(ValueError, match="buffer_size must be > 0, got"):
        require_positive(buffer_size=value)


@pytest.mark.parametrize("value", [-1e-9, float("nan")])
def test_non_negative_is_required(value: float) -> None:
    with pytest.raises(ValueError, match="gamma must be >= 0, got"):
        require_non_negative(gamma=value)


def test_auto_shows_what_the_strategy_chooses() -> None:
    assert auto(None) == "auto"
    assert auto(0.25) == "0.25"

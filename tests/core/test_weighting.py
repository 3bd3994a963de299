"""The weight of an update, factor by factor."""

import math
from typing import Any

import pytest

from deepedge_flwr.core.weighting import Weighting

PLAIN: dict[str, Any] = {
    "relative_share": 1.5, "staleness": 0, "num_steps": None, "reference_steps": 4.0,
    "rates": (0.0, 1.0),
}  # fmt: skip


def weight(aligned: float = 0.0, **changes: Any) -> float:
    return Weighting().weigh(**{**PLAIN, **changes}, aligned=aligned)


def test_a_fresh_update_of_unknown_steps_and_rate_weighs_its_share() -> None:
    assert weight() == 1.5


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({"staleness": 3}, 0.5),  # (1 + 3)^-0.5
        ({"num_steps": 16}, 0.5),  # (4 / 16)^0.5
        ({"num_steps": 1}, 2.0),
        ({"rates": (2.0, 1.0)}, 0.5),
        ({"rates": (1.0, 3.0)}, 3.0),
        ({"rates": (100.0, 1.0)}, 0.25),  # clipped to 4
        ({"rates": (1.0, 100.0)}, 4.0),
        ({"rates": (4.0, 1.0), "aligned": 1.0}, 0.5),  # gamma is halved
        ({"rates": (4.0, 1.0), "aligned": 0.5}, 4**-0.75),
        ({"staleness": 3, "num_steps": 16, "rates": (2.0, 1.0)}, 0.125),
    ],
)
def test_each_factor_by_hand(changes: dict[str, Any], factor: float) -> None:
    assert weight(**changes) == pytest.approx(1.5 * factor, rel=1e-12)


def test_exponents_of_zero_switch_the_factors_off() -> None:
    off = Weighting(staleness_exponent=0, step_exponent=0, participation_exponent=0)
    changes = {"staleness": 9, "num_steps": 3, "rates": (0.5, 7.0)}
    assert off.weigh(**{**PLAIN, **changes}) == 1.5


@pytest.mark.parametrize(
    ("rate", "aligned", "news", "remembered"),
    [
        (1.0, 0.0, 1.0, 1.0),
        (0.5, 0.0, 1.0, 1.5),  # (1 - 0.5 * 0.5) / 0.5
        (0.25, 0.0, 1.0, 1.75),
        (0.01, 0.0, 1.0, 1.75),  # clipped to 1/4
        (2.0, 0.0, 1.0, 0.0),
        (4.0, 0.0, 0.5, 0.0),  # its news alone say too much: 1 / (4 * 0.5)
        (0.25, 1.0, 1.0, 0.75),  # (0.25^0.5 - 0.5 * 0.25) / 0.5
    ],
)
def test_a_memory_says_what_a_node_says_too_seldom(
    rate: float, aligned: float, news: float, remembered: float
) -> None:
    weights = Weighting().split(0.5, (3 * rate, 3.0), aligned)
    assert weights == pytest.approx((news, remembered))


def test_a_memory_that_tells_all_or_knows_no_rate_has_nothing_to_correct() -> None:
    assert Weighting().split(1.0, (0.5, 1.0)) == (1.0, 1.0)
    assert Weighting().split(0.5, (0.0, 1.0)) == (1.0, 1.0)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [0.25, 0.9, 1.1, 3.9])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_what_a_node_weighs_in_all_is_as_without_a_memory(
    exponent: float, rate: float, share: float
) -> None:
    news, remembered = Weighting(participation_exponent=exponent).split(share, (rate, 1.0))
    total = news * (1 - share) * rate + share * remembered
    assert total == pytest.approx(rate ** (1 - exponent))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"staleness_exponent": -1}, "staleness_exponent must be >= 0 and finite, got -1"),
        ({"step_exponent": math.nan}, "step_exponent must be >= 0 and finite, got nan"),
        ({"participation_exponent": math.inf}, "participation_exponent must be >= 0 and finite"),
        ({"rate_bound": 0.5}, "rate_bound must be >= 1, got 0.5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Weighting(**options)

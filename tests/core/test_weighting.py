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

"""Hand-computed: node 1 replies at 1, 2 and 3 s, node 2 at 2.5 s; a step goes half way."""

import math
from typing import Any

import pytest

from deepedge_flwr import FedAsync
from tests.numpy_app import arrays, fleet, follow_target, vector, virtual_grid


def run(num_rounds: int, **options: Any) -> float:
    grid = virtual_grid(follow_target([1.0, 10.0]), fleet(1.0, 2.5))
    return vector(FedAsync(**options).start(grid, arrays([0.0]), num_rounds=num_rounds).arrays)[0]


def by_hand(alphas: list[float]) -> list[float]:
    """The models after each of the four replies, staleness 0, 0, 2 and 1."""
    w1 = alphas[0] * 0.5
    w2 = (1 - alphas[1]) * w1 + alphas[1] * (w1 + 1) / 2
    w3 = (1 - alphas[2]) * w2 + alphas[2] * 5.0
    w4 = (1 - alphas[3]) * w3 + alphas[3] * (w2 + 1) / 2
    return [w1, w2, w3, w4]


LAWS = {
    "constant": [0.6, 0.6, 0.6, 0.6],
    "polynomial": [0.6, 0.6, 0.6 / math.sqrt(3), 0.6 / math.sqrt(2)],
    "hinge": [0.6, 0.6, 0.6 / 11, 0.6],
}


@pytest.mark.parametrize("law", LAWS)
def test_four_updates_by_hand(law: str) -> None:
    expected = by_hand(LAWS[law])
    got = [run(n, staleness=law, threshold=1.0) for n in (1, 2, 3, 4)]
    assert got == pytest.approx(expected, rel=1e-12)


def test_the_paper_s_hinge_leaves_four_versions_free() -> None:
    assert run(4, staleness="hinge") == pytest.approx(by_hand([0.6] * 4)[3], rel=1e-12)


def test_alpha_one_takes_over_the_local_model() -> None:
    assert run(3, alpha=1.0, staleness="constant") == pytest.approx(5.0, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"alpha": 0.0}, r"alpha must be in \(0, 1\], got 0.0"),
        ({"alpha": 1.1}, r"alpha must be in \(0, 1\]"),
        ({"exponent": -1.0}, "exponent must be >= 0"),
        ({"staleness": "linear"}, "staleness must be one of .*'hinge'.*, got 'linear'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        FedAsync(**options)

"""Flower's wrappers run their own rounds: they are refused, and told what they would bypass."""

from typing import Any

import pytest
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideAdaptiveClipping,
    DifferentialPrivacyServerSideFixedClipping,
)

from deepedge_flwr import DeepEdge, FedNova
from deepedge_flwr.simulation import InProcessGrid
from tests.numpy_app import arrays, follow_target

WRAPPERS: list[Any] = [
    lambda inner: DifferentialPrivacyServerSideFixedClipping(inner, 0.1, 1.0, 2),
    lambda inner: DifferentialPrivacyClientSideFixedClipping(inner, 0.1, 1.0, 2),
    lambda inner: DifferentialPrivacyServerSideAdaptiveClipping(
        inner, 1.0, 2, clipped_count_stddev=1.0
    ),
    lambda inner: DifferentialPrivacyClientSideAdaptiveClipping(
        inner, 1.0, 2, clipped_count_stddev=1.0
    ),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("strategy", [DeepEdge, FedNova])
def test_a_wrapper_is_refused(wrap: Any, strategy: Any) -> None:
    grid = InProcessGrid(follow_target([1.0, 1.0]), 2)
    wrapped = wrap(strategy())
    name = strategy.__name__
    with pytest.raises(RuntimeError, match=f"{name}.configure_train was called without {name}"):
        wrapped.start(grid, arrays([0.0]), num_rounds=1)

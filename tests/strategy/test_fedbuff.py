import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

from deepedge_flwr import FedBuff
from deepedge_flwr.simulation import InProcessGrid, VirtualGrid
from tests.numpy_app import arrays, fleet, follow_target, vector, virtual_grid

TARGETS = [1.0, -2.0, 4.0, 0.5]


def test_full_buffer_on_an_equal_fleet_is_fedavg() -> None:
    start = arrays([0.3, -0.7, 11.0])
    ours = FedBuff(buffer_size=4).start(
        virtual_grid(follow_target(TARGETS), fleet(1, 1, 1, 1)), start, num_rounds=7
    )
    stock = FedAvg(fraction_evaluate=0.0, min_train_nodes=4, min_available_nodes=4).start(
        virtual_grid(follow_target(TARGETS), fleet(1, 1, 1, 1)), start, num_rounds=7
    )
    np.testing.assert_allclose(vector(ours.arrays), vector(stock.arrays), rtol=1e-12)


def test_staleness_and_order_by_hand() -> None:
    """Node 1 replies at 1, 2, 3 s, node 2 at 2.5 s; K = 1, so every reply is a version."""
    grid = virtual_grid(follow_target([1.0, 10.0]), fleet(1.0, 2.5))
    result = FedBuff(buffer_size=1).start(grid, arrays([0.0]), num_rounds=4)
    w1 = 0.5
    w2 = w1 + 0.5 * (1 - w1)
    w3 = w2 + (5.0 - 0.0) / math.sqrt(1 + 2)  # sent at version 0, arrives at version 2
    w4 = w3 + 0.5 * (1 - w2) / math.sqrt(1 + 1)  # sent at version 2, arrives at version 3
    assert vector(result.arrays) == pytest.approx([w4], rel=1e-12)
    assert grid.clock.now_s() == pytest.approx(3.0, abs=1e-6)


def test_buffer_is_divided_by_its_size_and_scaled_by_the_server_learning_rate() -> None:
    grid = virtual_grid(follow_target([1.0, 10.0]), fleet(1.0, 1.0))
    strategy = FedBuff(buffer_size=2, server_learning_rate=0.5)
    result = strategy.start(grid, arrays([0.0]), num_rounds=1)
    assert vector(result.arrays) == pytest.approx([0.5 * (0.5 + 5.0) / 2])


def test_weights_of_examples_do_not_matter_but_are_required() -> None:
    grid = virtual_grid(follow_target([1.0, 10.0], num_examples=[1, 99]), fleet(1.0, 1.0))
    result = FedBuff(buffer_size=2).start(grid, arrays([0.0]), num_rounds=1)
    assert vector(result.arrays) == pytest.approx([2.75])
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(0.99)


def test_buffer_larger_than_the_fleet_is_refused_before_anything_is_sent() -> None:
    grid = virtual_grid(follow_target(TARGETS), fleet(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"buffer_size must be at most .* \(4\), got 5"):
        FedBuff(buffer_size=5).start(grid, arrays([0.0]), timeout=30)
    assert grid.ledger.rows == []


class Gathering(VirtualGrid):
    """A grid whose nodes connect one by one: node k at k times 10 s, up to `num_nodes` of them."""

    num_nodes = 4

    def get_node_ids(self) -> Iterable[int]:
        here = min(self.num_nodes, int(self.clock.now_s() // 10))
        return list(super().get_node_ids())[:here]


def gathering() -> Gathering:
    return Gathering(InProcessGrid(follow_target(TARGETS), 4), fleet(1, 1, 1, 1))


def test_a_run_starts_when_as_many_nodes_are_there_as_the_buffer_holds() -> None:
    grid = gathering()
    result = FedBuff(buffer_size=4).start(grid, arrays([0.0]), num_rounds=1, timeout=60)
    assert [row.time_s for row in grid.ledger.of("dispatch")] == [40.0] * 4
    assert vector(result.arrays) == pytest.approx([0.5 * sum(TARGETS) / 4])


def test_a_buffer_that_the_nodes_never_fill_is_refused_at_the_timeout() -> None:
    grid = gathering()
    grid.num_nodes = 3
    with pytest.raises(ValueError, match=r"buffer_size must be at most .* \(3\), got 4"):
        FedBuff(buffer_size=4).start(grid, arrays([0.0]), timeout=60)
    assert grid.clock.now_s() == 60.0
    assert grid.ledger.rows == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"buffer_size": 0}, "buffer_size must be an integer >= 1, got 0"),
        ({"buffer_size": 2.5}, "buffer_size must be an integer >= 1, got 2.5"),
        ({"buffer_size": float("inf")}, "buffer_size must be an integer >= 1, got inf"),
        ({"server_learning_rate": 0.0}, "server_learning_rate must be > 0 and finite, got 0"),
        ({"server_learning_rate": float("inf")}, "server_learning_rate must be > 0 and finite"),
        ({"staleness_exponent": -0.1}, "staleness_exponent must be >= 0 and finite, got -0.1"),
        ({"staleness_exponent": float("inf")}, "staleness_exponent must be >= 0 and finite"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        FedBuff(**options)

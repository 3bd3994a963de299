"""Hand-computed: three nodes with steps of 1, 1 and 2.5 s; a step goes half way; K = 2."""

import pytest

from deepedge_flwr import CA2FL, FedBuff
from tests.numpy_app import arrays, fleet, follow_target, vector, virtual_grid

TARGETS = [1.0, 3.0, 10.0]


def run(num_rounds: int, eta: float = 1.0) -> float:
    grid = virtual_grid(follow_target(TARGETS), fleet(1.0, 1.0, 2.5))
    strategy = CA2FL(buffer_size=2, server_learning_rate=eta, min_available_nodes=3)
    return vector(strategy.start(grid, arrays([0.0]), num_rounds=num_rounds).arrays)[0]


def test_four_versions_by_hand() -> None:
    """Arrivals: nodes 1 and 2 at 1 s, at 2 s, node 3 at 2.5 s with node 1 at 3 s, then 2 and 1."""
    first = [0.5, 1.5]
    w1 = sum(first) / 2  # no caches yet
    second = [(1 - w1) / 2, (3 - w1) / 2]
    h = sum(first) / 3
    w2 = w1 + h + ((second[0] - first[0]) + (second[1] - first[1])) / 2
    third = {3: 5.0, 1: (1 - w2) / 2}  # node 3 still trained on version 0
    h = sum(second) / 3
    w3 = w2 + h + (third[3] + (third[1] - second[0])) / 2
    assert [run(1), run(2), run(3)] == pytest.approx([w1, w2, w3], rel=1e-12)
    fourth = {2: (3 - w2) / 2, 1: (1 - w3) / 2}  # node 2 at 3 s just after version 3, node 1 at 4 s
    h = (third[1] + second[1] + third[3]) / 3
    w4 = w3 + h + ((fourth[2] - second[1]) + (fourth[1] - third[1])) / 2
    assert run(4) == pytest.approx(w4, rel=1e-12)


def test_the_first_version_is_fedbuff_s_and_scaled_by_eta() -> None:
    grid = virtual_grid(follow_target(TARGETS), fleet(1.0, 1.0, 2.5))
    fedbuff = FedBuff(buffer_size=2).start(grid, arrays([0.0]), num_rounds=1)
    assert run(1) == pytest.approx(vector(fedbuff.arrays)[0], rel=1e-12)
    assert run(1, eta=0.5) == pytest.approx(0.5 * run(1), rel=1e-12)


def test_nobody_s_absence_biases_the_model() -> None:
    """With small steps the model settles at the mean of all targets, not of the fast nodes'."""
    grid = virtual_grid(follow_target(TARGETS), fleet(1.0, 1.0, 16.0))
    strategy = CA2FL(buffer_size=2, server_learning_rate=0.05, min_available_nodes=3)
    result = strategy.start(grid, arrays([0.0]), num_rounds=400)
    assert vector(result.arrays)[0] == pytest.approx(14 / 3, abs=0.3)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="buffer_size must be an integer >= 1"):
        CA2FL(buffer_size=0)
    with pytest.raises(ValueError, match="server_learning_rate must be > 0"):
        CA2FL(server_learning_rate=-1.0)

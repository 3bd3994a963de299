"""Synthetic(alpha, beta) has the sizes and the moments of its recipe."""

from typing import Any

import numpy as np
import pytest

from simulations.tasks import Task
from simulations.tasks.synthetic import load


def make_task(num_nodes: int = 10, **changes: Any) -> Task:
    arguments: dict[str, Any] = {"seed": 0} | changes
    return load(num_nodes=num_nodes, speed_rank=range(num_nodes), **arguments)


def test_a_fifth_of_each_node_is_the_test_set() -> None:
    whole = [len(labels) for labels in make_task(max_examples=50).node_labels]
    assert whole == [40] * 10
    assert make_task(max_examples=50).test_inputs.shape == (10 * 10, 60)


def test_sizes_are_lognormal_above_fifty_up_to_the_cap() -> None:
    sizes = np.array([len(labels) for labels in make_task(500).node_labels])
    assert (sizes.min(), sizes.max()) == (40, 800)  # 50 and 1000, less a fifth
    # P(lognormal(4, 2) < e^4) = 1/2, within three standard deviations of a fair coin
    median = 0.8 * (np.exp(4) + 50)
    assert np.mean(sizes < median) == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(500))


def test_inputs_vary_with_the_diagonal_covariance() -> None:
    largest = max(make_task(40, max_examples=5000).node_inputs, key=len)
    assert len(largest) > 2000
    np.testing.assert_allclose(largest.var(axis=0), np.arange(1, 61) ** -1.2, rtol=0.2)


def test_beta_is_the_standard_deviation_between_the_nodes() -> None:
    task = make_task(400, alpha=0.0, beta=3.0, max_examples=50)
    centres = [inputs.mean() for inputs in task.node_inputs]
    assert np.std(centres) == pytest.approx(3.0, rel=0.15)


def test_labels_are_linearly_separable_on_a_node() -> None:
    largest = max(range(10), key=lambda node: len(make_task().node_labels[node]))
    inputs, labels = make_task().node_inputs[largest], make_task().node_labels[largest]
    targets = np.eye(10)[labels]
    weights, *_ = np.linalg.lstsq(np.c_[inputs, np.ones(len(inputs))], targets, rcond=None)
    predicted = np.argmax(np.c_[inputs, np.ones(len(inputs))] @ weights, axis=1)
    assert np.mean(predicted == labels) > 0.9


def test_a_node_does_not_depend_on_the_number_of_nodes() -> None:
    small, large = make_task(3), make_task(5)
    for node in range(3):
        np.testing.assert_array_equal(small.node_inputs[node], large.node_inputs[node])


def test_the_task_is_a_function_of_the_seed() -> None:
    first, again, other = make_task(), make_task(), make_task(seed=1)
    np.testing.assert_array_equal(first.test_inputs, again.test_inputs)
    assert first.test_inputs.shape != other.test_inputs.shape


def test_the_model_is_logistic_regression() -> None:
    assert [p.shape for p in make_task().build_model(0).parameters()] == [(10, 60), (10,)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": -0.5}, r"alpha and beta must be finite and >= 0, got -0\.5 and 0\.5"),
        ({"beta": float("inf")}, r"alpha and beta must be finite and >= 0, got 0\.5 and inf"),
        ({"max_examples": 4}, r"max_examples must be >= 5, got 4"),
        ({"partition": "dirichlet"}, r"partition must be 'own', got 'dirichlet'"),
    ],
)
def test_values_outside_the_recipe_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(**changes)

"""Synthetic(alpha, beta) has the sizes and the moments of its recipe."""

from typing import Any

import numpy as np
import pytest

from simulations.tasks import Task
from simulations.tasks.synthetic import node_examples, synthetic_task


def make_task(**changes: Any) -> Task:
    arguments: dict[str, Any] = {
        "alpha": 0.5,
        "beta": 0.5,
        "max_examples": 1000,
        "learning_rate": 0.03,
        "batch_size": 10,
        "target_accuracy": 0.82,
        "seed": 0,
        "speed_rank": range(10),
    }
    return synthetic_task(partition="own", **arguments | changes)


def test_a_fifth_of_each_node_is_the_test_set() -> None:
    sizes = [
        len(node_examples(node, alpha=0.5, beta=0.5, max_examples=1000, seed=0)[1])
        for node in range(10)
    ]
    task = make_task()
    assert [len(labels) for labels in task.node_labels] == [n - int(0.2 * n) for n in sizes]
    assert task.test_inputs.shape == (sum(int(0.2 * n) for n in sizes), 60)


def test_train_and_test_examples_are_the_nodes_own() -> None:
    inputs, labels = node_examples(0, alpha=0.5, beta=0.5, max_examples=1000, seed=0)
    task, num_test = make_task(), int(0.2 * len(labels))
    np.testing.assert_array_equal(task.test_inputs[:num_test], inputs[:num_test])
    np.testing.assert_array_equal(task.node_inputs[0], inputs[num_test:])
    np.testing.assert_array_equal(task.node_labels[0], labels[num_test:])


def test_sizes_are_lognormal_above_fifty_up_to_the_cap() -> None:
    sizes = np.array(
        [
            len(node_examples(node, alpha=0, beta=0, max_examples=1000, seed=0)[1])
            for node in range(500)
        ]
    )
    assert sizes.min() >= 50
    assert sizes.max() == 1000
    # P(lognormal(4, 2) < e^4) = 1/2, within three standard deviations of a fair coin
    assert np.mean(sizes < np.exp(4) + 50) == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(500))


def test_inputs_vary_with_the_diagonal_covariance() -> None:
    nodes = [node_examples(k, alpha=0.5, beta=0.5, max_examples=5000, seed=1) for k in range(60)]
    largest = max((inputs for inputs, _ in nodes), key=len)
    assert len(largest) > 2000
    expected = np.arange(1, 61) ** -1.2
    np.testing.assert_allclose(largest.var(axis=0), expected, rtol=0.2)


def test_beta_is_the_standard_deviation_between_the_nodes() -> None:
    centres = [
        node_examples(k, alpha=0, beta=3.0, max_examples=100, seed=0)[0].mean() for k in range(400)
    ]
    assert np.std(centres) == pytest.approx(3.0, rel=0.15)


def test_a_node_does_not_depend_on_the_number_of_nodes() -> None:
    small, large = make_task(speed_rank=range(3)), make_task(speed_rank=range(5))
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
        ({"alpha": -0.5}, r"alpha must be >= 0 and finite, got -0\.5"),
        ({"beta": float("inf")}, r"beta must be >= 0 and finite, got inf"),
        ({"max_examples": 49}, r"max_examples must be >= 50, got 49"),
    ],
)
def test_values_outside_the_recipe_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(**changes)

"""A task's model, batches and SGD are functions of seed and index, and follow the equations."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from simulations.tasks import Task
from simulations.tasks.task import BLOCK_BATCHES, train

RNG = np.random.default_rng((0, 1))
INPUTS = RNG.normal(size=(12, 4)).astype(np.float32)
LABELS = RNG.integers(3, size=12)


def make_task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "name": "toy",
        "node_inputs": (INPUTS[:5], INPUTS[5:]),
        "node_labels": (LABELS[:5], LABELS[5:]),
        "test_inputs": INPUTS,
        "test_labels": LABELS,
        "hidden": (),
        "num_classes": 3,
        "learning_rate": 0.1,
        "batch_size": 2,
        "target_accuracy": 0.9,
    }
    return Task(**fields | changes)


def weights_of(model: torch.nn.Module) -> list[NDArray[np.float32]]:
    return [parameter.detach().numpy().copy() for parameter in model.parameters()]


def batch(start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(INPUTS[start:stop]), torch.from_numpy(LABELS[start:stop])


def softmax_regression_step(
    weight: NDArray[Any], bias: NDArray[Any], inputs: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Gradients and loss of softmax regression: dF/dW = (P - Y)^T X / n."""
    logits = inputs @ weight.T + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (probabilities - np.eye(3)[labels]) / len(labels)
    loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    return error.T @ inputs, error.sum(axis=0), float(loss)


def test_a_step_is_that_of_softmax_regression() -> None:
    model = make_task().build_model(0)
    weight, bias = weights_of(model)
    d_weight, d_bias, expected_loss = softmax_regression_step(weight, bias, INPUTS, LABELS)
    loss = train(model, [batch(0, 12)], 0.5)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    np.testing.assert_allclose(weights_of(model)[0], weight - 0.5 * d_weight, atol=1e-6)
    np.testing.assert_allclose(weights_of(model)[1], bias - 0.5 * d_bias, atol=1e-6)


@pytest.mark.parametrize("hidden", [(), (8,), (8, 5)])
def test_a_step_follows_the_gradient_of_autograd(hidden: tuple[int, ...]) -> None:
    model = make_task(hidden=hidden).build_model(0)
    before, parameters = weights_of(model), list(model.parameters())
    inputs, labels = batch(0, 12)
    gradients = torch.autograd.grad(cross_entropy(model(inputs), labels), parameters)
    train(model, [(inputs, labels)], 0.5)
    for start, gradient, end in zip(before, gradients, weights_of(model), strict=True):
        np.testing.assert_allclose(end, start - 0.5 * gradient.numpy(), atol=1e-6)


def test_the_proximal_term_pulls_back_to_the_start() -> None:
    batches = [batch(0, 6), batch(6, 12)]
    one_step, plain, proximal = (make_task().build_model(0) for _ in range(3))
    start = weights_of(plain)
    train(one_step, batches[:1], 0.5)
    train(plain, batches, 0.5)
    train(proximal, batches, 0.5, proximal_mu=0.2)
    # The term is zero in the first step, so the second starts from the same weights.
    for origin, before, without, with_term in zip(
        start, weights_of(one_step), weights_of(plain), weights_of(proximal), strict=True
    ):
        np.testing.assert_allclose(with_term, without - 0.5 * 0.2 * (before - origin), atol=1e-6)


def test_the_loss_is_the_mean_over_the_steps() -> None:
    both, first = make_task().build_model(0), make_task().build_model(0)
    losses = [train(first, [batch(0, 6)], 0.5), train(first, [batch(6, 12)], 0.5)]
    assert train(both, [batch(0, 6), batch(6, 12)], 0.5) == pytest.approx(sum(losses) / 2)
    np.testing.assert_array_equal(weights_of(both)[0], weights_of(first)[0])


def test_a_step_is_complete_before_the_next_batch_is_asked_for() -> None:
    model = make_task().build_model(0)
    seen = []

    def watched() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(3):
            seen.append(weights_of(model)[0])
            yield batch(0, 12)

    train(model, watched(), 0.5)
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])


def test_no_step_leaves_the_model_alone_and_has_no_loss() -> None:
    model = make_task().build_model(0)
    before = weights_of(model)
    assert math.isnan(train(model, [], 0.5))
    np.testing.assert_array_equal(weights_of(model)[0], before[0])


def test_a_negative_proximal_mu_is_refused() -> None:
    with pytest.raises(ValueError, match=r"proximal_mu must be >= 0, got -1"):
        train(make_task().build_model(0), [], 0.5, proximal_mu=-1)


def test_initial_weights_are_a_function_of_the_seed_alone() -> None:
    task = make_task(hidden=(8,))
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first = weights_of(task.build_model(3))
    torch.manual_seed(8)
    second, other = weights_of(task.build_model(3)), weights_of(task.build_model(4))
    torch.manual_seed(7)
    task.build_model(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("hidden", "shapes"),
    [
        ((), [(3, 4), (3,)]),
        ((8,), [(8, 4), (8,), (3, 8), (3,)]),
        ((8, 5), [(8, 4), (8,), (5, 8), (5,), (3, 5), (3,)]),
    ],
)
def test_the_model_has_the_hidden_layers(
    hidden: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> None:
    weights = weights_of(make_task(hidden=hidden).build_model(0))
    assert [weight.shape for weight in weights] == shapes
    assert all(np.abs(weight).max() <= 0.5 for weight in weights)  # fan_in >= 4


def test_the_hidden_layer_is_rectified() -> None:
    model = make_task(hidden=(8,)).build_model(0)
    w1, b1, w2, b2 = weights_of(model)
    expected = np.maximum(INPUTS @ w1.T + b1, 0) @ w2.T + b2
    np.testing.assert_allclose(model(torch.from_numpy(INPUTS)).detach(), expected, atol=1e-6)


def labels_drawn(task: Task, node_index: int, seed: int, dispatch_index: int) -> list[list[int]]:
    drawn = islice(task.batches(node_index, seed, dispatch_index), 2 * BLOCK_BATCHES + 1)
    return [labels.tolist() for _, labels in drawn]


def test_batches_are_a_function_of_node_seed_and_dispatch() -> None:
    indices = np.arange(5)
    task = make_task(
        node_inputs=(INPUTS[:5],) * 2, node_labels=(indices,) * 2, num_classes=5, batch_size=4
    )
    drawn = labels_drawn(task, 0, 0, 0)
    assert labels_drawn(task, 0, 0, 0) == drawn
    assert all(labels_drawn(task, *key) != drawn for key in [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    assert {label for labels in drawn for label in labels} == set(range(5))


def test_a_batch_keeps_inputs_and_labels_together() -> None:
    task = make_task(node_labels=(np.arange(5), LABELS[5:]), num_classes=5)
    for inputs, labels in islice(task.batches(0, 0, 0), 20):
        assert inputs.shape == (2, 4)
        np.testing.assert_array_equal(inputs, INPUTS[labels])


def test_a_batch_may_be_larger_than_the_node() -> None:
    inputs, _ = next(make_task(batch_size=64).batches(0, 0, 0))
    assert inputs.shape == (64, 4)


def test_accuracy_is_the_fraction_classified_correctly() -> None:
    task = make_task(test_inputs=np.eye(4, dtype=np.float32), test_labels=np.array([0, 1, 2, 2]))
    model = torch.nn.Sequential(torch.nn.utils.skip_init(torch.nn.Linear, 4, 3, bias=False))
    model.load_state_dict({"0.weight": torch.eye(3, 4)})
    assert task.accuracy(model) == 0.75  # the zero logits of the last example say class 0
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"node_inputs": (INPUTS, INPUTS[:0]), "node_labels": (LABELS, LABELS[:0])},
            r"^task toy: node 1 has no examples: use fewer nodes, a larger alpha",
        ),
        ({"node_labels": (LABELS,)}, r"one array per node, got 2 and 1"),
        ({"node_inputs": (), "node_labels": ()}, r"one array per node, got 0 and 0"),
        ({"node_labels": (LABELS[:5], LABELS)}, r"inputs of node 1 .* \(12, 4\), got \(7, 4\)"),
        ({"test_labels": LABELS[:3]}, r"inputs of the test set .* \(3, 4\), got \(12, 4\)"),
        ({"test_inputs": INPUTS[:0], "test_labels": LABELS[:0]}, r"the test set has no examples"),
        ({"num_classes": 2}, r"labels of node 0 must be in \[0, 2\), got 0 to 2"),
        ({"learning_rate": 0.0}, r"learning_rate must be finite and > 0, got 0\.0"),
        ({"learning_rate": math.nan}, r"learning_rate must be finite and > 0, got nan"),
        ({"batch_size": 0}, r"batch_size must be >= 1, got 0"),
        ({"target_accuracy": 94.5}, r"target_accuracy must be a fraction in \(0, 1\], got 94\.5"),
    ],
)
def test_an_unusable_task_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(**changes)

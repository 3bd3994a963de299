"""A perceptron with one hidden layer, in NumPy: a client starts in two seconds, not in five."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .data import Examples, Inputs, Labels

Weights = dict[str, NDArray[np.float32]]


def initial_weights(num_inputs: int, num_hidden: int, num_classes: int, seed: int) -> Weights:
    """Return random weights, scaled by the number of inputs of each unit."""
    rng = np.random.default_rng((seed, *b"weights"))

    def layer(rows: int, columns: int) -> NDArray[np.float32]:
        return np.asarray(rng.standard_normal((rows, columns)) / np.sqrt(rows), np.float32)

    return {
        "hidden": layer(num_inputs, num_hidden),
        "hidden-bias": np.zeros(num_hidden, np.float32),
        "output": layer(num_hidden, num_classes),
        "output-bias": np.zeros(num_classes, np.float32),
    }


def step(weights: Weights, inputs: Inputs, labels: Labels, learning_rate: float) -> float:
    """Take one step of gradient descent in place; return the cross-entropy before it."""
    hidden = np.maximum(inputs @ weights["hidden"] + weights["hidden-bias"], 0)
    errors = _probabilities(hidden @ weights["output"] + weights["output-bias"])
    rows = np.arange(len(labels))
    loss = -float(np.mean(np.log(np.maximum(errors[rows, labels], 1e-12))))
    errors[rows, labels] -= 1
    errors /= len(labels)
    back = (errors @ weights["output"].T) * (hidden > 0)
    weights["output"] -= learning_rate * hidden.T @ errors
    weights["output-bias"] -= learning_rate * errors.sum(axis=0)
    weights["hidden"] -= learning_rate * inputs.T @ back
    weights["hidden-bias"] -= learning_rate * back.sum(axis=0)
    return loss


def accuracy(weights: Weights, examples: Examples) -> float:
    """Return the share of the examples whose most likely class is right."""
    hidden = np.maximum(examples.inputs @ weights["hidden"] + weights["hidden-bias"], 0)
    scores = hidden @ weights["output"] + weights["output-bias"]
    return float(np.mean(scores.argmax(axis=1) == examples.labels))


def batches(examples: Examples, size: int, count: int, key: Iterable[int]) -> list[Examples]:
    """Return `count` random batches, a function of `key`."""
    rng = np.random.default_rng(tuple(key))
    picks = rng.integers(len(examples.labels), size=(count, min(size, len(examples.labels))))
    return [Examples(inputs=examples.inputs[p], labels=examples.labels[p]) for p in picks]


def _probabilities(scores: Inputs) -> Inputs:
    odds: Inputs = np.exp(scores - scores.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds

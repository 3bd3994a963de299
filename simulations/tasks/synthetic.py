"""The task `synthetic`: Synthetic(alpha, beta), where every node has a model of its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulations.tasks.task import Task

NUM_INPUTS = 60
NUM_CLASSES = 10
TEST_FRACTION = 0.2


def load(
    *,
    num_nodes: int,
    seed: int,
    speed_rank: Sequence[int],
    partition: str = "own",
    alpha: float = 0.5,
    beta: float = 0.5,
    max_examples: int = 1000,
    learning_rate: float = 0.03,
    batch_size: int = 10,
    target_accuracy: float = 0.82,
) -> Task:
    """Return Synthetic(alpha, beta) with logistic regression from 60 inputs to 10 classes.

    The examples of node k are y = argmax softmax(W_k x + b_k), where

    - W_k, b_k have elements ~ N(u_k, 1) with u_k ~ N(0, alpha²),
    - x ~ N(v_k, Σ), Σ diagonal with Σ_jj = j^-1.2,
    - v_k has elements ~ N(B_k, 1) with B_k ~ N(0, beta²),
    - their number is floor(lognormal(4, 2)) + 50.

    The paper writes N(0, alpha) and N(0, beta). Its public code passes alpha and beta to
    np.random.normal as standard deviations, and so does this function; the two readings agree
    where they are 0 or 1.

    Two things differ from the public code: a node has at most `max_examples`, as the log-normal
    tail would let one node hold most of the examples, and one fifth of each node's examples is
    pooled as the test set.

    Parameters
    ----------
    num_nodes : int
        Number of nodes.
    seed : int
        Seed; a node's examples are a function of it and of the node's index.
    speed_rank : Sequence[int]
        Rank of every node; it has no influence here.
    partition : str
        ``own``: the recipe gives every node its own examples, there is nothing to partition.
    alpha : float
        Standard deviation over nodes of the models' means, >= 0.
    beta : float
        Standard deviation over nodes of the inputs' means, >= 0.
    max_examples : int
        Cap on a node's examples, test examples included, >= 5.
    learning_rate, batch_size, target_accuracy
        See `Task`.

    Raises
    ------
    ValueError
        If an argument breaks its rule.

    References
    ----------
    Li et al., "Federated Optimization in Heterogeneous Networks", arXiv:1812.06127, sec. 5.1;
    code: github.com/litian96/FedProx, generate_synthetic.py.
    """
    _check(partition, alpha, beta, max_examples)
    nodes = [_examples((seed, *b"node", k), alpha, beta, max_examples) for k in range(num_nodes)]
    num_test = [int(TEST_FRACTION * len(labels)) for _, labels in nodes]
    return Task(
        name="synthetic",
        node_inputs=tuple(x[n:] for n, (x, _) in zip(num_test, nodes, strict=True)),
        node_labels=tuple(y[n:] for n, (_, y) in zip(num_test, nodes, strict=True)),
        test_inputs=np.concatenate([x[:n] for n, (x, _) in zip(num_test, nodes, strict=True)]),
        test_labels=np.concatenate([y[:n] for n, (_, y) in zip(num_test, nodes, strict=True)]),
        hidden=(),
        num_classes=NUM_CLASSES,
        learning_rate=learning_rate,
        batch_size=batch_size,
        target_accuracy=target_accuracy,
    )


def _examples(
    key: tuple[int, ...], alpha: float, beta: float, max_examples: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return inputs and labels of one node, in random order."""
    rng = np.random.default_rng(key)
    model_mean, input_mean = rng.normal(0, alpha), rng.normal(0, beta)
    weights = rng.normal(model_mean, 1, (NUM_INPUTS, NUM_CLASSES))
    biases = rng.normal(model_mean, 1, NUM_CLASSES)
    centre = rng.normal(input_mean, 1, NUM_INPUTS)
    deviations = np.arange(1, NUM_INPUTS + 1) ** (-1.2 / 2)
    num_examples = min(int(rng.lognormal(4, 2)) + 50, max_examples)
    inputs = rng.normal(centre, deviations, (num_examples, NUM_INPUTS))
    labels = np.argmax(inputs @ weights + biases, axis=1)
    return inputs.astype(np.float32), labels.astype(np.int64)


def _check(partition: str, alpha: float, beta: float, max_examples: int) -> None:
    if partition != "own":
        raise ValueError(
            f"task synthetic: partition must be 'own', got {partition!r}: "
            "the recipe gives every node its own examples"
        )
    if not (0 <= alpha < np.inf and 0 <= beta < np.inf):
        raise ValueError(
            f"task synthetic: alpha and beta must be finite and >= 0, got {alpha} and {beta}: "
            "they are standard deviations"
        )
    if max_examples < 5:
        raise ValueError(
            f"task synthetic: max_examples must be >= 5, got {max_examples}: "
            "one fifth of a node's examples goes to the test set"
        )

"""The task `digits`: handwritten digits of 8x8 pixels, embedded in scikit-learn."""

from collections.abc import Sequence

import numpy as np

from simulations.tasks.partition import partition_examples
from simulations.tasks.task import Task

MAX_PIXEL = 16


def load(
    *,
    num_nodes: int,
    seed: int,
    speed_rank: Sequence[int],
    partition: str = "dirichlet",
    alpha: float = 0.5,
    min_examples: int = 10,
    learning_rate: float = 0.4,
    batch_size: int = 16,
    target_accuracy: float = 0.945,
) -> Task:
    """Return the 1797 digits, 80 % spread over the nodes, with a perceptron 64-32-10.

    Parameters
    ----------
    num_nodes : int
        Number of nodes.
    seed : int
        Seed of the train/test split and of the partition.
    speed_rank : Sequence[int]
        Rank of every node, 0 is the fastest.
    partition : str
        ``dirichlet``, ``speed_correlated`` or ``few_classes``.
    alpha : float
        Concentration of the partition.
    min_examples : int
        Least number of examples of a node.
    learning_rate, batch_size, target_accuracy
        See `Task`.

    References
    ----------
    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998; the test part of it, as in sklearn.datasets.load_digits.
    """
    # Here, because it imports half of scipy, which the other tasks do without.
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    inputs = (pixels / MAX_PIXEL).astype(np.float32)
    labels = digits.astype(np.int64)
    order = np.random.default_rng((seed, *b"digits")).permutation(len(labels))
    test, train = np.split(order, [len(labels) // 5])
    parts = partition_examples(
        partition,
        labels[train],
        speed_rank=speed_rank,
        alpha=alpha,
        seed=seed,
        min_examples=min_examples,
    )
    return Task(
        name="digits",
        node_inputs=tuple(inputs[train[part]] for part in parts),
        node_labels=tuple(labels[train[part]] for part in parts),
        test_inputs=inputs[test],
        test_labels=labels[test],
        hidden=(32,),
        num_classes=10,
        learning_rate=learning_rate,
        batch_size=batch_size,
        target_accuracy=target_accuracy,
    )

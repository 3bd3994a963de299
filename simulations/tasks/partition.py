"""Partitions of labelled examples over nodes: label skew alone, or tied to the nodes' speed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PARTITIONS = ("dirichlet", "speed_correlated", "few_classes")
MAX_ATTEMPTS = 100


def dirichlet(
    labels: NDArray[np.int64], num_nodes: int, alpha: float, seed: int, min_examples: int = 10
) -> tuple[NDArray[np.int64], ...]:
    """Return each node's examples, every class spread over the nodes by a Dirichlet draw.

    Of class c, node k gets the share p_ck, where (p_c1, ..., p_cK) ~ Dir(alpha, ..., alpha). A
    small alpha gives each node few classes, a large one gives all nodes the same mix. The draw is
    repeated, as a function of the attempt's index, until every node has `min_examples`.

    Parameters
    ----------
    labels : NDArray[np.int64]
        Class of every example, shape (examples,).
    num_nodes : int
        Number of nodes, K.
    alpha : float
        Concentration, > 0.
    seed : int
        Seed of the partition.
    min_examples : int
        Least number of examples of a node, >= 1.

    Returns
    -------
    tuple[NDArray[np.int64], ...]
        Per node the sorted indices of its examples. They are disjoint and cover all examples.

    Raises
    ------
    ValueError
        If an argument breaks its rule, or after 100 draws without success.

    References
    ----------
    Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated
    Visual Classification", arXiv:1909.06335: label skew by a Dirichlet distribution.
    Yurochkin et al., "Bayesian Nonparametric Federated Learning of Neural Networks",
    arXiv:1905.12022: the draw per class.
    """
    return _redrawn(labels, num_nodes, alpha, min_examples, (seed, *b"dirichlet"))


def speed_correlated(
    labels: NDArray[np.int64],
    speed_rank: Sequence[int],
    alpha: float,
    seed: int,
    num_groups: int = 4,
    min_examples: int = 10,
) -> tuple[NDArray[np.int64], ...]:
    """Return each node's examples, every class held by one speed group alone.

    Nodes are split by speed into `num_groups` groups of equal size (up to one), the classes in
    order into as many, both as by np.array_split: group g alone holds the classes of part g, and
    within the group `dirichlet` spreads them. Of ten classes and four groups the fastest quarter
    alone holds 0, 1, 2 and the slowest alone holds 8, 9, so whoever leaves out the slow nodes
    never learns those.

    Parameters
    ----------
    labels : NDArray[np.int64]
        Class of every example, shape (examples,).
    speed_rank : Sequence[int]
        Rank of every node, a permutation of 0, ..., nodes - 1, where 0 is the fastest.
    alpha : float
        Concentration of `dirichlet` within a group, > 0.
    seed : int
        Seed of the partition.
    num_groups : int
        Number of groups, at most the number of nodes and of classes.
    min_examples : int
        Least number of examples of a node, >= 1.

    Returns
    -------
    tuple[NDArray[np.int64], ...]
        Per node the sorted indices of its examples. They are disjoint and cover all examples.

    Raises
    ------
    ValueError
        If an argument breaks its rule, or `dirichlet` fails within a group.
    """
    classes = np.unique(labels)
    _check_groups(speed_rank, num_groups, len(classes))
    node_groups = np.array_split(np.argsort(speed_rank), num_groups)
    class_groups = np.array_split(classes, num_groups)
    parts: dict[int, NDArray[np.int64]] = {}
    for group, (nodes, held) in enumerate(zip(node_groups, class_groups, strict=True)):
        examples = np.flatnonzero(np.isin(labels, held))
        key = (seed, *b"speed_correlated", group)
        try:
            group_parts = _redrawn(labels[examples], len(nodes), alpha, min_examples, key)
        except ValueError as error:
            raise ValueError(f"speed group {group} of {num_groups}: {error}") from error
        parts |= {int(node): examples[part] for node, part in zip(nodes, group_parts, strict=True)}
    return tuple(parts[node] for node in range(len(speed_rank)))


def few_classes(
    labels: NDArray[np.int64],
    num_nodes: int,
    seed: int,
    num_classes: tuple[int, int] = (3, 5),
    min_examples: int = 10,
) -> tuple[NDArray[np.int64], ...]:
    """Return each node's examples, of a few classes that are drawn at random.

    A node holds 3 to 5 classes. The examples of a class are spread over the nodes that hold it in
    proportion to |z|, z ~ N(10, 3^2). The draw is repeated, as a function of the attempt's index,
    until every class is held and every node has `min_examples`.

    Parameters
    ----------
    num_classes : tuple[int, int] (default: (3, 5))
        Fewest and most classes of a node.
    labels, num_nodes, seed, min_examples
        As for `dirichlet`.

    Raises
    ------
    ValueError
        If an argument breaks its rule, or after 100 draws without success.

    References
    ----------
    Li et al., "FedCompass", arXiv:2309.14675, sec. 5: the class partition, with the figures of
    the authors' code for ten nodes.
    """
    classes = np.unique(labels)
    if not 1 <= num_classes[0] <= num_classes[1] <= len(classes):
        raise ValueError(
            f"num_classes must be a range within 1 to {len(classes)}, the number of classes, "
            f"got {num_classes}"
        )
    _check_size(len(labels), num_nodes, min_examples)
    for attempt in range(MAX_ATTEMPTS):
        rng = np.random.default_rng((seed, *b"few_classes", attempt))
        weights = np.zeros((len(classes), num_nodes))
        for node in range(num_nodes):
            held = rng.permutation(len(classes))[: rng.integers(num_classes[0], num_classes[1] + 1)]
            weights[held, node] = np.abs(rng.normal(10, 3, len(held)))
        if weights.sum(axis=1).min() == 0:
            continue
        node_of = np.empty(len(labels), dtype=np.int64)
        for label, row in zip(classes, weights, strict=True):
            examples = rng.permutation(np.flatnonzero(labels == label))
            node_of[examples] = _spread(len(examples), row / row.sum())
        if np.bincount(node_of, minlength=num_nodes).min() >= min_examples:
            return tuple(np.flatnonzero(node_of == node) for node in range(num_nodes))
    raise ValueError(
        f"no partition of {len(classes)} classes over num_nodes={num_nodes} gave every node "
        f"min_examples={min_examples} and every class a node in {MAX_ATTEMPTS} draws: use more "
        "nodes or a smaller min_examples"
    )


def partition_examples(
    partition: str,
    labels: NDArray[np.int64],
    *,
    speed_rank: Sequence[int],
    alpha: float,
    seed: int,
    min_examples: int,
) -> tuple[NDArray[np.int64], ...]:
    """Return the partition named `partition`, one of `PARTITIONS`, with a node per speed rank."""
    if partition == "dirichlet":
        return dirichlet(labels, len(speed_rank), alpha, seed, min_examples)
    if partition == "speed_correlated":
        return speed_correlated(labels, speed_rank, alpha, seed, min_examples=min_examples)
    if partition == "few_classes":
        return few_classes(labels, len(speed_rank), seed, min_examples=min_examples)
    raise ValueError(f"unknown partition {partition!r}: valid: {', '.join(PARTITIONS)}")


def _redrawn(
    labels: NDArray[np.int64],
    num_nodes: int,
    alpha: float,
    min_examples: int,
    key: tuple[int, ...],
) -> tuple[NDArray[np.int64], ...]:
    _check_draw(len(labels), num_nodes, alpha, min_examples)
    for attempt in range(MAX_ATTEMPTS):
        rng = np.random.default_rng((*key, attempt))
        node_of = np.empty(len(labels), dtype=np.int64)
        for label in np.unique(labels):
            examples = rng.permutation(np.flatnonzero(labels == label))
            shares = rng.dirichlet(np.full(num_nodes, alpha))
            node_of[examples] = _spread(len(examples), shares)
        if np.bincount(node_of, minlength=num_nodes).min() >= min_examples:
            return tuple(np.flatnonzero(node_of == node) for node in range(num_nodes))
    raise ValueError(
        f"no Dirichlet partition with alpha={alpha} over num_nodes={num_nodes} gave every node "
        f"min_examples={min_examples} of {len(labels)} examples in {MAX_ATTEMPTS} draws: "
        "use a larger alpha, fewer nodes or a smaller min_examples"
    )


def _spread(num_examples: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the node of each of so many examples, spread over the nodes by their shares."""
    cuts = np.rint(np.cumsum(shares) * num_examples)
    return np.searchsorted(cuts[:-1], np.arange(num_examples), side="right")


def _check_draw(num_examples: int, num_nodes: int, alpha: float, min_examples: int) -> None:
    if not (alpha > 0 and np.isfinite(alpha)):
        raise ValueError(
            f"alpha must be finite and > 0, got {alpha}: 0.1 is strong label skew, 100 almost none"
        )
    _check_size(num_examples, num_nodes, min_examples)


def _check_size(num_examples: int, num_nodes: int, min_examples: int) -> None:
    if num_nodes < 1 or min_examples < 1:
        raise ValueError(
            f"num_nodes and min_examples must be >= 1, got {num_nodes} and {min_examples}"
        )
    if num_nodes * min_examples > num_examples:
        raise ValueError(
            f"num_nodes={num_nodes} with min_examples={min_examples} each need "
            f"{num_nodes * min_examples} examples, got {num_examples}: use fewer nodes"
        )


def _check_groups(speed_rank: Sequence[int], num_groups: int, num_classes: int) -> None:
    num_nodes = len(speed_rank)
    if sorted(speed_rank) != list(range(num_nodes)):
        raise ValueError(
            f"speed_rank must be a permutation of 0, ..., {num_nodes - 1} (0 is the fastest), "
            f"got {list(speed_rank)}"
        )
    if not 1 <= num_groups <= min(num_nodes, num_classes):
        raise ValueError(
            f"num_groups must be between 1 and the number of nodes ({num_nodes}) and of classes "
            f"({num_classes}), got {num_groups}: use fewer groups or more nodes"
        )

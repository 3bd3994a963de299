"""A partition places every example on exactly one node, as its rule says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulations.tasks.partition import (
    dirichlet,
    few_classes,
    partition_examples,
    speed_correlated,
)

Partition = tuple[NDArray[np.int64], ...]

LABELS = np.random.default_rng((0, 2)).integers(10, size=1000)


def assert_disjoint_and_complete(parts: Partition, num_examples: int) -> None:
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(num_examples))


def same(a: Partition, b: Partition) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.floats(0.3, 100), st.integers(0, 2**32))
def test_dirichlet_places_every_example_once(num_nodes: int, alpha: float, seed: int) -> None:
    parts = dirichlet(LABELS, num_nodes, alpha, seed, min_examples=1)
    assert len(parts) == num_nodes
    assert_disjoint_and_complete(parts, len(LABELS))


def test_dirichlet_gives_every_node_min_examples() -> None:
    for seed in range(5):
        parts = dirichlet(LABELS, 20, 0.3, seed, min_examples=15)
        assert min(map(len, parts)) >= 15


def test_one_node_gets_everything() -> None:
    (part,) = dirichlet(LABELS, 1, 0.5, 0)
    assert np.array_equal(part, np.arange(len(LABELS)))


def test_a_large_alpha_gives_every_node_the_same_mix() -> None:
    labels = np.repeat(np.arange(10), 100)
    for part in dirichlet(labels, 5, 1e7, 0):
        assert np.abs(np.bincount(labels[part]) - 20).max() <= 1


def test_a_small_alpha_gives_each_class_to_few_nodes() -> None:
    parts = dirichlet(LABELS, 5, 0.01, 0, min_examples=1)
    shares = np.array([np.bincount(LABELS[part], minlength=10) for part in parts])
    assert np.median(shares.max(axis=0) / shares.sum(axis=0)) > 0.95


def test_a_partition_is_a_function_of_the_seed() -> None:
    ranks = range(8)
    assert same(dirichlet(LABELS, 8, 0.5, 0), dirichlet(LABELS, 8, 0.5, 0))
    assert not same(dirichlet(LABELS, 8, 0.5, 0), dirichlet(LABELS, 8, 0.5, 1))
    assert same(speed_correlated(LABELS, ranks, 1.0, 0), speed_correlated(LABELS, ranks, 1.0, 0))
    assert not same(
        speed_correlated(LABELS, ranks, 1.0, 0), speed_correlated(LABELS, ranks, 1.0, 1)
    )


def test_each_speed_group_alone_holds_its_classes() -> None:
    speed_rank = [3, 7, 0, 5, 1, 6, 2, 4]
    owned = [{0, 1, 2}, {3, 4, 5}, {6, 7}, {8, 9}]
    parts = speed_correlated(LABELS, speed_rank, 1.0, 0)
    assert_disjoint_and_complete(parts, len(LABELS))
    for rank, part in zip(speed_rank, parts, strict=True):
        assert set(LABELS[part]) <= owned[rank // 2]
        assert len(part) >= 10


def test_groups_of_a_number_that_does_not_divide_differ_by_one_node() -> None:
    parts = speed_correlated(LABELS, range(6), 1.0, 0)
    sizes = [
        sum(set(LABELS[part]) <= owned for part in parts)
        for owned in ({0, 1, 2}, {3, 4, 5}, {6, 7}, {8, 9})
    ]
    assert sizes == [2, 2, 1, 1]


def test_one_group_is_a_dirichlet_partition_of_all_classes() -> None:
    parts = speed_correlated(LABELS, range(4), 100.0, 0, num_groups=1)
    assert_disjoint_and_complete(parts, len(LABELS))
    assert all(len(set(LABELS[part])) == 10 for part in parts)


def test_a_partition_is_chosen_by_name() -> None:
    ranks = [2, 0, 1, 3]
    arguments: dict[str, Any] = {"speed_rank": ranks, "alpha": 0.5, "seed": 1, "min_examples": 5}
    by_class = partition_examples("dirichlet", LABELS, **arguments)
    by_speed = partition_examples("speed_correlated", LABELS, **arguments)
    assert same(by_class, dirichlet(LABELS, 4, 0.5, 1, 5))
    assert same(by_speed, speed_correlated(LABELS, ranks, 0.5, 1, min_examples=5))
    with pytest.raises(ValueError, match=r"unknown partition 'iid': valid: dirichlet, speed_corr"):
        partition_examples("iid", LABELS, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0}, r"alpha must be finite and > 0, got 0\.0"),
        ({"alpha": float("nan")}, r"alpha must be finite and > 0, got nan"),
        ({"num_nodes": 0}, r"num_nodes and min_examples must be >= 1, got 0 and 10"),
        ({"min_examples": 0}, r"num_nodes and min_examples must be >= 1, got 4 and 0"),
        (
            {"num_nodes": 101},
            r"num_nodes=101 with min_examples=10 each need 1010 examples, got 1000: use fewer",
        ),
        ({"num_nodes": 1001, "min_examples": 1}, r"need 1001 examples, got 1000: use fewer nodes"),
        (
            {"num_nodes": 90, "alpha": 0.01},
            r"alpha=0\.01 over num_nodes=90 .* in 100 draws: use a larger alpha, fewer nodes",
        ),
    ],
)
def test_dirichlet_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dirichlet(LABELS, **{"num_nodes": 4, "alpha": 0.5, "seed": 0} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speed_rank": [1, 2, 3, 4]}, r"speed_rank must be a permutation of 0, \.\.\., 3"),
        ({"speed_rank": [0, 0, 1, 2]}, r"speed_rank must be a permutation of 0, \.\.\., 3"),
        ({"num_groups": 0}, r"num_groups must be between 1 and .*, got 0"),
        ({"num_groups": 5}, r"nodes \(4\) and of classes \(10\), got 5: use fewer groups"),
        ({"speed_rank": range(12), "num_groups": 11}, r"nodes \(12\) .* \(10\), got 11"),
        ({"alpha": -1.0}, r"speed group 0 of 4: alpha must be finite and > 0, got -1\.0"),
        ({"min_examples": 900}, r"speed group 0 of 4: .* need 900 examples.*: use fewer nodes"),
    ],
)
def test_speed_correlated_refuses(arguments: dict[str, Any], message: str) -> None:
    defaults: dict[str, Any] = {"speed_rank": range(4), "alpha": 1.0, "seed": 0}
    with pytest.raises(ValueError, match=message):
        speed_correlated(LABELS, **defaults | arguments)


def test_few_classes_gives_every_node_three_to_five_and_every_class_a_node() -> None:
    for seed in range(5):
        parts = few_classes(LABELS, 10, seed)
        assert_disjoint_and_complete(parts, len(LABELS))
        held = [np.unique(LABELS[part]) for part in parts]
        assert all(3 <= len(classes) <= 5 for classes in held)
        assert set(np.concatenate(held)) == set(range(10))
        assert min(map(len, parts)) >= 10


def test_few_classes_is_a_function_of_its_seed_and_one_of_the_partitions() -> None:
    assert same(few_classes(LABELS, 10, 3), few_classes(LABELS, 10, 3))
    assert not same(few_classes(LABELS, 10, 3), few_classes(LABELS, 10, 4))
    named = partition_examples(
        "few_classes", LABELS, speed_rank=range(10), alpha=0.3, seed=3, min_examples=10
    )
    assert same(named, few_classes(LABELS, 10, 3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_classes": (0, 5)}, r"num_classes must be a range within 1 to 10, .* got \(0, 5\)"),
        ({"num_classes": (3, 11)}, r"within 1 to 10, the number of classes, got \(3, 11\)"),
        ({"min_examples": 101}, "num_nodes=10 with min_examples=101 each need 1010 examples"),
        ({"num_classes": (1, 1), "num_nodes": 9}, "every class a node in 100 draws: use more"),
    ],
)
def test_few_classes_that_cannot_be_are_errors(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        few_classes(LABELS, options.pop("num_nodes", 10), 0, **options)

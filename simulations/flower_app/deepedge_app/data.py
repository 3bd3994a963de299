"""What is learned: the digits embedded in scikit-learn, or arrays in a file."""

import gzip
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Inputs = NDArray[np.float32]
Labels = NDArray[np.int64]

DIGITS = "digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Inputs, shape (examples, features), and their classes."""

    inputs: Inputs
    labels: Labels


def load_test(source: str, seed: int) -> Examples:
    """Return what the server evaluates on: a fifth of the digits, or a file."""
    return _digits(seed)[0] if source == DIGITS else load_file(source)


def load_partition(index: int, num_partitions: int, seed: int) -> Examples:
    """Return a node's share of the digits, in which every node has its own mix of classes.

    Of class c, node k gets a share drawn from a Dirichlet distribution with concentration 0.5
    (Hsu et al., arXiv:1909.06335). A node that would be left with nothing gets one example.
    """
    if not 0 <= index < num_partitions:
        raise ValueError(
            f"node config partition-id must be in 0..{num_partitions - 1}, got {index}: it counts "
            "the nodes, num-partitions is how many there are"
        )
    train = _digits(seed)[1]
    shares = np.random.default_rng((seed, *b"shares")).dirichlet([0.5] * num_partitions, 10)
    chosen = [np.flatnonzero(train.labels == c) for c in range(10)]
    parts = []
    for found, share in zip(chosen, shares, strict=True):
        edges = np.concatenate(([0], np.round(np.cumsum(share) * len(found)).astype(int)))
        parts.append(found[edges[index] : edges[index + 1]])
    mine = np.concatenate(parts)
    mine = mine if len(mine) else np.array([index % len(train.labels)])
    return Examples(inputs=train.inputs[mine], labels=train.labels[mine])


def load_file(path: str) -> Examples:
    """Return the arrays `inputs` and `labels` of an .npz file; nothing in it is executed.

    Raises
    ------
    ValueError
        If it is not there or holds something else.
    """
    try:
        with np.load(Path(path).expanduser(), allow_pickle=False) as file:
            inputs, labels = file["inputs"], file["labels"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"data must be {DIGITS!r} or an .npz file with `inputs` and `labels`, got {path}: "
            f"{error}"
        ) from error
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not len(labels):
        raise ValueError(
            f"{path}: inputs must have the shape (examples, features) and labels (examples,), got "
            f"{inputs.shape} and {labels.shape}"
        )
    return Examples(inputs=inputs.astype(np.float32), labels=labels.astype(np.int64))


def _digits(seed: int) -> tuple[Examples, Examples]:
    """Return the digits in test and training examples.

    From scikit-learn's file and not from its function, which imports half of scipy: a client
    process is started for every message.
    """
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise ValueError("data 'digits' needs scikit-learn: install it, or give an .npz file")
    with gzip.open(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:
        table = np.loadtxt(file, delimiter=",")
    order = np.random.default_rng((seed, *b"split")).permutation(len(table))
    inputs, labels = (table[order, :-1] / 16).astype(np.float32), table[order, -1].astype(np.int64)
    cut = len(table) // 5
    return (
        Examples(inputs=inputs[:cut], labels=labels[:cut]),
        Examples(inputs=inputs[cut:], labels=labels[cut:]),
    )

"""The task `fashion_mnist`: clothing images, read from the IDX files of a folder."""

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulations.tasks.partition import partition_examples
from simulations.tasks.task import Task

DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
UNSIGNED_BYTE = 0x08
MAX_PIXEL = 255


def load(
    *,
    num_nodes: int,
    seed: int,
    speed_rank: Sequence[int],
    folder: str = DEBIAN_FOLDER,
    num_train: int = 20_000,
    num_test: int = 3_000,
    partition: str = "dirichlet",
    alpha: float = 0.3,
    min_examples: int = 10,
    learning_rate: float = 0.1,
    batch_size: int = 16,
    target_accuracy: float = 0.79,
) -> Task:
    """Return Fashion-MNIST at 14x14 pixels (mean of each 2x2) with a perceptron 196-32-10.

    Parameters
    ----------
    num_nodes : int
        Number of nodes.
    seed : int
        Seed of the partition.
    speed_rank : Sequence[int]
        Rank of every node, 0 is the fastest.
    folder : str
        Folder with the four IDX files, plain or with the suffix ``.gz``; by default the one of
        Debian's package dataset-fashion-mnist.
    num_train, num_test : int
        Number of images, the first of each file.
    partition : str
        ``dirichlet``, ``speed_correlated`` or ``few_classes``.
    alpha : float
        Concentration of the partition.
    min_examples : int
        Least number of examples of a node.
    learning_rate, batch_size, target_accuracy
        See `Task`.

    Raises
    ------
    FileNotFoundError
        If the folder or a file is missing.
    ValueError
        If a file is malformed or holds too few images.

    References
    ----------
    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms", arXiv:1708.07747.
    """
    inputs, labels = _read_examples(Path(folder), "train", num_train)
    test_inputs, test_labels = _read_examples(Path(folder), "t10k", num_test)
    parts = partition_examples(
        partition,
        labels,
        speed_rank=speed_rank,
        alpha=alpha,
        seed=seed,
        min_examples=min_examples,
    )
    return Task(
        name="fashion_mnist",
        node_inputs=tuple(inputs[part] for part in parts),
        node_labels=tuple(labels[part] for part in parts),
        test_inputs=test_inputs,
        test_labels=test_labels,
        hidden=(32,),
        num_classes=10,
        learning_rate=learning_rate,
        batch_size=batch_size,
        target_accuracy=target_accuracy,
    )


def read_idx(path: Path, num_dims: int, count: int) -> NDArray[np.uint8]:
    """Return the first `count` items of an IDX file of unsigned bytes.

    The format is 0, 0, 0x08, number of dimensions, the dimensions as big-endian 32-bit integers,
    then the items in row-major order.

    Parameters
    ----------
    path : Path
        The file; with the suffix ``.gz`` it is decompressed.
    num_dims : int
        Number of dimensions the file must have.
    count : int
        Number of items to read, >= 1.

    Raises
    ------
    ValueError
        If the file is malformed or holds fewer items.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if magic != bytes((0, 0, UNSIGNED_BYTE, num_dims)):
                raise ValueError(
                    f"{path}: not an IDX file of unsigned bytes in {num_dims} dimension(s), "
                    f"it starts with {magic.hex(' ') or 'nothing'}: replace it"
                )
            sizes = file.read(4 * num_dims)
            if len(sizes) < 4 * num_dims:
                raise ValueError(f"{path}: ends within its header: replace it")
            shape = np.frombuffer(sizes, dtype=">u4").tolist()
            if not 1 <= count <= shape[0]:
                raise ValueError(
                    f"{path}: holds {shape[0]} items, asked for {count}: set num_train or num_test"
                )
            num_bytes = count * math.prod(shape[1:])
            content = file.read(num_bytes)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: broken gzip file ({error}): replace it") from error
    if len(content) < num_bytes:
        raise ValueError(f"{path}: ends before its item {count}: replace it")
    return np.frombuffer(content, dtype=np.uint8).reshape(count, *shape[1:])


def _read_examples(
    folder: Path, prefix: str, count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    images_path = _find(folder, f"{prefix}-images-idx3-ubyte")
    images = read_idx(images_path, 3, count)
    labels = read_idx(_find(folder, f"{prefix}-labels-idx1-ubyte"), 1, count)
    height, width = images.shape[1:]
    if height % 2 or width % 2 or not images.size:
        raise ValueError(
            f"{images_path}: images must have an even height and width, got {height}x{width}: "
            "Fashion-MNIST has 28x28"
        )
    squares = images.reshape(count, height // 2, 2, width // 2, 2)
    pooled = squares.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)
    return pooled / np.float32(MAX_PIXEL), labels.astype(np.int64)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder / name} (or .gz) not found: install Debian's package dataset-fashion-mnist, "
        "or give the folder of the four IDX files with task.folder="
    )

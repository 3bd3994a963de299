"""IDX files are read, checked and pooled; what is missing is named with its remedy."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulations.tasks import Task
from simulations.tasks.fashion_mnist import fashion_mnist_task, pool, read_idx

RNG = np.random.default_rng((0, 3))
TRAIN_IMAGES = RNG.integers(256, size=(200, 4, 6))
TRAIN_LABELS = np.arange(200) % 10
TEST_IMAGES = RNG.integers(256, size=(30, 4, 6))
TEST_LABELS = np.arange(30) % 10
FILES = {
    "train-images-idx3-ubyte": TRAIN_IMAGES,
    "train-labels-idx1-ubyte": TRAIN_LABELS,
    "t10k-images-idx3-ubyte": TEST_IMAGES,
    "t10k-labels-idx1-ubyte": TEST_LABELS,
}


def idx(array: NDArray[Any]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def write_plain(folder: Path) -> None:
    for name, array in FILES.items():
        (folder / name).write_bytes(idx(array))


def write_gzipped(folder: Path) -> None:
    for name, array in FILES.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))


def make_task(folder: Path, **changes: Any) -> Task:
    arguments: dict[str, Any] = {
        "num_train": 150,
        "num_test": 20,
        "partition": "dirichlet",
        "alpha": 1.0,
        "min_examples": 2,
        "learning_rate": 0.1,
        "batch_size": 16,
        "target_accuracy": 0.79,
        "seed": 0,
        "speed_rank": range(4),
    }
    return fashion_mnist_task(folder=str(folder), **arguments | changes)


@pytest.mark.parametrize("write", [write_plain, write_gzipped])
def test_the_first_images_are_pooled(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    task = make_task(tmp_path)
    np.testing.assert_array_equal(task.test_labels, TEST_LABELS[:20])
    np.testing.assert_array_equal(task.test_inputs, pool(TEST_IMAGES[:20].astype(np.uint8)))
    placed = np.concatenate(task.node_inputs)
    expected = pool(TRAIN_IMAGES[:150].astype(np.uint8))
    np.testing.assert_array_equal(placed[np.lexsort(placed.T)], expected[np.lexsort(expected.T)])
    assert [p.shape for p in task.build_model(0).parameters()][:1] == [(32, 6)]


def test_pooling_averages_two_by_two_and_scales() -> None:
    image = np.array([[[0, 255, 10, 20], [255, 0, 30, 40]]], np.uint8)
    np.testing.assert_allclose(pool(image), [[0.5, 25 / 255]], rtol=1e-6)
    assert pool(image).dtype == np.float32


def test_the_slowest_quarter_alone_holds_eight_and_nine(tmp_path: Path) -> None:
    write_plain(tmp_path)
    task = make_task(tmp_path, partition="speed_correlated", speed_rank=[2, 3, 0, 1])
    assert [set(labels) for labels in task.node_labels] == [{6, 7}, {8, 9}, {0, 1, 2}, {3, 4, 5}]


def test_the_partition_is_a_function_of_the_seed(tmp_path: Path) -> None:
    write_plain(tmp_path)
    first, again, other = make_task(tmp_path), make_task(tmp_path), make_task(tmp_path, seed=1)
    np.testing.assert_array_equal(first.node_inputs[0], again.node_inputs[0])
    assert not np.array_equal(first.node_inputs[0], other.node_inputs[0])
    np.testing.assert_array_equal(first.test_inputs, other.test_inputs)


def test_a_missing_folder_names_the_package_and_the_option(tmp_path: Path) -> None:
    folder = tmp_path / "absent"
    message = rf"folder {re.escape(str(folder))} not found: .*dataset-fashion-mnist.*task\.folder="
    with pytest.raises(FileNotFoundError, match=message):
        make_task(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_gzipped(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    message = r"t10k-labels-idx1-ubyte\[\.gz\] not found: .*dataset-fashion-mnist.*task\.folder="
    with pytest.raises(FileNotFoundError, match=message):
        make_task(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must start with 00 00 08"),
        (b"\x00\x00\x0d\x01", "must start with 00 00 08, got 00 00 0d"),
        (b"\x00\x00\x08\x03\x00", "ends within its header of 16 bytes"),
        (idx(np.zeros(5))[:-1], "must hold 5 elements, got 4"),
        (idx(np.zeros(5)) + b"0", "must hold 5 elements, got 6"),
    ],
)
def test_a_malformed_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: {message}"):
        read_idx(path)


@pytest.mark.parametrize("content", [b"plain", gzip.compress(idx(np.zeros(50)))[:-9]])
def test_a_broken_gzip_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"labels\.gz: not a complete gzip file"):
        read_idx(path)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-images-idx3-ubyte", np.zeros((200, 5, 6)), "images of even size"),
        ("train-images-idx3-ubyte", np.zeros(200), "images of even size"),
        ("train-labels-idx1-ubyte", np.zeros(199), "one label per image"),
        ("t10k-labels-idx1-ubyte", np.full(30, 10), "labels must be below 10, got 10"),
    ],
)
def test_files_that_do_not_fit_are_named(
    name: str, array: NDArray[Any], message: str, tmp_path: Path
) -> None:
    write_plain(tmp_path)
    (tmp_path / name).write_bytes(idx(array))
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        make_task(tmp_path)


@pytest.mark.parametrize(("key", "count"), [("num_train", 201), ("num_test", 0)])
def test_more_images_than_there_are_is_refused(key: str, count: int, tmp_path: Path) -> None:
    write_plain(tmp_path)
    with pytest.raises(ValueError, match=rf"{key} must be in .* got {count}: set task\.{key}="):
        make_task(tmp_path, **{key: count})

"""IDX files are read, checked and pooled; what is missing is named with its remedy."""

import gzip
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulations.tasks import Task
from simulations.tasks.fashion_mnist import load, read_idx

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


def make_task(folder: Path, speed_rank: Sequence[int] = range(4), **changes: Any) -> Task:
    arguments: dict[str, Any] = {
        "num_train": 150,
        "num_test": 20,
        "alpha": 1.0,
        "min_examples": 2,
        "seed": 0,
    }
    num_nodes = len(speed_rank)
    return load(
        folder=str(folder), num_nodes=num_nodes, speed_rank=speed_rank, **arguments | changes
    )


def pooled(images: NDArray[Any]) -> NDArray[Any]:
    rows = images[:, ::2] + images[:, 1::2]
    means: NDArray[Any] = (rows[:, :, ::2] + rows[:, :, 1::2]) / (4 * 255)
    return means.reshape(len(images), -1)


@pytest.mark.parametrize("write", [write_plain, write_gzipped])
def test_the_first_images_are_pooled(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    task = make_task(tmp_path)
    np.testing.assert_array_equal(task.test_labels, TEST_LABELS[:20])
    np.testing.assert_allclose(task.test_inputs, pooled(TEST_IMAGES[:20]), rtol=1e-6)
    placed, expected = np.concatenate(task.node_inputs), pooled(TRAIN_IMAGES[:150])
    np.testing.assert_allclose(np.sort(placed, axis=0), np.sort(expected, axis=0), rtol=1e-6)
    assert placed.dtype == task.test_inputs.dtype == np.float32
    assert next(task.build_model(0).parameters()).shape == (32, 6)


def test_the_slowest_quarter_alone_holds_eight_and_nine(tmp_path: Path) -> None:
    write_plain(tmp_path)
    task = make_task(tmp_path, [2, 3, 0, 1], partition="speed_correlated")
    assert [set(labels) for labels in task.node_labels] == [{6, 7}, {8, 9}, {0, 1, 2}, {3, 4, 5}]


def test_the_partition_is_a_function_of_the_seed(tmp_path: Path) -> None:
    write_plain(tmp_path)
    first, again, other = make_task(tmp_path), make_task(tmp_path), make_task(tmp_path, seed=1)
    np.testing.assert_array_equal(first.node_inputs[0], again.node_inputs[0])
    assert not np.array_equal(first.node_inputs[0], other.node_inputs[0])
    np.testing.assert_array_equal(first.test_inputs, other.test_inputs)


def test_a_missing_folder_names_the_package_and_the_option(tmp_path: Path) -> None:
    folder = tmp_path / "absent"
    message = rf"^{re.escape(str(folder))}.* not found: .*dataset-fashion-mnist.*task\.folder="
    with pytest.raises(FileNotFoundError, match=message):
        make_task(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_gzipped(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    message = (
        r"t10k-labels-idx1-ubyte \(or \.gz\) not found: .*dataset-fashion-mnist.*task\.folder="
    )
    with pytest.raises(FileNotFoundError, match=message):
        make_task(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file of unsigned bytes .* it starts with nothing"),
        (b"\x00\x00\x0d\x01", "not an IDX file .* it starts with 00 00 0d 01"),
        (idx(np.zeros((5, 2))), r"not an IDX file of unsigned bytes in 1 dimension\(s\)"),
        (b"\x00\x00\x08\x01\x00", "ends within its header"),
        (idx(np.zeros(5))[:-1], "ends before its item 5"),
        (idx(np.zeros(4)), "holds 4 items, asked for 5: set num_train or num_test"),
    ],
)
def test_a_malformed_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: {message}"):
        read_idx(path, num_dims=1, count=5)


@pytest.mark.parametrize(
    "content", [b"plain", gzip.compress(idx(np.zeros(5)))[:-12]], ids=["not gzip", "truncated"]
)
def test_a_broken_gzip_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"labels\.gz: broken gzip file"):
        read_idx(path, num_dims=1, count=5)


def test_only_the_items_asked_for_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(idx(np.arange(10)))
    np.testing.assert_array_equal(read_idx(path, num_dims=1, count=3), [0, 1, 2])


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-images-idx3-ubyte", np.zeros((200, 5, 6)), "even height and width, got 5x6"),
        ("train-images-idx3-ubyte", np.zeros(200), "it starts with 00 00 08 01"),
        ("train-labels-idx1-ubyte", np.zeros(149), "holds 149 items, asked for 150"),
    ],
)
def test_files_that_do_not_fit_are_named(
    name: str, array: NDArray[Any], message: str, tmp_path: Path
) -> None:
    write_plain(tmp_path)
    (tmp_path / name).write_bytes(idx(array))
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        make_task(tmp_path)


def test_a_label_that_is_no_class_is_refused(tmp_path: Path) -> None:
    write_plain(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(30, 10)))
    with pytest.raises(ValueError, match=r"labels of the test set must be in \[0, 10\), got 10"):
        make_task(tmp_path)

"""A checkpoint is there whole or not at all, and one is always left."""

from pathlib import Path
from typing import Any

import pytest

from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.core.state import Packed, pack


def numbers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "new" / "one")
    assert folder.read() is None
    for i in range(5):
        folder.write(pack({"i": i}))
    assert numbers(folder.path) == ["checkpoint-00000004.bin", "checkpoint-00000005.bin"]
    assert CheckpointFolder(folder.path).read() == {"i": 4}


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CheckpointFolder("~/state").path == tmp_path / "state"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:-40] + b[-39:]])
def test_a_damaged_one_is_told_and_the_one_before_used(tmp_path: Path, damage: Any) -> None:
    folder = CheckpointFolder(tmp_path)
    for i in range(3):
        folder.write(pack({"i": i}))
    newest = tmp_path / "checkpoint-00000003.bin"
    newest.write_bytes(damage(newest.read_bytes()))
    told: list[str] = []
    assert folder.read(lambda path, reason: told.append(path.name)) == {"i": 1}
    assert told == [newest.name]
    folder.write(pack({"i": 9}))  # does not push out the only good one for the damaged one
    assert numbers(tmp_path) == [
        "checkpoint-00000002.bin",
        "checkpoint-00000003.bin",
        "checkpoint-00000003.damaged",
    ]
    assert folder.read() == {"i": 9}


def test_a_write_that_fails_leaves_the_ones_before(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.write(pack({"i": 0}))

    class Full:
        def __iter__(self) -> Any:
            yield b"a part"
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        folder.write(Full())  # type: ignore[arg-type]
    assert numbers(tmp_path) == ["checkpoint-00000001.bin"]
    assert folder.read() == {"i": 0}


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    folder = CheckpointFolder(tmp_path)
    assert folder.read() is None
    folder.write(Packed((b"",)))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_a_killed_process_had_begun_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "unfinished").write_bytes(b"torn" * 1000)
    folder = CheckpointFolder(tmp_path)
    assert folder.read() is None
    folder.write(pack({"i": 0}))
    assert numbers(tmp_path) == ["checkpoint-00000001.bin"]
    assert folder.read() == {"i": 0}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"checkpoint_dir must be a folder.*file"):
        CheckpointFolder(tmp_path / "file")

"""Checkpoints are written beside the loop: the newest counts."""

import logging
from pathlib import Path
from threading import Event

import pytest

from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.core.state import Packed, pack
from deepedge_flwr.strategy.checkpoint_writer import CheckpointWriter


class Slow(CheckpointFolder):
    """Begins its first write and goes on when it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.begun, self.may_go_on = Event(), Event()
        self.num_written = 0

    def write(self, packed: Packed) -> None:
        self.begun.set()
        assert self.may_go_on.wait(30)
        self.num_written += 1
        super().write(packed)


def test_the_loop_does_not_wait_and_only_the_newest_is_written_next(tmp_path: Path) -> None:
    folder = Slow(tmp_path)
    writer = CheckpointWriter(folder)
    writer.write(pack({"i": 0}))
    assert folder.begun.wait(30)
    for i in range(1, 5):
        writer.write(pack({"i": i}))
    folder.may_go_on.set()
    writer.close()
    assert folder.num_written == 2
    assert folder.read() == {"i": 4}


@pytest.mark.parametrize("error", [OSError("no space left on device"), MemoryError()])
def test_a_full_disk_is_an_event_and_the_next_one_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    class Full(Slow):
        def write(self, packed: Packed) -> None:
            super().write(packed)
            if self.num_written == 1:
                raise error

    folder = Full(tmp_path)
    writer = CheckpointWriter(folder)
    writer.write(pack({"i": 0}))
    assert folder.begun.wait(30)
    writer.write(pack({"i": 1}))
    folder.may_go_on.set()
    writer.close()
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert (str(error) or "MemoryError()") in record.getMessage()
    assert folder.read() == {"i": 1}


def test_what_is_handed_over_before_the_end_is_on_the_disk(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    writer = CheckpointWriter(folder)
    writer.write(pack({"i": 7}))
    writer.close()
    assert folder.read() == {"i": 7}


def test_what_is_written_now_is_on_the_disk_at_once_or_an_error(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "state")
    writer = CheckpointWriter(folder)
    writer.write_now(pack({"i": 3}))
    assert folder.read() == {"i": 3}
    folder.path = tmp_path / "gone"
    with pytest.raises(OSError, match="gone"):
        writer.write_now(pack({"i": 4}))
    writer.close()

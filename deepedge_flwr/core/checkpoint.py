"""States on disk: written whole or not at all, checked when read, two generations kept."""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from .state import Damaged, Packed, State, unpack

_NAME = re.compile(r"checkpoint-(\d{8})\.bin")
_UNFINISHED = "unfinished"  # always the same: what a killed process leaves is written over
_GENERATIONS = 2


class CheckpointFolder:
    """A folder of numbered checkpoints, of which the newest two are kept.

    A checkpoint is written under another name, flushed to the disk and then renamed, so that a
    process may be killed at any instant: what has its final name is complete. A checksum tells
    whether it still is.

    Parameters
    ----------
    path : str | os.PathLike
        The folder, made if it does not exist. One run at a time may write to it.

    Raises
    ------
    ValueError
        If there is something else at the path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir must be a folder that can be made, got {self.path}: "
                f"{error.strerror}: give another path"
            ) from error

    def write(self, packed: Packed) -> None:
        """Write the next generation, and drop what is older than the one before.

        Raises
        ------
        OSError
            If it cannot be written; earlier generations stay as they are.
        """
        newest = max(self._numbers(), default=0)
        unfinished = self.path / _UNFINISHED
        try:
            with unfinished.open("wb") as file:
                for part in packed:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._file(newest + 1))
        finally:
            unfinished.unlink(missing_ok=True)
        self._sync()
        for number in self._numbers():
            if number <= newest + 1 - _GENERATIONS:
                self._file(number).unlink(missing_ok=True)

    def read(self, on_damage: Callable[[Path, str], None] | None = None) -> State | None:
        """Return the newest state that is intact; None if there is none.

        Damaged ones are renamed, so that they do not count as a generation.

        Parameters
        ----------
        on_damage : Callable[[Path, str], None] | None (default: None)
            Told of every newer checkpoint that is not, and why.
        """
        for number in sorted(self._numbers(), reverse=True):
            file = self._file(number)
            try:
                return unpack(file.read_bytes())
            except (OSError, Damaged) as error:
                if on_damage is not None:
                    on_damage(file, str(error))
                with contextlib.suppress(OSError):
                    file.rename(file.with_suffix(".damaged"))
        return None

    def _numbers(self) -> list[int]:
        found = (_NAME.fullmatch(path.name) for path in self.path.iterdir())
        return [int(match[1]) for match in found if match]

    def _file(self, number: int) -> Path:
        return self.path / f"checkpoint-{number:08d}.bin"

    def _sync(self) -> None:
        """Make the renaming durable, on systems that can open a folder."""
        with contextlib.suppress(OSError, AttributeError):
            descriptor = os.open(self.path, os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

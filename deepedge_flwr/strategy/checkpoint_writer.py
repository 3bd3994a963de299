"""Checkpoints written beside the event loop, which never waits for a disk."""

import contextlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from logging import ERROR
from threading import Lock, get_native_id

from flwr.common import log

from ..core.checkpoint import CheckpointFolder
from ..core.state import Packed


class CheckpointWriter:
    """Write states in a thread of its own, one at a time, when nobody else needs the processor.

    A state handed over while another is being written waits; if a newer one comes before its turn
    it is dropped, as nobody would ever read it. At most three are in memory, and they share all
    arrays that the strategy replaces instead of changing.

    Parameters
    ----------
    folder : CheckpointFolder
        Where to.
    """

    def __init__(self, folder: CheckpointFolder) -> None:
        self._folder, self._lock = folder, Lock()
        self._thread = ThreadPoolExecutor(1, "checkpoint", _step_back)
        self._waiting: Packed | None = None
        self._is_writing = False

    def write(self, packed: Packed) -> None:
        """Take over a state and return at once."""
        with self._lock:
            self._waiting = packed
            if not self._is_writing:
                self._is_writing = True
                self._thread.submit(self._work)

    def write_now(self, packed: Packed) -> None:
        """Write a state, and wait until it is on the disk.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        self._thread.submit(self._folder.write, packed).result()

    def close(self) -> None:
        """Wait until what was taken over is on the disk."""
        self._thread.shutdown(wait=True)

    def _work(self) -> None:
        while (packed := self._take()) is not None:
            try:
                self._folder.write(packed)
            except Exception as error:  # a full disk must end neither the training nor this thread
                log(ERROR, "Cannot write a checkpoint in %s (%s): the one before still counts",
                    self._folder.path, str(error) or repr(error))  # fmt: skip

    def _take(self) -> Packed | None:
        with self._lock:
            packed, self._waiting = self._waiting, None
            self._is_writing = packed is not None
            return packed


def _step_back() -> None:
    """Give this thread the lowest priority, on systems where a thread can have one of its own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, get_native_id(), 19)

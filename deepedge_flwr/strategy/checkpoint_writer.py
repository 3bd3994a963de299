"""Checkpoints written beside the event loop, which never waits for a disk."""

from concurrent.futures import ThreadPoolExecutor
from logging import ERROR
from threading import Lock

from flwr.common import log

from ..core.checkpoint import CheckpointFolder
from ..core.state import Packed


class CheckpointWriter:
    """Write states in a thread of its own, one at a time.

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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._waiting: Packed | None = None
        self._is_writing = False

    def write(self, packed: Packed) -> None:
        """Take over a state and return at once."""
        with self._lock:
            self._waiting = packed
            if not self._is_writing:
                self._is_writing = True
                self._thread.submit(self._work)

    def close(self) -> None:
        """Wait until what was taken over is on the disk."""
        self._thread.shutdown(wait=True)

    def _work(self) -> None:
        while (packed := self._take()) is not None:
            try:
                self._folder.write(packed)
            except OSError as error:  # a full disk must not end the training
                log(ERROR, "Cannot write a checkpoint in %s (%s): the one before still counts",
                    self._folder.path, error)  # fmt: skip

    def _take(self) -> Packed | None:
        with self._lock:
            packed, self._waiting = self._waiting, None
            self._is_writing = packed is not None
            return packed

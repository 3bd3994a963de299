"""A run that is told to end does so between two events, with its state on the disk."""

import signal
import threading
from collections.abc import Callable
from logging import INFO
from types import FrameType
from typing import Any

from flwr.common import log


class StopSignals:
    """Hold back SIGINT and SIGTERM inside a with block, and deliver them at its end.

    A second one is delivered at once. Outside the main thread, where Python delivers no signals,
    nothing is held back.

    Attributes
    ----------
    listener : Callable[[], None] | None
        Told of the first one.
    """

    def __init__(self) -> None:
        self.listener: Callable[[], None] | None = None
        self._received: int | None = None
        self._former: dict[int, Any] = {}

    @property
    def is_requested(self) -> bool:
        """Whether a signal has come."""
        return self._received is not None

    def __enter__(self) -> "StopSignals":
        """Begin to hold signals back."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Deliver what was held back."""
        self._restore()
        if self._received is not None:
            signal.raise_signal(self._received)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._received is not None:
            self._restore()
            signal.raise_signal(number)
            return
        self._received = number
        name = signal.Signals(number).name
        log(INFO, "%s: stopping before the next event; send it again to stop at once", name)
        if self.listener is not None:
            self.listener()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}

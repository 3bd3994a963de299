"""Probes whose watching is done by a process beside the training."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ...core.device import ProbeFailed

_SAMPLER = Path(__file__).with_name("sampler.py")
_IS_POSIX = os.name == "posix"
_PATIENCE_S = 2.0


class SampledProbe:
    """Latencies that `sampler.py` sees in a process and session of its own.

    It is started with the first look, before the training steps back: so it has the priority of
    the service, and a wait of its own is none that training has caused.

    Parameters
    ----------
    *arguments : str | float
        What it is to watch.
    """

    def __init__(self, *arguments: str | float) -> None:
        self._arguments = [str(argument) for argument in arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._rest = b""

    def start(self) -> None:
        """Begin to watch.

        Raises
        ------
        ProbeFailed
            If this system cannot.
        """
        if not _IS_POSIX:
            raise ProbeFailed(
                "needs a POSIX system: it reads a pipe without waiting; use prometheus: or "
                "module:function"
            )
        command = [sys.executable, "-I", str(_SAMPLER), str(os.getpid()), *self._arguments]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise ProbeFailed(f"the probe cannot be started: {error}") from error
        self._output = self._process.stdout
        assert self._output is not None
        os.set_blocking(self._output.fileno(), False)

    def __call__(self) -> Sequence[float]:
        """Return what was seen since the last call.

        Raises
        ------
        ProbeFailed
            If the service cannot be seen, or the process that watches has died.
        """
        if self._process is None:
            self.start()
        data, ended = self._rest, False
        while chunk := self._read():
            data += chunk
        ended = chunk == b""
        *lines, self._rest = data.split(b"\n")
        latencies_s = []
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text.startswith("!"):
                raise ProbeFailed(text[1:].strip())
            try:
                latencies_s.append(float(text))
            except ValueError:
                raise ProbeFailed(f"not a latency in seconds: {text[:40]!r}") from None
        if ended:
            raise ProbeFailed("the process that watches the service has died")
        return latencies_s

    def _read(self) -> bytes | None:
        """Return some bytes; none at the end; None if there are none yet."""
        assert self._output is not None
        data: bytes | None = self._output.read(65536)
        return data

    def close(self) -> None:
        """End the process; one that does not obey is killed."""
        if self._process is None:
            return
        for end in (self._process.terminate, self._process.kill):
            with contextlib.suppress(OSError):
                end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE_S)
                break
        if self._output is not None:
            self._output.close()
        self._process, self._output, self._rest = None, None, b""


class HttpProbe(SampledProbe):
    """Ask a service for something and measure how long it takes: GET requests, one per interval.

    Parameters
    ----------
    url : str
        Of the service, best of what it really does.
    interval_s : float (default: 0.05)
        Seconds between two requests.
    timeout_s : float (default: 1.0)
        After which a request is given up. Any that fails, an HTTP status of 400 or above and a
        refused connection included, counts as one of this latency, and three in a row as a dead
        service.
    """

    def __init__(self, url: str, interval_s: float = 0.05, timeout_s: float = 1.0) -> None:
        super().__init__("http", url, interval_s, timeout_s)


class SocketProbe(SampledProbe):
    """Listen to what a service says: datagrams on a Unix socket, a latency in seconds per line.

    The service sends, for instance, the text `0.00173` to the path after each request, and need
    not care whether anybody listens. It should send without blocking (`setblocking(False)`, or
    MSG_DONTWAIT) and ignore what fails, so that it waits for nobody.

    Parameters
    ----------
    path : str
        The socket: it is made here and removed at the end. One that a killed process has left is
        taken over; anything else at the path is left alone, and the probe fails.
    """

    def __init__(self, path: str) -> None:
        super().__init__("socket", path)


class WakeUpProbe(SampledProbe):
    """Measure how late a process wakes up that has slept, for services that export nothing.

    As cyclictest does. It sees what training does to the scheduler, not to caches or the memory;
    the budget is then one of the wake-up delay.

    Parameters
    ----------
    interval_s : float (default: 0.005)
        Seconds of a sleep.
    """

    def __init__(self, interval_s: float = 0.005) -> None:
        super().__init__("wake-up", interval_s)

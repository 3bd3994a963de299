"""What watches a service while training computes: a program of its own, of the standard library.

`python -I sampler.py PID http URL INTERVAL_S TIMEOUT_S`, `... PID socket PATH` and
`... PID wake-up INTERVAL_S` print one latency in seconds per line, or `! reason` when the service
cannot be seen. In the training process neither would be true: a thread there waits for the
interpreter's lock, has the training's low priority, and between two steps nothing disturbs the
service.

It ends when nobody reads any more, and when the process PID, which started it, has gone. It never
waits for whoever reads: a sampler that does not receive makes a service wait that sends.
"""

import contextlib
import errno
import http.client
import os
import select
import signal
import socket
import stat
import sys
import time
import urllib.parse
from collections import deque

#: Requests without a good answer, one after the other, before a service counts as dead.
_TRIES = 3
_ORPHAN_CHECK_S = 1.0
#: An orphan may listen for so long after its client has gone; the next client's is patient.
_TAKE_OVER_S, _TRY_EVERY_S = 2.0, 0.1
_MAX_DATAGRAM_BYTES = 65536
_MAX_LINE = 64
_MOST_PENDING = 100_000

#: What tells one file from another that has taken its path.
_Identity = tuple[int, int]


class Orphaned(Exception):
    """The process that wanted to know has gone."""


class Outlet:
    """A pipe that is never waited for: what does not fit is kept, and the oldest lost at last.

    Parameters
    ----------
    parent : int
        The process that reads.
    output : int (default: 1)
        Its pipe.
    most_pending : int
        Lines to keep.
    """

    def __init__(self, parent: int, output: int = 1, most_pending: int = _MOST_PENDING) -> None:
        self._parent, self._output = parent, output
        self._pending: deque[bytes] = deque(maxlen=most_pending)
        self._begun = b""
        os.set_blocking(output, False)

    def __call__(self, line: str) -> None:
        """Say a line, or nothing; pass on what fits of all that was said.

        Raises
        ------
        Orphaned
            If the process that reads has gone.
        """
        if os.getppid() != self._parent:
            raise Orphaned
        if line:
            self._pending.append(f"{line}\n".encode())
        while self._begun or self._pending:
            # A line of which a part is out already cannot be lost any more.
            self._begun = self._begun or self._pending.popleft()
            try:
                self._begun = self._begun[os.write(self._output, self._begun) :]
            except BlockingIOError:
                return

    @property
    def waiting(self) -> list[int]:
        """The pipe, if something waits for room in it."""
        return [self._output] if self._begun or self._pending else []

    def drain(self) -> None:
        """Wait until all is out."""
        while self.waiting:
            select.select([], self.waiting, [], _ORPHAN_CHECK_S)
            self("")


def ask_http(say: Outlet, url: str, interval_s: float, timeout_s: float) -> None:
    """Send one GET request per interval; one without a good answer counts as `timeout_s`."""
    parts = urllib.parse.urlsplit(url)
    scheme = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    connection = scheme[parts.scheme](parts.hostname or "", parts.port, timeout=timeout_s)
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    failures, due_s = 0, time.monotonic()
    while True:
        started_s = time.monotonic()
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            response.read()
            reason = f"HTTP status {response.status}" if response.status >= 400 else ""
        except TimeoutError:
            reason = f"no answer within {timeout_s:g} s"
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        if reason:
            connection.close()
            failures += 1
            say(f"{timeout_s}")
            if failures >= _TRIES:
                say(f"! {url} has failed {failures} times in a row: {reason}")
        else:
            failures = 0
            say(f"{time.monotonic() - started_s:.6f}")
        due_s = max(due_s + interval_s, time.monotonic())
        time.sleep(due_s - time.monotonic() if due_s > time.monotonic() else 0.0)


def listen(say: Outlet, path: str) -> None:
    """Pass on what the service pushes: datagrams of lines, a latency in seconds each."""
    listener, own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), None
    try:
        own = _bind(listener, path, say)
        while True:
            if select.select([listener], say.waiting, [], _ORPHAN_CHECK_S)[0]:
                text = listener.recv(_MAX_DATAGRAM_BYTES).decode(errors="replace")
                for line in text.split():
                    say(line[:_MAX_LINE])
            else:
                say("")
    finally:
        listener.close()
        if own is not None and _identity(path) == own:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _bind(listener: socket.socket, path: str, say: Outlet) -> _Identity | None:
    """Make the socket; return what tells it from another that may come to its path."""
    give_up_at_s = time.monotonic() + _TAKE_OVER_S
    while True:
        try:
            listener.bind(path)
            return _identity(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        if not _take_over(path):
            if time.monotonic() > give_up_at_s:
                raise OSError("another process listens on it")
            say("")
            time.sleep(_TRY_EVERY_S)


def _take_over(path: str) -> bool:
    """Remove a socket left behind by a process that was killed; return False if it is in use."""
    found = _identity(path)
    if found is None:
        return True
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError("is there already, and is no socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as other:
        other.setblocking(False)
        refused = other.connect_ex(path)
    if refused in (0, errno.EAGAIN):
        return False
    if refused == errno.EPROTOTYPE:
        raise OSError("another process listens on it, for streams")
    if refused not in (errno.ECONNREFUSED, errno.ENOENT):
        raise OSError(refused, os.strerror(refused))
    if refused == errno.ECONNREFUSED and _identity(path) == found:
        os.unlink(path)
    return True


def _identity(path: str) -> _Identity | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def oversleep(say: Outlet, interval_s: float) -> None:
    """Sleep, and tell by how much too long: what any process that wakes up would wait."""
    while True:
        asleep_at_s = time.monotonic()
        time.sleep(interval_s)
        # The clock has a resolution; a delay of nothing is none that a gate could use.
        say(f"{max(1e-6, time.monotonic() - asleep_at_s - interval_s):.6f}")


def main(arguments: list[str]) -> None:
    """Watch until nobody wants to know."""
    parent, mode, *rest = int(arguments[0]), *arguments[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    say = Outlet(parent)
    with contextlib.suppress(BrokenPipeError, Orphaned, KeyboardInterrupt):
        try:
            if mode == "http":
                ask_http(say, rest[0], float(rest[1]), float(rest[2]))
            elif mode == "socket":
                listen(say, rest[0])
            else:
                oversleep(say, float(rest[0]))
        except BrokenPipeError:
            raise
        except OSError as error:
            say(f"! {' '.join(rest[:1])}: {error.strerror or error}")
            say.drain()


if __name__ == "__main__":
    main(sys.argv[1:])

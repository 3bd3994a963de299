"""What watches a service while training computes: a program of its own, of the standard library.

`python -I sampler.py PID http URL INTERVAL_S TIMEOUT_S`, `... PID socket PATH` and
`... PID wake-up INTERVAL_S` print one latency in seconds per line, or `! reason` when the service
cannot be seen. In the training process neither would be true: a thread there waits for the
interpreter's lock, has the training's low priority, and between two steps nothing disturbs the
service.

It ends when nobody reads any more, and when the process PID, which started it, has gone.
"""

import contextlib
import http.client
import os
import select
import signal
import socket
import sys
import time
import urllib.parse
from collections.abc import Callable

#: Requests without an answer, one after the other, before a service counts as dead.
_TRIES = 3
_ORPHAN_CHECK_S = 1.0
_MAX_DATAGRAM_BYTES = 65536

Say = Callable[[str], None]


class Orphaned(Exception):
    """The process that wanted to know has gone."""


def ask_http(say: Say, url: str, interval_s: float, timeout_s: float) -> None:
    """Send one GET request per interval; one without an answer took `timeout_s` at least."""
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
            say(f"{timeout_s}")
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        if reason:
            connection.close()
            failures += 1
            if failures >= _TRIES:
                say(f"! {url} has failed {failures} times in a row: {reason}")
        else:
            failures = 0
            say(f"{time.monotonic() - started_s:.6f}")
        due_s = max(due_s + interval_s, time.monotonic())
        time.sleep(due_s - time.monotonic() if due_s > time.monotonic() else 0.0)


def listen(say: Say, path: str) -> None:
    """Pass on what the service pushes: datagrams of lines, a latency in seconds each."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        _bind(listener, path)
        while True:
            if select.select([listener], [], [], _ORPHAN_CHECK_S)[0]:
                text = listener.recv(_MAX_DATAGRAM_BYTES).decode(errors="replace")
                for line in text.split():
                    say(line)
            else:
                say("")
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            os.unlink(path)


def _bind(listener: socket.socket, path: str) -> None:
    try:
        listener.bind(path)
    except OSError:
        # Left behind by a process that was killed, unless somebody still listens on it.
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.closing(other):
            if other.connect_ex(path) == 0:
                raise OSError("another process listens on it") from None
        os.unlink(path)
        listener.bind(path)


def oversleep(say: Say, interval_s: float) -> None:
    """Sleep, and tell by how much too long: what any process that wakes up would wait."""
    while True:
        asleep_at_s = time.monotonic()
        time.sleep(interval_s)
        # The clock has a resolution; a delay of nothing is none that a gate could use.
        say(f"{max(1e-6, time.monotonic() - asleep_at_s - interval_s):.6f}")


def _say(parent: int, line: str) -> None:
    if os.getppid() != parent:
        raise Orphaned
    if line:
        print(line, flush=True)


def main(arguments: list[str]) -> None:
    """Watch until nobody wants to know."""
    parent, mode, *rest = int(arguments[0]), *arguments[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    def say(line: str) -> None:
        _say(parent, line)

    try:
        if mode == "http":
            ask_http(say, rest[0], float(rest[1]), float(rest[2]))
        elif mode == "socket":
            listen(say, rest[0])
        else:
            oversleep(say, float(rest[0]))
    except (BrokenPipeError, Orphaned, KeyboardInterrupt):
        os._exit(0)  # without trying to flush what nobody reads
    except OSError as error:
        with contextlib.suppress(BrokenPipeError):
            print(f"! {' '.join(rest[:1])}: {error.strerror or error}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

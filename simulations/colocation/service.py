"""A latency-critical service in a process of its own: `python -m simulations.colocation.service`.

A control loop does its work itself; an inference service is asked for it over HTTP, by this process
and in the interest of whoever waits for the answer. It obeys lines on its standard input:
`run SECONDS` serves that long and answers with a JSON object, `end` ends it. Every latency is also
pushed as a datagram, as `SocketProbe` wants it.
"""

import contextlib
import gc
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .worker import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """When a service has work, and how much.

    Attributes
    ----------
    period_s : float
        Seconds between two requests; latency counts from when a request is due.
    work_s : float
        Seconds of one core per request: processor time, or, with a table, the arithmetic that takes
        so long on an idle core.
    burst_s, every_s : float
        Requests come for `burst_s` of every `every_s`; both 0 is always.
    table_mib : float
        Memory that a request reads from end to end: a service that lives on its cache.
    over_http : bool
        Whether another process does the work, asked over HTTP.
    """

    period_s: float
    work_s: float
    burst_s: float = 0.0
    every_s: float = 0.0
    table_mib: float = 0.0
    over_http: bool = False

    def due_s(self, duration_s: float) -> Iterator[float]:
        """Yield when the requests of an interval are due, from its beginning."""
        for k in range(int(duration_s / self.period_s)):
            due_s = k * self.period_s
            if not self.every_s or due_s % self.every_s < self.burst_s:
                yield due_s


class Work:
    """What a request takes.

    Without a table it is processor time. On a machine that others share, too, the same arithmetic
    takes up to twice as long, whatever runs beside it here; how much of it was done in that time
    tells what training changes by other means than the core. With a table it is arithmetic.
    """

    def __init__(self, load: Load) -> None:
        num_floats = max(4096, int(load.table_mib * 2**20 / 8))
        self._table = np.ones(num_floats)
        self._work_s, self._rounds = load.work_s, 0
        if load.table_mib:
            once_s = min(self._timed_s(1) for _ in range(200))
            rounds = max(1, round(load.work_s / once_s))
            # The first figure is of a cold cache and of a slow clock: count again.
            again_s = float(np.median([self._timed_s(rounds) for _ in range(40)]))
            self._rounds = max(1, round(rounds * load.work_s / again_s))

    def __call__(self) -> float:
        """Do it; return how many numbers were added up."""
        if self._rounds:
            return self._add_up(self._rounds)
        end_s, num_added = time.thread_time() + self._work_s, 0.0
        while time.thread_time() < end_s:
            num_added += self._add_up(1)
        return num_added

    def _add_up(self, rounds: int) -> float:
        return sum(float(self._table.sum()) for _ in range(rounds))

    def _timed_s(self, rounds: int) -> float:
        started_s = time.perf_counter()
        self._add_up(rounds)
        return time.perf_counter() - started_s


class RemoteWork:
    """The same work, done by a server of its own that is asked over HTTP."""

    def __init__(self, load: Load) -> None:
        command = [sys.executable, "-m", "simulations.colocation.inference", sys.argv[1]]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._server.stdout is not None
        port = int(self._server.stdout.readline())
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self.pid = self._server.pid

    def __call__(self) -> float:
        """Ask for it; return how many numbers were added up."""
        self._connection.request("GET", "/")
        return float(self._connection.getresponse().read())

    def close(self) -> None:
        """End the server."""
        self._connection.close()
        self._server.kill()
        self._server.wait()


class Pusher:
    """Push latencies to whoever listens on some sockets; nobody need listen."""

    def __init__(self, paths: list[str]) -> None:
        self._paths, self._socket = paths, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __call__(self, latency_s: float) -> None:
        """Push one."""
        for path in self._paths:
            # Nobody listens, or does not read: a service never waits for a probe.
            with contextlib.suppress(OSError):
                self._socket.sendto(f"{latency_s:.6f}\n".encode(), path)


def processor_s(pids: list[int]) -> tuple[float, float]:
    """Return the seconds that processes have run, and been ready and not run, all threads."""
    ran_ns = queued_ns = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            ran, queued, _ = (thread / "schedstat").read_text().split()
            ran_ns, queued_ns = ran_ns + int(ran), queued_ns + int(queued)
    return ran_ns / 1e9, queued_ns / 1e9


def serve(load: Load, work: Work | RemoteWork, push: Pusher, duration_s: float) -> dict[str, Any]:
    """Serve for a while; return what it was like."""
    times_s: list[float] = []
    latencies_s: list[float] = []
    wakes_s: list[float] = []
    num_added = 0.0
    pids = [os.getpid(), *([work.pid] if isinstance(work, RemoteWork) else [])]
    cpu_s, queued_s = processor_s(pids)
    begun_s = time.monotonic()
    for due_s in load.due_s(duration_s):
        rest_s = begun_s + due_s - time.monotonic()
        if rest_s > 0:
            time.sleep(rest_s)
            wakes_s.append(time.monotonic() - begun_s - due_s)
        num_added += work()
        latency_s = time.monotonic() - begun_s - due_s
        push(latency_s)
        times_s.append(due_s)
        latencies_s.append(latency_s)
    time.sleep(max(0.0, begun_s + duration_s - time.monotonic()))
    cpu_after_s, queued_after_s = processor_s(pids)
    return {"times_s": times_s, "latencies_s": latencies_s, "wakes_s": wakes_s,
            "cpu_s": cpu_after_s - cpu_s, "queued_s": queued_after_s - queued_s,
            "begun_s": begun_s, "num_added": num_added}  # fmt: skip


def main() -> None:
    """Obey."""
    load = Load(**json.loads(sys.argv[1]))
    gc.disable()
    work: Work | RemoteWork = RemoteWork(load) if load.over_http else Work(load)
    push = Pusher(sys.argv[2:])
    try:
        say("ready")
        for line in sys.stdin:
            command, *rest = line.split()
            if command == "end":
                return
            say(json.dumps(serve(load, work, push, float(rest[0]))))
    finally:
        if isinstance(work, RemoteWork):
            work.close()


if __name__ == "__main__":
    main()

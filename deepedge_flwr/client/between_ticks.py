"""Gives a service its core back between two ticks: a program of its own, of the standard library.

`python -I -S between_ticks.py SECONDS PID CORE...` wakes up shortly on each of these cores,
until the process PID, which started it, has gone: every so many seconds where something else than
training computes, and less often where it does not.

Linux shares a core fairly, training of the lowest weight included: beside a service of weight 1024
it is owed W / (1024 + W) of the time that the service takes, about one per cent: W is 15 for all
cores on which it computes together. It gets it in one piece: from a moment at which Linux decides
who goes on until the next, and where nobody wakes up those are its ticks, every 4 ms where there
are 250 a second. So one in 100 to 300 requests of two milliseconds is late by a tick. When a thread
of training's own group of processes wakes up that is preferred to those that compute, Linux decides
again at once, and training, which by then has had more than it was owed, gives the core back.

Looks every millisecond cost training some per cent of a core, which is much where a service leaves
it little. One that is preferred to training gets the core at once; if it had to wait, a service was
there. So it knows where there is somebody to protect. Cores tell each other: a service that wakes
up goes to any that is free, and Linux takes one with nothing but training of the idle class for
free. While nobody was seen on any core for 0.15 s, each looks every 13.7 ms. While somebody is, it
is every 3.7 ms where nobody was seen for two seconds, and as often as is asked for where somebody
was, who may come back any time.

To be preferred nearly always, a look keeps the niceness with which it is started. Linux takes the
thread of the earliest deadline, which is a slice over the weight away: with niceness 19, and so a
weight of 15, it was that of training, whose weight is 3, in one look of five that began with no
advantage, and the look waited for the next tick.

References
----------
Linux 6.18, kernel/sched/fair.c: check_preempt_wakeup_fair, pick_eevdf, select_idle_sibling.
"""

import atexit
import contextlib
import errno
import math
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

#: CLOCK_MONOTONIC_COARSE, for which Python has no name: it moves at ticks.
_COARSE = 6
#: Between two looks where nobody was seen on any core for a while, and where somebody is, but on
#: others: no multiples of a round period.
_SELDOM_S, _ELSEWHERE_S = 0.0137, 0.0037
#: Until somebody is taken to have gone, and to have gone from this core for good.
_GONE_S, _MOVED_S = 0.15, 2.0
#: A look that waits longer than that for its turn has seen somebody: the kernel itself takes up to
#: 0.2 ms now and then.
_WAITED_S = 0.0003
#: Until the program says that it runs, or has ended.
_PATIENCE_S = 4.0
_SCHEDSTAT = "/proc/self/schedstat"
_READY = b"ready"
_started: "list[subprocess.Popen[bytes]]" = []


def start(cores: Iterable[int], every_s: float) -> None:
    """Run this program for these cores as long as this process lives; once.

    It belongs to the session of this process, and so to its autogroup: before Linux chooses between
    threads it chooses between groups. In the service's own group it would not help: whoever wakes
    up there is as good as a tick. It is of use where the threads that compute are SCHED_IDLE.

    Parameters
    ----------
    cores : Iterable[int]
        Numbers of the cores; those that the process may not use are left out.
    every_s : float
        How long training may keep a core for which a service waits.

    Raises
    ------
    OSError
        If ticks come so often that there is nothing between them, or the program cannot run: Linux
        does not tell how long a thread has waited, or this one is SCHED_IDLE already and may not
        start others that are not.
    """
    if _started:
        return
    if (tick_s := time.clock_getres(_COARSE)) <= every_s:
        told_ms = f"a tick every {1000 * tick_s:.2g} ms, wanted every {1000 * every_s:.2g}"
        raise OSError(errno.ENOTSUP, f"not needed: {told_ms}")
    if not sys.executable:
        raise OSError(errno.ENOENT, "no Python interpreter to start")
    numbers = [str(number) for number in (every_s, os.getpid(), *sorted(cores))]
    # A group of its own: Ctrl-C is for whoever started it, and it can be told to rest.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, *numbers],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        process_group=0,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout as output:
        told, poll = b"", select.poll()
        poll.register(output, select.POLLIN)
        if poll.poll(1000 * _PATIENCE_S):
            told = output.readline().strip()
    if told != _READY:
        _end(process, os.getpid())
        raise OSError(errno.ECHILD, told.decode(errors="replace") or "it says nothing")
    _started.append(process)
    atexit.register(_end, process, os.getpid())


def _end(process: "subprocess.Popen[bytes]", starter: int) -> None:
    # Where process 1 does not wait for orphans they would stay; a fork of the starter has no say.
    if os.getpid() == starter and process.poll() is None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            process.terminate()
            os.killpg(process.pid, signal.SIGCONT)
            process.wait(_PATIENCE_S)


def rest() -> None:
    """Let it rest while nothing trains, for measurements; nothing happens if it does not run."""
    _signal(signal.SIGSTOP)


def go_on() -> None:
    """End its rest."""
    _signal(signal.SIGCONT)


def _signal(which: int) -> None:
    for process in _started:
        if process.poll() is None:
            os.killpg(process.pid, which)


def _look(every_s: float, parent: int, seen_at_s: "memoryview[float]") -> None:
    """Wake up until the parent has gone; the looks of all cores share when somebody was seen."""
    schedstat = os.open(_SCHEDSTAT, os.O_RDONLY)
    here_at_s, before_s = -math.inf, _waited_s(schedstat)

    def forget(*_: object) -> None:
        """Look seldom again."""
        nonlocal here_at_s, before_s
        here_at_s = seen_at_s[0] = -math.inf
        before_s = _waited_s(schedstat)

    # Whom it saw before a rest may have gone.
    signal.signal(signal.SIGCONT, forget)
    while os.getppid() == parent:
        now_s = time.monotonic()
        time.sleep(_pause_s(every_s, now_s - seen_at_s[0], now_s - here_at_s))
        after_s = _waited_s(schedstat)
        if after_s - before_s > _WAITED_S:
            here_at_s = seen_at_s[0] = time.monotonic()
        before_s = after_s


def _pause_s(every_s: float, since_seen_s: float, since_here_s: float) -> float:
    """Return the time to the next look, from how long ago somebody was on any core, and here."""
    if since_seen_s < _GONE_S:
        return every_s if since_here_s < _MOVED_S else max(every_s, _ELSEWHERE_S)
    return _SELDOM_S


def _waited_s(schedstat: int) -> float:
    """Return how long a process was ready and had no core, by its file of that name."""
    return int(os.pread(schedstat, 100, 0).split()[1]) / 1e9


def _must_be_told() -> None:
    with contextlib.suppress(OSError):
        # Linux may count nothing, in a file that is there.
        if int(Path(_SCHEDSTAT).read_text().split()[0]):
            return
    raise OSError(errno.ENOSYS, f"{_SCHEDSTAT} does not tell how long a process has waited")


def _usable(core: int) -> bool:
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        return False
    return True


def _as_batch() -> None:
    try:
        # It takes the core from threads of the idle class when it wakes up, and from no others.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        reason = f"SCHED_BATCH: {error.strerror}; is training SCHED_IDLE already?"
        raise OSError(error.errno, reason) from error


def main(arguments: list[str]) -> None:
    """Look on each core."""
    every_s, (parent, *asked) = float(arguments[0]), map(int, arguments[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    own, children = os.getpid(), list[int]()
    try:
        # Before there are children: what is mapped is theirs, too.
        seen_at_s = memoryview(mmap.mmap(-1, 8)).cast("d")
        seen_at_s[0] = -math.inf
        cores = [core for core in asked if _usable(core)]
        if not cores:
            raise OSError(errno.EINVAL, f"may use none of the cores {asked}")
        _as_batch()
        _must_be_told()
        for core in cores[1:]:
            if (child := os.fork()) == 0:
                parent, cores, children = own, [core], []
                break
            children.append(child)
        else:
            print(_READY.decode(), flush=True)
        os.sched_setaffinity(0, {cores[0]})
        _look(every_s, parent, seen_at_s)
    except OSError as error:
        print(error.strerror, flush=True)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])

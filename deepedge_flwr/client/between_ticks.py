"""Gives a service its core back between two ticks: a program of its own, of the standard library.

`python -I -S between_ticks.py PID CORE...` wakes up every millisecond on each of these cores on
which something else than training computes, for some microseconds, until the process PID, which
started it, has gone.

Linux shares a core fairly, training of the lowest weight included: beside a service of weight 1024
it is owed some per cent of the time that the service takes, W / (1024 + W) with 7.5 to 15 for W. It
gets it at once: from a moment at which Linux decides who goes on until the next, and where nobody
wakes up those are its ticks, every 4 ms where there are 250 a second. So of some hundred requests
of two milliseconds one is late by a tick. When a thread of training's own group of processes wakes
up that is preferred to those that compute, Linux decides again at once, and training, which has had
more than it was owed, gives the core back: within a millisecond instead of four.

A look costs training 4 % of a core at that rate, so where there is nobody to protect there are few:
one that has to wait for its turn has found somebody whom it may not interrupt, as it may training.

References
----------
Linux 6.18, kernel/sched/fair.c: check_preempt_wakeup_fair, pick_eevdf.
"""

import atexit
import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

#: CLOCK_MONOTONIC_COARSE, for which Python has no name: it moves at ticks.
_COARSE = 6
#: Between two looks: the longest that training keeps a core for which a service waits.
_LOOK_EVERY_S = 0.001
#: The same where nobody was seen for a while; in step with no period that services have.
_SELDOM_S, _WHILE_S = 0.0137, 3.0
#: Whoever waits longer than that for its turn has seen somebody.
_WAITED_S = 0.0002
#: Until the program says that it runs, or has ended.
_PATIENCE_S = 4.0
_LOWEST_NICENESS = 19
_READY = b"ready"
_started: "list[subprocess.Popen[bytes]]" = []


def start(cores: Iterable[int]) -> None:
    """Run this program for these cores as long as this process lives; once.

    It belongs to the session of this process, and so to its autogroup: before Linux chooses between
    threads it chooses between groups. In the service's own group it would not help: whoever wakes
    up there is as good as a tick. A thread of the class SCHED_IDLE cannot start it.

    Parameters
    ----------
    cores : Iterable[int]
        Numbers of the cores; those that the process may not use are left out.

    Raises
    ------
    OSError
        If ticks come so often that there is nothing between them, or the program cannot run.
    """
    if _started:
        return
    if (tick_s := time.clock_getres(_COARSE)) <= _LOOK_EVERY_S:
        raise OSError(errno.ENOTSUP, f"not needed: a tick every {1000 * tick_s:.2g} ms")
    if not sys.executable:
        raise OSError(errno.ENOENT, "no Python interpreter to start")
    numbers = [str(number) for number in (os.getpid(), *sorted(cores))]
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
        process.kill()
        process.wait()
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


def pause_s(now_s: float, seen_at_s: float) -> float:
    """Return how long to sleep when somebody else was last seen at a time."""
    return _LOOK_EVERY_S if now_s - seen_at_s < _WHILE_S else _SELDOM_S


def _look(parent: int, schedstat: int) -> None:
    """Wake up until the parent has gone."""
    seen_at_s, before_s = time.monotonic(), _waited_s(schedstat)
    while os.getppid() == parent:
        time.sleep(pause_s(time.monotonic(), seen_at_s))
        after_s = _waited_s(schedstat)
        if after_s - before_s > _WAITED_S:
            seen_at_s = time.monotonic()
        before_s = after_s


def _waited_s(schedstat: int) -> float:
    """Return how long a process was ready and had no core, by its file of that name."""
    return int(os.pread(schedstat, 100, 0).split()[1]) / 1e9


def _usable(core: int) -> bool:
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> None:
    """Look on each core."""
    parent, *cores = (int(argument) for argument in arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    children = list[int]()
    try:
        cores = [core for core in cores if _usable(core)]
        if not cores:
            raise OSError(errno.EINVAL, "may use none of the cores")
        # Before threads of the idle class, and behind everything else.
        os.nice(_LOWEST_NICENESS)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        for core in cores[1:]:
            own = os.getpid()
            if (child := os.fork()) == 0:
                parent, cores, children = own, [core], []
                break
            children.append(child)
        else:
            print(_READY.decode(), flush=True)
        os.sched_setaffinity(0, {cores[0]})
        _look(parent, os.open("/proc/self/schedstat", os.O_RDONLY))
    except OSError as error:
        print(error.strerror, flush=True)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])

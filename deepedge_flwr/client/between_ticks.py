"""Gives a service its core back between two ticks: a program of its own, of the standard library.

`python -I -S between_ticks.py PID CORE...` wakes up once per tick on each of these cores, for some
microseconds, until the process PID, which started it, has gone.

Linux decides at its ticks who goes on: every 4 ms, where there are 250 a second. When a tick finds
a request that has used up its time slice, any other thread may get the core, whatever the weights,
and has it until the next tick: the request is late by 4 ms. When a thread of training wakes up on
that core the weight of training as a whole changes there; Linux then brings to account what it has
used, and decides again if that is more than a slice: the service goes on. Whoever has just got a
core is protected for as long as the shortest slice, so this program wakes up in the middle between
two ticks, or `slice_s` after one if that is later.

It is of the class SCHED_IDLE, as training is, and takes the core from nobody. With more weight than
a thread of training it would change so much each time that training is protected for longer from a
service that wakes up. But while it waits for its turn Linux takes its core for crowded, and moves
threads of training away that are not bound to it. Its slices are those of the thread that starts
it: with shorter ones it would shorten those of training.

References
----------
Linux 6.18, kernel/sched/fair.c: update_curr, update_cfs_group, set_protect_slice.
"""

import atexit
import contextlib
import errno
import os
import platform
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

#: CLOCK_MONOTONIC_COARSE, for which Python has no name: the time of the last tick.
_COARSE = 6
#: Linux's shortest slice on one core (0.75 ms, and 0.7 ms since Linux 6.15), by the digits of the
#: number of cores, of which eight count.
_SLICE_S, _MOST_CORES = 0.00075, 8
#: The first Linux that decides again whenever it brings to account.
_OLDEST = 6, 17
#: Of a tick, when to wake up if slices allow it, and when it would be too late to gain anything.
_MIDDLE, _LATEST = 0.5, 0.7
#: On one core requests that wake up after a look lose more than those that a tick finds gain.
_FEWEST = 2
#: Between two looks at the clocks, if nobody interrupts; and how long to look for a tick.
_LOOK_S, _PATIENCE_S = 2e-5, 2.0
_READY = b"ready"
_started: "list[subprocess.Popen[bytes]]" = []


def start(cores: Iterable[int]) -> None:
    """Run this program for these cores as long as this process lives; once.

    It belongs to the session of this process, and so to its autogroup: before Linux chooses between
    threads it chooses between groups. In the service's own group it would not help: whoever wakes
    up there is as good as a tick. When this returns it has found the ticks.

    Parameters
    ----------
    cores : Iterable[int]
        Numbers of the cores; those that the process may not use are left out. Each thread of
        training has to be bound to one of them.

    Raises
    ------
    OSError
        If Linux is older than 6.17, ticks come so often that there is nothing between them, there
        are fewer than two cores, or the program cannot run.
    """
    if _started:
        return
    if reason := _why_not(os.cpu_count() or 1):
        raise OSError(errno.ENOTSUP, reason)
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
        if poll.poll(2000 * _PATIENCE_S):
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


def slice_s(num_cores: int) -> float:
    """Return how long Linux protects a thread that has just got one of so many cores, at most."""
    return _SLICE_S * min(num_cores, _MOST_CORES).bit_length()


def find_tick_s(last_tick_s: Callable[[], float], now_s: Callable[[], float]) -> float:
    """Look at two clocks until a tick has come; return when.

    Parameters
    ----------
    last_tick_s, now_s : Callable[[], float]
        A clock that moves at ticks, and one that always does.

    Raises
    ------
    OSError
        If none is seen.
    """
    told_s, before_s = last_tick_s(), now_s()
    give_up_at_s = before_s + _PATIENCE_S
    while before_s < give_up_at_s:
        last_s, after_s = last_tick_s(), now_s()
        # Who was interrupted does not know when in the meantime it was.
        if last_s != told_s and after_s - before_s < _LOOK_S:
            return after_s
        told_s, before_s = last_s, after_s
    raise OSError(errno.ETIME, "no tick was seen")


def wake_after_s(num_cores: int, tick_s: float) -> float:
    """Return how long after a tick to wake up."""
    return max(slice_s(num_cores), _MIDDLE * tick_s)


def until_s(now_s: float, due_s: float, tick_s: float) -> float:
    """Return the seconds until the next of the moments that are whole ticks from `due_s`."""
    return tick_s - (now_s - due_s) % tick_s


def _why_not(num_cores: int) -> str:
    """Return why there is nothing to gain; empty if there is."""
    release = platform.release()
    if _version_of(release) < _OLDEST:
        return f"needs Linux {_OLDEST[0]}.{_OLDEST[1]} or newer, this is {release}"
    if wake_after_s(num_cores, tick_s := _tick_s()) > _LATEST * tick_s:
        return f"not needed: {num_cores} cores, and a tick every {1000 * tick_s:.2g} ms"
    with contextlib.suppress(OSError):
        if "skew_tick=1" in Path("/proc/cmdline").read_text(errors="replace").split():
            return "with skew_tick=1 each core has ticks of its own"
    return ""


def _version_of(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:2])


def _tick_s() -> float:
    return time.clock_getres(_COARSE)


def _usable(core: int) -> bool:
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> None:
    """Wake up on each core once per tick."""
    parent, *cores = (int(argument) for argument in arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    children = list[int]()
    try:
        cores = [core for core in cores if _usable(core)]
        if len(cores) < _FEWEST:
            raise OSError(errno.EINVAL, f"needs {_FEWEST} cores, may use {len(cores)}")
        due_s = find_tick_s(lambda: time.clock_gettime(_COARSE), time.monotonic)
        due_s += wake_after_s(os.cpu_count() or 1, _tick_s())
        # Not before: a tick is not seen by who waits for its turn.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        for core in cores[1:]:
            own = os.getpid()
            if (child := os.fork()) == 0:
                parent, cores, children = own, [core], []
                break
            children.append(child)
        else:
            print(_READY.decode(), flush=True)
        os.sched_setaffinity(0, {cores[0]})
        tick_s = _tick_s()
        while os.getppid() == parent:
            time.sleep(until_s(time.monotonic(), due_s, tick_s))
    except OSError as error:
        print(error.strerror, flush=True)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])

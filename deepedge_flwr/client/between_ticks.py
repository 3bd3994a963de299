"""Gives a service its core back between two ticks: a program of its own, of the standard library.

`python -I -S between_ticks.py PID CORE...` wakes up once per tick on each of these cores, for some
microseconds, until the process PID, which started it, has gone.

Linux decides at its ticks who goes on: every 4 ms, where there are 250 a second. When a tick finds
a request that has used up its time slice, any other thread may get the core, whatever the weights,
and has it until the next tick: the request is late by 4 ms. Any thread that wakes up on that core
makes Linux decide again, and the service goes on. The others are then protected for as long as the
shortest slice, so that is when this program wakes up: `slice_s` after every tick. It is of the
class SCHED_BATCH, which takes the core from training of SCHED_IDLE and from nobody else.

References
----------
Linux, kernel/sched/fair.c: update_deadline, set_protect_slice, check_preempt_wakeup_fair.
"""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

#: CLOCK_MONOTONIC_COARSE, for which Python has no name: the time of the last tick.
_COARSE = 6
#: Linux's shortest slice on one core (0.75 ms, and 0.7 ms since Linux 6.15), by the digits of the
#: number of cores, of which eight count.
_SLICE_S, _MOST_CORES = 0.00075, 8
_NUM_TICKS = 5
_started: "list[subprocess.Popen[bytes]]" = []


def start(cores: Iterable[int]) -> None:
    """Run this program for these cores as long as this process lives; once.

    It belongs to the session of this process, and so to its autogroup: before Linux chooses between
    threads it chooses between groups, and within this one the program comes first.

    Parameters
    ----------
    cores : Iterable[int]
        Numbers of the cores; those that the process may not use are left out.

    Raises
    ------
    OSError
        If ticks come so often that there is nothing between them, or the program cannot be started.
    """
    tick_s = time.clock_getres(_COARSE)
    if slice_s(os.cpu_count() or 1) >= tick_s:
        raise OSError(errno.ENOTSUP, f"not needed: ticks come every {1000 * tick_s:g} ms")
    if not _started:
        numbers = [str(number) for number in (os.getpid(), *sorted(cores))]
        # A group of its own: Ctrl-C is for whoever started it, and it can be told to rest.
        _started.append(
            subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *numbers],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        )


def rest() -> None:
    """Let it rest while nothing trains; nothing happens if it was not started."""
    for process in _started:
        os.killpg(process.pid, signal.SIGSTOP)


def go_on() -> None:
    """End its rest."""
    for process in _started:
        os.killpg(process.pid, signal.SIGCONT)


def slice_s(num_cores: int) -> float:
    """Return how long Linux protects a thread that has just got a core, in seconds, at most."""
    return _SLICE_S * min(num_cores, _MOST_CORES).bit_length()


def phase_s(tick_s: float, last_tick_s: Callable[[], float], now_s: Callable[[], float]) -> float:
    """Return when ticks come, in seconds after the multiples of their interval.

    Parameters
    ----------
    tick_s : float
        Their interval.
    last_tick_s, now_s : Callable[[], float]
        A clock that moves at ticks, and one that always does.
    """
    seen_s, told_s = list[float](), last_tick_s()
    while len(seen_s) < _NUM_TICKS:
        if (last_s := last_tick_s()) != told_s:
            seen_s.append(now_s())
            told_s = last_s
    # Whoever is interrupted sees a tick too late, and none too soon.
    late_s = [(seen - seen_s[0] + tick_s / 2) % tick_s - tick_s / 2 for seen in seen_s]
    return (seen_s[0] + min(late_s)) % tick_s


def rest_s(now_s: float, phase_s: float, tick_s: float) -> float:
    """Return the seconds until the next moment of a phase."""
    return tick_s - (now_s - phase_s) % tick_s


def _usable(core: int) -> bool:
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> None:
    """Wake up on each core once per tick."""
    parent, *cores = (int(argument) for argument in arguments)
    cores = [core for core in cores if _usable(core)]
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    tick_s = time.clock_getres(_COARSE)
    at_s = phase_s(tick_s, lambda: time.clock_gettime(_COARSE), time.monotonic)
    at_s += slice_s(os.cpu_count() or 1)
    for core in cores[1:]:
        own = os.getpid()
        if os.fork() == 0:
            parent, cores = own, [core]
            break
    if cores and _usable(cores[0]):
        while os.getppid() == parent:
            time.sleep(rest_s(time.monotonic(), at_s, tick_s))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Training that the operating system runs only when nobody else needs the processor."""

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from logging import INFO
from pathlib import Path

import psutil
from flwr.common import log

from ..core.clock import WallClock
from . import between_ticks
from .free_cores import THREAD_NAME
from .threads import usable_cores

#: Mechanisms that Linux has.
BETWEEN_TICKS = "preemption between ticks"
IDLE_CLASS = "SCHED_IDLE for threads that compute"
AUTOGROUP = "a session of its own with autogroup niceness 19"
IDLE_IO = "idle I/O class"
_LOWEST_NICENESS = 19
#: How long training may hold up a request. Two services that take much of all cores have no time to
#: make up for more, whatever their budget.
_HOLD_S = 0.001
_AUTOGROUP_TRIES, _AUTOGROUP_PAUSE_S = 40, 0.11
#: What was done to this process: one entry, as it cannot be done twice or undone.
_isolated: "list[Isolation]" = []


@dataclass(frozen=True, slots=True)
class Isolation:
    """What was done for the other work on the device.

    Attributes
    ----------
    applied, refused : tuple[str, ...]
        Mechanisms, in words; those refused with the reason.
    """

    applied: tuple[str, ...]
    refused: tuple[str, ...]


def is_client_process() -> bool:
    """Return whether this process is one of Flower's that works on one message and ends."""
    return Path(sys.argv[0]).stem == "flwr-clientapp"


def isolate(only: Collection[str] | None = None) -> Isolation:
    """Put this process behind all others, each mechanism on its own, and log what has worked.

    - it leaves its session for one of its own, which has niceness 19 among sessions: Linux shares
      the processor between these first (autogroup), and a service in another one would not be
      preferred. What else is in the old session, a service perhaps, does not step back;
    - between two ticks the kernel is made to choose again who computes: else a request may wait for
      training from one tick to the next, which may be more than its budget has room for
      (`between_ticks`; in a session of its own, and for threads of the class SCHED_IDLE);
    - every thread that computes is of the class SCHED_IDLE, and so is every thread that it starts:
      those of OpenMP, BLAS and torch, too. Flower's own threads are not: without its heartbeats a
      job that a busy device makes wait would be taken for dead;
    - the disk is used when nobody else does;
    - where there are no such classes, the process has the lowest priority there is.

    It needs no privilege. It cannot be undone without one: it is for processes that train and then
    end, as Flower's client processes do, and never for one that does other work. A process is
    isolated once. Processes that it has started before stay as they are, and signals to the group
    of processes from which it came do not reach it any more.

    Parameters
    ----------
    only : Collection[str] | None (default: None)
        Mechanisms to apply, of `AUTOGROUP`, `BETWEEN_TICKS`, `IDLE_CLASS` and `IDLE_IO`; None for
        all.
    """
    return _isolated[0] if _isolated else _isolate(only)


def applied_isolation() -> str:
    """Return what keeps this process from other work, in words; empty if nothing does."""
    return ", ".join(_isolated[0].applied) if _isolated else ""


def _isolate(only: Collection[str] | None) -> Isolation:
    mechanisms: list[tuple[str, Callable[[], None]]] = [
        (AUTOGROUP, _autogroup),
        # Before the idle class: what a thread of that starts may not leave it.
        (BETWEEN_TICKS, _between_ticks),
        (IDLE_CLASS, _idle_class),
        (IDLE_IO, _idle_io),
    ]
    if not sys.platform.startswith("linux"):
        mechanisms = [("lowest priority", _lowest_priority)]
    applied, refused = [], []
    for name, apply in mechanisms:
        if only is not None and name not in only:
            continue
        try:
            apply()
            applied.append(name)
        except (OSError, ValueError, psutil.Error, AttributeError) as error:
            refused.append(f"{name} ({error})")
    log(INFO, "Isolation of training: %s; not applied: %s",
        ", ".join(applied) or "none", ", ".join(refused) or "none")  # fmt: skip
    _isolated.append(Isolation(tuple(applied), tuple(refused)))
    return _isolated[0]


def _autogroup() -> None:
    niceness = Path("/proc/self/autogroup")
    niceness.read_text(encoding="ascii")  # where there is none it stays in its session
    if not _leads_session():
        try:
            os.setsid()
        except PermissionError as error:
            reason = "it leads a group of processes and cannot leave its session: start with setsid"
            raise OSError(error.errno, reason) from error
    # Linux takes one such wish in 0.1 s, of all processes without privilege together.
    for tries_left in reversed(range(_AUTOGROUP_TRIES)):
        try:
            niceness.write_text(str(_LOWEST_NICENESS), encoding="ascii")
            return
        except BlockingIOError:
            if not tries_left:
                raise
            WallClock().sleep(_AUTOGROUP_PAUSE_S)


def _leads_session() -> bool:
    return os.getsid(0) == os.getpid()


def _between_ticks() -> None:
    if not _leads_session():
        # Whoever wakes up in the service's session would be as good as a tick.
        raise OSError(errno.EBUSY, "not in a session of its own, which a service may share")
    between_ticks.start(usable_cores(), _HOLD_S)


def _idle_class() -> None:
    for thread in _computing_threads():
        # One that has ended meanwhile needs nothing.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def _computing_threads() -> set[int]:
    # Threads of numerical libraries are not Python's; the app's own ones are started by this one.
    own = {t.native_id for t in threading.enumerate() if not t.name.startswith(THREAD_NAME)}
    others = own - {threading.get_native_id()}
    return {int(name) for name in os.listdir("/proc/self/task")} - others


def _idle_io() -> None:
    psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def _lowest_priority() -> None:
    lowest = getattr(psutil, "IDLE_PRIORITY_CLASS", _LOWEST_NICENESS)
    psutil.Process().nice(lowest)

"""How long Linux lets a thread compute before another that has just woken up may have its turn."""

import ctypes
import errno
import os
import platform
import struct
import sys

#: Numbers of sched_setattr and sched_getattr, for which older C libraries have no names, by the
#: machine and the size of this process's pointers.
_NUMBERS = {
    ("x86_64", 8): (314, 315),
    ("aarch64", 8): (274, 275),
    ("riscv64", 8): (274, 275),
    ("armv7l", 4): (380, 381),
    ("armv8l", 4): (380, 381),
}
#: size, policy, flags, nice, priority, runtime, deadline, period: struct sched_attr, version 0.
_ATTRIBUTES = struct.Struct("IIQiIQQQ")
_KEEP_POLICY = 0x08


def lengthen_time_slice(thread: int, slice_s: float) -> None:
    """Give a thread, and those that it starts, time slices of at least this length.

    Under Linux's EEVDF scheduler a thread that wakes up waits until the slice of the one that
    computes is over, unless its own slices are shorter: then it takes the processor at once. A
    thread with longer slices than the default thereby yields to all others, in other groups of
    processes too, where niceness alone only says who gets how much. It needs no privilege.

    Parameters
    ----------
    thread : int
        Of this process, of a normal or batch class: Linux does not do it for the idle one.
    slice_s : float
        From 0.0001 to 0.1.

    Raises
    ------
    ProcessLookupError
        If there is no such thread.
    OSError
        If the system is not Linux 6.12 or newer, or refuses.

    References
    ----------
    Linux, kernel/sched/fair.c, PREEMPT_SHORT; sched_setattr(2).
    """
    wanted_ns = round(1e9 * slice_s)
    if round(1e9 * time_slice_s(thread)) >= wanted_ns:
        return
    niceness = os.getpriority(os.PRIO_PROCESS, thread)
    asked = _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, _KEEP_POLICY, niceness, 0, wanted_ns, 0, 0)
    _call(0, thread, asked, 0)
    if round(1e9 * time_slice_s(thread)) < wanted_ns:
        raise OSError(errno.ENOSYS, "needs Linux 6.12 or newer, and a thread of a normal class")


def time_slice_s(thread: int) -> float:
    """Return the length of a thread's time slices, 0 if Linux does not tell; errors as above."""
    told = ctypes.create_string_buffer(_ATTRIBUTES.size)
    _call(1, thread, told, len(told), 0)
    return float(_ATTRIBUTES.unpack(told.raw)[5]) / 1e9


def _call(which: int, *arguments: object) -> None:
    machine = platform.machine(), struct.calcsize("P")
    if machine not in _NUMBERS or not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, f"not known how on {sys.platform}, {machine[0]}")
    call = ctypes.CDLL(None, use_errno=True).syscall
    if call(_NUMBERS[machine][which], *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

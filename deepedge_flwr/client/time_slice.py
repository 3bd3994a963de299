"""How long Linux lets a thread compute before another that has just woken up may have its turn."""

import ctypes
import errno
import os
import platform
import struct

#: sched_setattr and sched_getattr; older C libraries have no names for them.
_NUMBERS = {
    "x86_64": (314, 315),
    "aarch64": (274, 275),
    "riscv64": (274, 275),
    "armv7l": (380, 381),
}
#: size, policy, flags, nice, priority, runtime, deadline, period: struct sched_attr, version 0.
_ATTRIBUTES = struct.Struct("IIQiIQQQ")
_KEEP_POLICY = 0x08


def set_time_slice(thread: int, slice_s: float) -> None:
    """Give a thread, and those that it starts, time slices of this length.

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
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        raise OSError(errno.ENOSYS, f"not known how on {platform.machine()}")
    set_number, get_number = numbers
    call = ctypes.CDLL(None, use_errno=True).syscall
    wanted_ns = round(1e9 * slice_s)
    niceness = os.getpriority(os.PRIO_PROCESS, thread)
    asked = _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, _KEEP_POLICY, niceness, 0, wanted_ns, 0, 0)
    told = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if call(set_number, thread, asked, 0) or call(get_number, thread, told, len(told), 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if _ATTRIBUTES.unpack(told.raw)[5] != wanted_ns:
        raise OSError(errno.ENOSYS, "needs Linux 6.12 or newer, and a thread of a normal class")

"""Looks between ticks: when they come, in closed form, and who takes them, in real processes."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from deepedge_flwr.client import between_ticks
from deepedge_flwr.client.between_ticks import phase_s, rest_s, slice_s

TICK_S = 0.004
IS_LINUX = sys.platform.startswith("linux")
has_room = pytest.mark.skipif(
    not IS_LINUX or slice_s(os.cpu_count() or 1) >= time.clock_getres(6),
    reason="this kernel has no time between a slice and the next tick",
)

STARTS = """
import os, sys
from deepedge_flwr.client import between_ticks
between_ticks.start(os.sched_getaffinity(0))
between_ticks.start(os.sched_getaffinity(0))  # once
for line in sys.stdin:
    getattr(between_ticks, line.strip())()
    print("done", flush=True)
"""


class Clocks:
    """Time that goes on by a little with every look, and what its ticks show of it."""

    def __init__(self, phase_s: float, look_s: float = 1e-6, interrupted_s: float = 0.0) -> None:
        self._phase_s, self._look_s, self._interrupted_s = phase_s, look_s, interrupted_s
        self._now_s, self._looks = 100.0, 0

    def now_s(self) -> float:
        return self._now_s

    def last_tick_s(self) -> float:
        self._now_s += self._look_s
        self._looks += 1
        if self._looks % 5000 < 5:  # some ticks are seen too late
            self._now_s += self._interrupted_s
        # It tells when a tick was due by another count, as the kernel's clock does.
        return ((self._now_s - self._phase_s) // TICK_S) * TICK_S + 0.0011


@pytest.mark.parametrize("phase", [0.0, 0.00284, 0.0039999])
@pytest.mark.parametrize("interrupted_s", [0.0, 0.0007])
def test_the_phase_of_ticks_is_that_of_the_one_seen_soonest(
    phase: float, interrupted_s: float
) -> None:
    clocks = Clocks(phase, interrupted_s=interrupted_s)
    found = phase_s(TICK_S, clocks.last_tick_s, clocks.now_s)
    assert 0.0 <= found < TICK_S
    late_s = (found - phase + TICK_S / 2) % TICK_S - TICK_S / 2
    assert -1e-9 <= late_s <= 2e-6


def test_it_rests_until_the_next_moment_of_its_phase() -> None:
    assert rest_s(8.0, 0.001, TICK_S) == pytest.approx(0.001)
    assert rest_s(8.0005, 0.001, TICK_S) == pytest.approx(0.0005)
    assert rest_s(8.0015, 0.001, TICK_S) == pytest.approx(0.0035)
    assert rest_s(8.0, 0.0055, TICK_S) == pytest.approx(0.0015)  # a phase beyond the next tick


def test_linux_s_slice_grows_with_the_digits_of_up_to_eight_cores() -> None:
    slices_s = [slice_s(num) for num in (1, 2, 3, 4, 7, 8, 64)]
    assert slices_s == pytest.approx([0.00075, 0.0015, 0.0015, 0.00225, 0.00225, 0.003, 0.003])


@pytest.mark.skipif(not IS_LINUX, reason="Linux has this clock")
def test_it_says_why_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_getres", lambda _: 0.0005)
    with pytest.raises(OSError, match=r"not needed: ticks come every 0\.5 ms") as raised:
        between_ticks.start([0])
    assert raised.value.errno == errno.ENOTSUP


@contextmanager
def trainer() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str], command: str) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{command}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def looking(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until the process has one that looks for each core; return them."""
    wanted = len(os.sched_getaffinity(0))
    while True:
        found = psutil.Process(process.pid).children(recursive=True)
        if len(found) == wanted and all(len(one.cpu_affinity()) == 1 for one in found):
            return found
        time.sleep(0.01)


@has_room
def test_each_core_has_one_that_disturbs_nobody_and_ends_with_who_started_it() -> None:
    with trainer() as process:
        tell(process, "rest")
        tell(process, "go_on")
        found = looking(process)
        assert {core for one in found for core in one.cpu_affinity()} == os.sched_getaffinity(0)
        assert {os.sched_getscheduler(one.pid) for one in found} == {os.SCHED_BATCH}
        assert {os.getsid(one.pid) for one in found} == {process.pid}  # and so its autogroup
        assert os.getpgid(found[0].pid) != process.pid  # Ctrl-C is not for it
    _, alive = psutil.wait_procs(found, timeout=30)
    assert alive == []


@has_room
def test_it_can_rest_and_even_then_ends_with_who_started_it() -> None:
    with trainer() as process:
        found = looking(process)
        tell(process, "rest")
        while {one.status() for one in found} != {psutil.STATUS_STOPPED}:
            time.sleep(0.01)
    _, alive = psutil.wait_procs(found, timeout=30)
    assert alive == []


@has_room
def test_cores_that_it_may_not_use_are_left_out() -> None:
    code = STARTS.replace("os.sched_getaffinity(0)", "[*os.sched_getaffinity(0), 4095]")
    done = subprocess.run([sys.executable, "-c", code], input="rest\ngo_on\n", text=True,
                          capture_output=True, check=True, start_new_session=True)  # fmt: skip
    assert done.stdout == "done\ndone\n" and not done.stderr

"""Looks between ticks: when they come, in closed form, and who takes them, in real processes."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil
import pytest

from deepedge_flwr.client import between_ticks
from deepedge_flwr.client.between_ticks import find_tick_s, slice_s, until_s, wake_after_s
from deepedge_flwr.client.time_slice import time_slice_s

TICK_S = 0.004
IS_LINUX = sys.platform.startswith("linux")
CORES = sorted(os.sched_getaffinity(0)) if IS_LINUX else []
has_room = pytest.mark.skipif(
    not IS_LINUX or len(CORES) < 2 or bool(between_ticks._why_not(os.cpu_count() or 1)),
    reason="this kernel leaves nothing to gain",
)

STARTS = """
import contextlib, os, sys, threading
from deepedge_flwr.client import between_ticks, time_slice
with contextlib.suppress(OSError):  # an older Linux
    time_slice.lengthen_time_slice(threading.get_native_id(), 0.02)
between_ticks.start(CORES)
between_ticks.start(CORES)  # once
for line in sys.stdin:
    getattr(between_ticks, line.strip())()
    print("done", flush=True)
"""


class Clocks:
    """Time that goes on by a little with every look, and what its ticks show of it."""

    def __init__(self, phase_s: float, interrupted_s: float = 0.0) -> None:
        self._phase_s, self._interrupted_s = phase_s, interrupted_s
        self._now_s, self._looks = 100.0, 0

    def now_s(self) -> float:
        return self._now_s

    def last_tick_s(self) -> float:
        self._now_s += 1e-6
        self._looks += 1
        if self._looks < 10:  # whatever happens during the first looks
            self._now_s += self._interrupted_s
        # It tells when a tick was due by another count, as the kernel's clock does.
        return ((self._now_s - self._phase_s) // TICK_S) * TICK_S + 0.0011


@pytest.mark.parametrize("phase_s", [0.0, 0.00284, 0.0039999])
@pytest.mark.parametrize("interrupted_s", [0.0, 0.0007, 0.003, 0.0101])
def test_it_finds_a_tick_and_believes_no_look_in_which_it_was_interrupted(
    phase_s: float, interrupted_s: float
) -> None:
    clocks = Clocks(phase_s, interrupted_s)
    found_s = find_tick_s(clocks.last_tick_s, clocks.now_s)
    late_s = (found_s - phase_s + TICK_S / 2) % TICK_S - TICK_S / 2
    assert -1e-9 <= late_s <= 2e-6


def test_a_clock_that_stands_still_is_an_error() -> None:
    clocks = Clocks(0.0, 0.1)
    with pytest.raises(OSError, match="no tick was seen"):
        find_tick_s(lambda: 0.0 * clocks.last_tick_s(), clocks.now_s)


def test_it_sleeps_until_the_next_moment_of_its_phase() -> None:
    assert until_s(8.0, 4.001, TICK_S) == pytest.approx(0.001)
    assert until_s(8.0005, 4.001, TICK_S) == pytest.approx(0.0005)
    assert until_s(8.0015, 4.001, TICK_S) == pytest.approx(0.0035)
    assert until_s(8.0, 9.0015, TICK_S) == pytest.approx(0.0015)  # of a moment to come


def test_linux_s_slice_grows_with_the_digits_of_up_to_eight_cores() -> None:
    slices_s = [slice_s(num) for num in (1, 2, 3, 4, 7, 8, 64)]
    assert slices_s == pytest.approx([0.00075, 0.0015, 0.0015, 0.00225, 0.00225, 0.003, 0.003])


def test_it_wakes_up_in_the_middle_between_two_ticks_but_not_within_a_slice() -> None:
    assert wake_after_s(2, TICK_S) == 0.002
    assert wake_after_s(4, TICK_S) == slice_s(4) == pytest.approx(0.00225)
    assert wake_after_s(8, 0.01) == 0.005


@pytest.mark.skipif(not IS_LINUX, reason="Linux has this clock")
@pytest.mark.parametrize(
    ("tick_s", "num_cores", "is_worth_it"),
    [(0.004, 2, True), (0.004, 7, True), (0.004, 8, False), (0.001, 1, False), (0.01, 64, True)],
)
def test_it_says_why_there_is_nothing_to_gain(
    monkeypatch: pytest.MonkeyPatch, tick_s: float, num_cores: int, is_worth_it: bool
) -> None:
    monkeypatch.setattr(time, "clock_getres", lambda _: tick_s)
    monkeypatch.setattr(platform, "release", lambda: "6.17.0-rc1")
    assert (between_ticks._why_not(num_cores) == "") is is_worth_it
    monkeypatch.setattr(os, "cpu_count", lambda: num_cores)
    if not is_worth_it:
        with pytest.raises(OSError, match=f"not needed: {num_cores} cores"):
            between_ticks.start([0])


@pytest.mark.skipif(not IS_LINUX, reason="Linux has this clock")
@pytest.mark.parametrize("release", ["6.16.12-arch1-1", "6.6.31+rpt-rpi-v8", "5.15.0-91-generic"])
def test_an_older_linux_does_not_decide_again(
    monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    with pytest.raises(OSError, match=f"needs Linux 6.17 or newer, this is {release[:4]}"):
        between_ticks.start([0, 1])


@contextmanager
def trainer() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS.replace("CORES", str(CORES))],
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


def until(is_so: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.01)


def looking(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that look, when each has gone to its core."""
    tell(process, "go_on")
    found = psutil.Process(process.pid).children(recursive=True)
    until(lambda: sorted(one.cpu_affinity() for one in found) == [[core] for core in CORES])
    return found


def num_looks(found: Sequence[psutil.Process]) -> int:
    return min(one.num_ctx_switches().voluntary for one in found)


def assert_end(found: Sequence[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(found, timeout=30)
    assert alive == []


@has_room
def test_each_core_has_one_that_disturbs_nobody_and_ends_with_who_started_it(
    has_slices: bool,
) -> None:
    with trainer() as process:
        found = looking(process)
        assert {os.sched_getscheduler(one.pid) for one in found} == {os.SCHED_IDLE}
        if has_slices:  # shorter ones would shorten those of training
            assert {time_slice_s(one.pid) for one in found} == {0.02}
        assert {os.getsid(one.pid) for one in found} == {process.pid}  # and so its autogroup
        assert os.getpgid(found[0].pid) != process.pid  # Ctrl-C is not for it
        until(lambda: num_looks(found) > 50)
        # It sleeps in between, and so computes for a small part of what it would otherwise.
        assert all(sum(one.cpu_times()[:2]) < 0.5 for one in found)
    assert_end(found)


@has_room
def test_who_started_it_waits_for_its_end_so_that_nobody_else_must() -> None:
    with trainer() as process:
        found = looking(process)
        tell(process, "rest")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
        assert not any(psutil.pid_exists(one.pid) for one in found)


@has_room
def test_it_can_rest_and_go_on_and_ends_even_then_with_who_started_it() -> None:
    with trainer() as process:
        found = looking(process)
        tell(process, "rest")
        until(lambda: {one.status() for one in found} == {psutil.STATUS_STOPPED})
        seen = num_looks(found)
        tell(process, "go_on")
        until(lambda: num_looks(found) > seen + 10)
        tell(process, "rest")
        until(lambda: {one.status() for one in found} == {psutil.STATUS_STOPPED})
    assert_end(found)


@has_room
def test_cores_that_it_may_not_use_are_left_out() -> None:
    code = STARTS.replace("CORES", "[*os.sched_getaffinity(0), 4095]")
    done = subprocess.run([sys.executable, "-c", code], input="rest\ngo_on\n", text=True,
                          capture_output=True, check=True, start_new_session=True)  # fmt: skip
    assert done.stdout == "done\ndone\n" and not done.stderr


@has_room
def test_what_keeps_it_from_running_is_told() -> None:
    code = "from deepedge_flwr.client import between_ticks\nbetween_ticks.start([0, 4095])\n"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True,
                          start_new_session=True)  # fmt: skip
    assert done.returncode == 1 and "needs 2 cores, may use 1" in done.stderr

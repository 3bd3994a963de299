"""Looks between ticks: when they come, by a clock, and who takes them, in real processes."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deepedge_flwr.client import between_ticks

IS_LINUX = sys.platform.startswith("linux")
CORES = sorted(os.sched_getaffinity(0)) if IS_LINUX else []
linux = pytest.mark.skipif(not IS_LINUX, reason="Linux has these classes and clocks")

STARTS = """
import os, sys, time
from deepedge_flwr.client import between_ticks
time.clock_getres = lambda _: 0.004  # whatever this kernel has
between_ticks.start(CORES, 0.001)
between_ticks.start(CORES, 0.001)  # once
for line in sys.stdin:
    getattr(between_ticks, line.strip())()
    print("done", flush=True)
"""


def never_seen() -> "memoryview[float]":
    seen_at_s = memoryview(bytearray(8)).cast("d")
    seen_at_s[0] = -math.inf
    return seen_at_s


class Looks:
    """Looks by a clock that only sleep moves; at some times, once, something happens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, until_s: float) -> None:
        self.now_s, self.waited_s, self.seen_at_s = 0.0, 0.0, never_seen()
        self.changes: list[tuple[float, float]] = []
        self.handlers: list[Callable[..., None]] = []
        self.to_come: list[tuple[float, Callable[[], None]]] = []
        self._patches, self._until_s, self._last_s = monkeypatch, until_s, 0.0

    def waits(self) -> None:
        """Let one look wait longer than the kernel alone makes it."""
        self.waited_s += 0.0002

    def tell(self) -> None:
        """Let the look of another core see somebody."""
        self.seen_at_s[0] = self.now_s

    def run(self) -> list[tuple[float, float]]:
        """Return when the pauses became shorter or longer, and what they became."""
        with self._patches.context() as patched:
            patched.setattr(time, "sleep", self._sleep)
            patched.setattr(time, "monotonic", lambda: self.now_s)
            patched.setattr(between_ticks, "_waited_s", lambda _: self.waited_s)
            patched.setattr(between_ticks, "_SCHEDSTAT", os.devnull)
            patched.setattr(signal, "signal", lambda _, handler: self.handlers.append(handler))
            patched.setattr(os, "getppid", lambda: 1 if self.now_s < self._until_s else 2)
            between_ticks._look(0.001, 1, self.seen_at_s)
        return self.changes

    def _sleep(self, duration_s: float) -> None:
        if duration_s != self._last_s:
            self.changes.append((self.now_s, duration_s))
        self._last_s = duration_s
        self.now_s += duration_s
        self.waited_s += 0.0002
        while self.to_come and self.to_come[0][0] <= self.now_s:
            self.to_come.pop(0)[1]()


def assert_changes(found: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    """Assert what pauses became, and when: no later than one of the longest after it was due."""
    assert [pause_s for _, pause_s in found] == [pause_s for _, pause_s in expected]
    for (at_s, _), (due_s, _) in zip(found, expected, strict=True):
        assert due_s - 1e-9 <= at_s <= due_s + 0.0137


def test_who_waits_for_its_turn_has_seen_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody for 5 s, then one look that waits."""
    looks = Looks(monkeypatch, until_s=9.0)
    looks.to_come = [(5.0, looks.waits)]
    assert_changes(looks.run(), [(0.0, 0.0137), (5.0, 0.001), (5.15, 0.0137)])
    assert looks.seen_at_s[0] == pytest.approx(5.0, abs=0.0137)  # what other cores are told


def test_who_is_seen_on_another_core_may_come_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the other core from 2 s to 9 s; here once, at 4 s."""
    looks = Looks(monkeypatch, until_s=12.0)
    others = [(2 + num / 10, looks.tell) for num in range(71)]
    looks.to_come = sorted([*others, (4.05, looks.waits)], key=lambda event: event[0])
    expected = [(0.0, 0.0137), (2.0, 0.0037), (4.05, 0.001), (6.05, 0.0037), (9.15, 0.0137)]
    assert_changes(looks.run(), expected)


def test_whom_it_saw_before_a_rest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen at 5 s and, by the look that the rest interrupts, at 5.1 s."""
    looks = Looks(monkeypatch, until_s=6.0)

    def goes_on() -> None:
        looks.waits()
        looks.handlers[0]()

    looks.to_come = [(5.0, looks.waits), (5.1, goes_on)]
    assert_changes(looks.run(), [(0.0, 0.0137), (5.0, 0.001), (5.1, 0.0137)])
    assert looks.seen_at_s[0] == -math.inf


@pytest.mark.parametrize(
    ("since_seen_s", "since_here_s", "pause_s"),
    [
        (math.inf, math.inf, 0.0137),
        (math.nan, 0.0, 0.0137),  # half of one time and half of another
        (0.15, 0.15, 0.0137),  # gone, and here it was the last time
        (0.14, 0.14, 0.001),
        (0.0, 1.9, 0.001),  # on another core, and may come back
        (0.0, 2.0, 0.0037),
        (0.0, math.inf, 0.0037),
    ],
)
def test_looks_are_as_frequent_as_somebody_is_near(
    since_seen_s: float, since_here_s: float, pause_s: float
) -> None:
    assert between_ticks._pause_s(0.001, since_seen_s, since_here_s) == pause_s


def test_who_is_told_of_others_looks_no_more_often_than_asked() -> None:
    assert between_ticks._pause_s(0.0039, 0.0, math.inf) == 0.0039


TELLS = """
import os, sys, time
from deepedge_flwr.client import between_ticks
def look(every_s, parent, seen_at_s):
    core, = os.sched_getaffinity(0)
    if core == {last}:
        seen_at_s[0] = 7.0
    while seen_at_s[0] != 7.0:
        time.sleep(0.01)
    if core == {first}:
        print("told")
between_ticks._look = look
between_ticks.main(["0.001", str(os.getppid()), "{first}", "{last}"])
"""


@linux
@pytest.mark.skipif(len(CORES) < 2, reason="there is nobody to tell")
def test_what_one_core_sees_the_others_are_told() -> None:
    code = TELLS.format(first=CORES[0], last=CORES[-1])
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True,
                          timeout=60, start_new_session=True)  # fmt: skip
    assert done.stdout == "ready\ntold\n", done.stderr


@linux
def test_where_ticks_are_as_frequent_there_is_nothing_to_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "clock_getres", lambda _: 0.001)
    with pytest.raises(OSError, match="not needed: a tick every 1 ms, wanted every 1"):
        between_ticks.start([0], 0.001)


def test_how_long_it_has_waited_is_the_second_of_three_numbers_in_ns(tmp_path: Path) -> None:
    (tmp_path / "schedstat").write_text("7000000 300000 2\n")
    with (tmp_path / "schedstat").open() as file:
        assert between_ticks._waited_s(file.fileno()) == pytest.approx(0.0003)


@pytest.mark.parametrize("text", ["0 0 0\n", None])
def test_where_linux_does_not_count_it_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "schedstat").write_text(text)
    monkeypatch.setattr(between_ticks, "_SCHEDSTAT", str(tmp_path / "schedstat"))
    with pytest.raises(OSError, match="schedstat does not tell how long a process has waited"):
        between_ticks._must_be_told()


@contextmanager
def trainer(cores: Sequence[int] = CORES) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS.replace("CORES", str(cores))],
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


def looking(process: subprocess.Popen[str], cores: Sequence[int] = CORES) -> list[psutil.Process]:
    """Return the processes that look, when each has gone to its core."""
    tell(process, "go_on")
    found = psutil.Process(process.pid).children(recursive=True)
    until(lambda: sorted(one.cpu_affinity() for one in found) == [[core] for core in cores])
    return found


def num_looks(found: Sequence[psutil.Process]) -> int:
    return min(one.num_ctx_switches().voluntary for one in found)


def assert_end(found: Sequence[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(found, timeout=30)
    assert alive == []


@linux
def test_each_core_has_one_that_disturbs_nobody_and_ends_with_who_started_it() -> None:
    with trainer() as process:
        found = looking(process)
        assert {os.sched_getscheduler(one.pid) for one in found} == {os.SCHED_BATCH}
        # A lower one would not always come before training.
        assert {one.nice() for one in found} == {psutil.Process(process.pid).nice()}
        assert {os.getsid(one.pid) for one in found} == {process.pid}  # and so its autogroup
        assert os.getpgid(found[0].pid) != process.pid  # Ctrl-C is not for it
        until(lambda: num_looks(found) > 50)
    assert_end(found)


@linux
def test_one_core_has_one() -> None:
    with trainer(CORES[:1]) as process:
        found = looking(process, CORES[:1])
        assert len(found) == 1
        until(lambda: num_looks(found) > 10)
    assert_end(found)


@linux
def test_those_of_other_cores_end_with_the_first() -> None:
    with trainer() as process:
        found = looking(process)
        first = psutil.Process(process.pid).children()
        assert len(first) == 1
        first[0].kill()
        assert_end([one for one in found if one.pid != first[0].pid])


@linux
def test_who_started_it_waits_for_its_end_so_that_nobody_else_must() -> None:
    with trainer() as process:
        found = looking(process)
        tell(process, "rest")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
        assert not any(psutil.pid_exists(one.pid) for one in found)


@linux
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


@linux
def test_cores_that_it_may_not_use_are_left_out() -> None:
    code = STARTS.replace("CORES", "[*os.sched_getaffinity(0), 4095]")
    done = subprocess.run([sys.executable, "-c", code], input="rest\ngo_on\n", text=True,
                          capture_output=True, check=True, start_new_session=True)  # fmt: skip
    assert done.stdout == "done\ndone\n" and not done.stderr


REFUSED = """
import os
from deepedge_flwr.client import between_ticks
between_ticks.time.clock_getres = lambda _: 0.004
{first}
between_ticks.start({cores}, 0.001)
"""


@linux
@pytest.mark.parametrize(
    ("first", "cores", "reason"),
    [
        ("", [4095], "may use none of the cores [4095]"),
        ("between_ticks.__file__ = '/dev/zero/none'", [0], "it says nothing"),
        ("between_ticks.sys.executable = ''", [0], "no Python interpreter to start"),
    ],
)
def test_what_keeps_it_from_running_is_told(first: str, cores: list[int], reason: str) -> None:
    code = REFUSED.format(first=first, cores=cores)
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True,
                          start_new_session=True)  # fmt: skip
    assert done.returncode == 1 and reason in done.stderr

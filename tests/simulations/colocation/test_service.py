"""Services: when their requests are due, and what they tell of themselves."""

from itertools import count

import pytest

from simulations.colocation import service
from simulations.colocation.service import Load, Pusher, Work, serve


class Counted:
    """Work of no time, and some arithmetic."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> float:
        self.times += 1
        return 3.0


def test_a_load_is_periodic() -> None:
    load = Load(period_s=0.25, work_s=0.1)
    assert list(load.due_s(1.0)) == [0.0, 0.25, 0.5, 0.75]


def test_bursts_come_and_go() -> None:
    load = Load(period_s=0.5, work_s=0.1, burst_s=1.0, every_s=2.0)
    assert list(load.due_s(5.0)) == [0.0, 0.5, 2.0, 2.5, 4.0, 4.5]


def test_every_request_is_served_and_told_about() -> None:
    work = Counted()
    told = serve(Load(period_s=0.01, work_s=0.001), work, Pusher([]), 0.1)  # type: ignore[arg-type]
    assert work.times == len(told["latencies_s"]) == len(told["times_s"]) == 10
    assert all(latency_s > 0 for latency_s in told["latencies_s"])
    assert told["queued_s"] >= 0
    assert told["num_added"] == 30.0


def test_work_is_processor_time_however_much_is_computed_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, spent_s = Work(Load(period_s=1.0, work_s=0.5)), count(0.0, 0.125)
    monkeypatch.setattr(service.time, "thread_time", lambda: next(spent_s))
    # Asked at the beginning, and before each of three rounds of 4096 numbers.
    assert work() == 3 * 4096
    assert next(spent_s) == 5 * 0.125


def test_work_on_a_table_is_always_the_same_arithmetic() -> None:
    work = Work(Load(period_s=1.0, work_s=0.001, table_mib=0.25))
    once = work()
    assert once % 32768 == 0 and once > 0
    assert [work(), work()] == [once, once]

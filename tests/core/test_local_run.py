"""The gated loop on a device whose time and service follow a script."""

from collections.abc import Iterator, Sequence

import pytest

from deepedge_flwr.core.device import Device, ProbeFailed
from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.local_run import LocalRun
from deepedge_flwr.core.types import Telemetry, TrainPlan


class ScriptedDevice:
    """Steps take `step_s`; the k-th look at the service returns the k-th entry of `latencies_s`.

    The first look is before the first step.
    """

    def __init__(self, step_s: float = 1.0, latencies_s: Sequence[Sequence[float]] = ()) -> None:
        self._step_s = step_s
        self._latencies_s: Iterator[Sequence[float]] = iter(latencies_s)
        # A clock does not start at zero.
        self._now_s = 1024.0
        self.log: list[str] = []

    def now_s(self) -> float:
        return self._now_s

    def end_step(self) -> None:
        self.log.append("step")
        self._now_s += self._step_s

    def pause(self, duration_s: float) -> None:
        self.log.append("pause")
        self._now_s += duration_s

    def service_latencies_s(self) -> Sequence[float]:
        return next(self._latencies_s, [])


def run_of(device: Device, num_steps: int, gate: Gate | None = None, **plan: float) -> LocalRun:
    return LocalRun(TrainPlan(num_steps=num_steps, **plan), gate, device)  # type: ignore[arg-type]


def test_an_ungated_run_is_the_planned_number_of_steps() -> None:
    run = run_of(ScriptedDevice(step_s=0.5), 4)
    assert list(run) == [0, 1, 2, 3]
    assert run.telemetry() == Telemetry(num_steps=4, busy_s=2.0)


@pytest.mark.parametrize(
    ("deadline_s", "num_steps"), [(0.5, 1), (2.0, 2), (2.5, 3), (9.0, 9), (99.0, 10)]
)
def test_no_step_starts_after_the_deadline_but_one_is_always_done(
    deadline_s: float, num_steps: int
) -> None:
    run = run_of(ScriptedDevice(step_s=1.0), 10, deadline_s=deadline_s)
    assert len(list(run)) == num_steps
    assert run.telemetry().busy_s == num_steps


def test_pauses_are_counted_apart_from_steps() -> None:
    # The first step disturbs the service, two pauses later it has recovered.
    device = ScriptedDevice(step_s=1.0, latencies_s=[[], [4.0], [4.0], [1e-4] * 1000])
    gate = Gate(2.0, pause_s=0.25)
    run = run_of(device, 3, gate)
    assert list(run) == [0, 1, 2]
    assert device.log == ["step", "pause", "pause", "step", "step"]
    assert run.telemetry() == Telemetry(
        num_steps=3,
        busy_s=3.0,
        paused_s=0.5,
        num_requests=1002,
        num_violations=2,
        service_p99_s=1e-4,
    )


def test_the_deadline_runs_on_during_pauses() -> None:
    device = ScriptedDevice(step_s=1.0, latencies_s=[[], [4.0], [1e-4] * 1000])
    run = run_of(device, 10, Gate(2.0, pause_s=2.0), deadline_s=4.0)
    assert list(run) == [0, 1]
    assert (run.telemetry().busy_s, run.telemetry().paused_s) == (2.0, 2.0)


def test_a_service_in_trouble_from_the_start_ends_the_run_before_any_step() -> None:
    gate = Gate(1.0, pause_s=0.5, max_pause_s=1.0)
    gate.observe([4.0])
    device = ScriptedDevice(latencies_s=[[], [4.0] * 10, [4.0] * 10])
    run = run_of(device, 3, gate)
    assert list(run) == []
    assert run.was_started
    assert device.log == ["pause", "pause"]
    assert run.telemetry() == Telemetry(
        num_steps=0,
        busy_s=0.0,
        paused_s=1.0,
        num_requests=20,
        num_violations=20,
        service_p99_s=4.0,
        trouble="the service does not keep its budget of 1 s while training pauses: 4 s after 1 s",
        yielded=True,
    )


def test_one_step_is_done_even_if_pauses_took_all_of_the_deadline() -> None:
    gate = Gate(2.0, pause_s=2.0)
    gate.observe([4.0])
    run = run_of(ScriptedDevice(latencies_s=[[], [], [1e-4] * 1000]), 3, gate, deadline_s=3.0)
    assert list(run) == [0]
    assert run.telemetry() == Telemetry(
        num_steps=1, busy_s=1.0, paused_s=4.0, num_requests=1000, service_p99_s=1e-4
    )


def test_a_request_that_takes_exactly_the_budget_is_within_it() -> None:
    run = run_of(ScriptedDevice(latencies_s=[[], [1.0, 1.0, 1.5]]), 1, Gate(1.0))
    assert list(run) == [0]
    assert (run.telemetry().num_requests, run.telemetry().num_violations) == (3, 1)


def test_a_service_that_does_not_recover_ends_the_run_with_the_work_done() -> None:
    device = ScriptedDevice(latencies_s=[[], [], [8.0], [8.0] * 10, [8.0] * 10])
    run = run_of(device, 9, Gate(1.0, pause_s=1.0, max_pause_s=2.0))
    assert list(run) == [0, 1]
    assert run.telemetry() == Telemetry(
        num_steps=2,
        busy_s=2.0,
        paused_s=2.0,
        num_requests=21,
        num_violations=21,
        service_p99_s=8.0,
        trouble="the service does not keep its budget of 1 s while training pauses: 8 s after 2 s",
        yielded=True,
    )


def test_a_service_that_leaves_no_time_for_a_step_ends_the_run_at_twice_the_deadline() -> None:
    gate = Gate(2.0, pause_s=1.0, max_pause_s=99.0)
    gate.observe([4.0])
    run = run_of(ScriptedDevice(), 3, gate, deadline_s=2.0)
    assert list(run) == []
    told = run.telemetry()
    assert (told.num_steps, told.paused_s, told.yielded) == (0, 4.0, True)
    assert told.trouble == "the service left no time for training"


def test_a_pause_ends_with_the_deadline_once_a_step_is_done() -> None:
    device = ScriptedDevice(latencies_s=[[], [4.0]])
    run = run_of(device, 3, Gate(2.0, pause_s=1.0, max_pause_s=99.0), deadline_s=3.0)
    assert list(run) == [0]
    told = run.telemetry()
    assert (told.num_steps, told.paused_s, told.yielded, told.trouble) == (1, 2.0, False, "")


class BlindDevice(ScriptedDevice):
    """Its probe dies with the `fails_at`-th look."""

    def __init__(self, fails_at: int, latencies_s: Sequence[Sequence[float]] = ()) -> None:
        super().__init__(latencies_s=latencies_s)
        self._looks_left = fails_at

    def service_latencies_s(self) -> Sequence[float]:
        self._looks_left -= 1
        if self._looks_left < 0:
            raise ProbeFailed("connection refused")
        return super().service_latencies_s()


@pytest.mark.parametrize(("fails_at", "num_steps"), [(0, 0), (1, 1), (3, 3)])
def test_a_gate_that_sees_nothing_any_more_ends_the_run_with_the_work_done(
    fails_at: int, num_steps: int
) -> None:
    run = run_of(BlindDevice(fails_at), 9, Gate(1.0))
    assert list(run) == list(range(num_steps))
    told = run.telemetry()
    assert (told.num_steps, told.trouble) == (num_steps, "connection refused")
    assert told.yielded


def test_who_says_so_trains_on_without_a_probe_and_it_is_told() -> None:
    device = BlindDevice(2, latencies_s=[[], [0.5, 1.5]])
    run = LocalRun(TrainPlan(num_steps=4), Gate(9.0), device, on_blind="train")
    assert len(list(run)) == 4
    told = run.telemetry()
    assert told.trouble == "connection refused; training goes on unprotected"
    assert not told.yielded
    assert (told.num_requests, told.num_violations) == (2, 0)


def test_without_a_gate_a_dead_probe_is_told_and_nothing_more() -> None:
    run = run_of(BlindDevice(1), 3)
    assert len(list(run)) == 3
    assert run.telemetry().trouble == "connection refused"


def test_between_the_parts_of_a_step_the_gate_pauses_and_its_time_is_not_the_step_s() -> None:
    device = ScriptedDevice(latencies_s=[[], [3.0], [1e-4] * 1000])
    run = run_of(device, 1, Gate(2.0, pause_s=0.5))
    for _ in run:
        device.end_step()  # the first part
        assert run.may_continue_step()
        device.end_step()  # the second
    assert device.log == ["step", "pause", "step", "step"]
    told = run.telemetry()
    assert (told.num_steps, told.busy_s, told.paused_s) == (1, 3.0, 0.5)
    assert run.longest_stretch_s == 2.0


def test_a_step_is_cut_short_when_the_gate_ends_the_run_inside_it() -> None:
    device = ScriptedDevice(latencies_s=[[], [3.0], [3.0] * 20])
    run = run_of(device, 5, Gate(2.0, pause_s=1.0, max_pause_s=1.0))
    parts = [run.may_continue_step() for _ in run]
    assert parts == [False]
    told = run.telemetry()
    assert told.num_steps == 1
    assert "does not keep its budget of 2 s" in told.trouble


def test_a_step_counts_when_the_caller_asks_for_the_next() -> None:
    device = ScriptedDevice()
    run = run_of(device, 3)
    steps = iter(run)
    next(steps)
    assert (run.num_steps, device.log) == (0, [])
    next(steps)
    assert (run.num_steps, device.log) == (1, ["step"])


def test_a_second_loop_takes_up_what_the_first_left_of_the_plan() -> None:
    run = run_of(ScriptedDevice(), 3)
    first = [step for step, _ in zip(run, "ab", strict=False)]
    assert first == [0, 1]
    assert list(run) == [2]
    assert list(run) == []
    assert run.telemetry() == Telemetry(num_steps=3, busy_s=3.0)


def test_an_ungated_run_sees_the_service_but_has_no_budget_to_violate() -> None:
    latencies_s = [[], [float(k) for k in range(101)], [100.0] * 99]
    run = run_of(ScriptedDevice(latencies_s=latencies_s), 2)
    assert list(run) == [0, 1]
    telemetry = run.telemetry(device_id="camera-3")
    assert (telemetry.num_requests, telemetry.num_violations) == (200, 0)
    assert (telemetry.service_p99_s, telemetry.device_id) == (100.0, "camera-3")


def test_a_run_that_nobody_iterated_was_not_started() -> None:
    run = run_of(ScriptedDevice(), 2)
    iter(run)
    assert not run.was_started
    assert run.telemetry() == Telemetry(num_steps=0, busy_s=0.0)


def test_a_deadline_that_ended_a_loop_ends_every_other() -> None:
    run = run_of(ScriptedDevice(step_s=1.0), 10, deadline_s=2.0)
    assert list(run) == [0, 1]
    assert list(run) == []
    assert run.telemetry() == Telemetry(num_steps=2, busy_s=2.0)


def test_a_gate_that_ended_a_loop_ends_every_other() -> None:
    # By the second loop the service has recovered: the job was given back all the same.
    device = ScriptedDevice(latencies_s=[[], [8.0], [8.0] * 10, [8.0] * 10, [1e-4] * 1000])
    run = run_of(device, 9, Gate(1.0, pause_s=1.0, max_pause_s=2.0))
    assert list(run) == [0]
    assert list(run) == []
    assert device.log == ["step", "pause", "pause"]


def test_the_deadline_counts_from_the_start_of_the_job_and_not_of_the_loop() -> None:
    device = ScriptedDevice(step_s=1.0)
    run = run_of(device, 10, deadline_s=4.0)
    device.pause(2.5)  # what the client does before its loop, such as reading its data
    assert list(run) == [0, 1]


def test_a_second_loop_has_what_the_first_left_of_the_deadline() -> None:
    run = run_of(ScriptedDevice(step_s=1.0), 10, deadline_s=4.0)
    first = [step for step, _ in zip(run, "ab", strict=False)]
    assert first == [0, 1]
    assert list(run) == [2, 3]


def test_what_the_service_took_before_the_job_opens_or_shuts_the_gate_and_is_not_counted() -> None:
    device = ScriptedDevice(latencies_s=[[4.0], [1e-4] * 1000])
    run = run_of(device, 1, Gate(2.0, pause_s=0.25))
    assert list(run) == [0]
    assert device.log == ["pause", "step"]
    assert run.telemetry() == Telemetry(
        num_steps=1, busy_s=1.0, paused_s=0.25, num_requests=1000, service_p99_s=1e-4
    )


def test_without_a_gate_requests_before_the_job_are_not_counted_either() -> None:
    run = run_of(ScriptedDevice(latencies_s=[[4.0] * 7, [0.5]]), 1)
    assert list(run) == [0]
    assert run.telemetry() == Telemetry(num_steps=1, busy_s=1.0, num_requests=1, service_p99_s=0.5)

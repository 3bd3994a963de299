"""A simulated device: exact times, joined segments, and the same job after a trip through JSON."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.local_run import LocalRun
from deepedge_flwr.core.types import Telemetry, TrainPlan
from deepedge_flwr.records import SIMULATED_DEVICE
from deepedge_flwr.simulation import (
    DeviceSpec,
    InProcessGrid,
    LinkSpec,
    ServiceSpec,
    SimulatedDevice,
    simulated_device,
)
from deepedge_flwr.simulation.simulated_device import (
    DeviceStart,
    Segment,
    device_to_json,
    live,
)

LINK = LinkSpec(uplink_bytes_per_s=1e5, downlink_bytes_per_s=1e5)
SERVICE = ServiceSpec(period_s=0.1, latency_s=0.01, budget_s=0.012, contention_s=0.5)
START = DeviceStart(seed=5, node_index=2, job_index=3, time_s=1.5, contention=0.1)
CONTEXT = Context(run_id=1, node_id=3, node_config={}, state=RecordDict(), run_config={})


@pytest.fixture(autouse=True)
def _inside_a_flower_task() -> None:
    InProcessGrid(ClientApp(), 1)


def spec(**changes: Any) -> DeviceSpec:
    fields: dict[str, Any] = {"step_time_s": 0.25, "link": LINK, "step_jitter": 0.0}
    return DeviceSpec(**fields | changes)


def message(text: str) -> Message:
    content = RecordDict({"config": ConfigRecord({SIMULATED_DEVICE: text})})
    return Message(content, 3, "train")


def lived(device: SimulatedDevice) -> tuple[Telemetry, list[Segment], float, float]:
    plan = TrainPlan(num_steps=40, deadline_s=20.0, latency_budget_s=0.012)
    return (
        live(device, plan, Gate.for_plan(plan)),
        device.segments,
        device.now_s(),
        device.contention,
    )


def test_steps_and_pauses_take_their_time() -> None:
    device = SimulatedDevice(spec(), START)
    device.end_step()
    assert device.now_s() == 1.75
    device.pause(0.5)
    assert device.now_s() == 2.25


def test_neighbouring_segments_of_a_kind_are_joined() -> None:
    device = SimulatedDevice(spec(), START)
    for _ in range(3):
        device.end_step()
    device.pause(0.25)
    device.pause(0.25)
    device.end_step()
    assert device.segments == [
        Segment("compute", 1.5, 2.25),
        Segment("pause", 2.25, 2.75),
        Segment("compute", 2.75, 3.0),
    ]


def test_jitter_is_a_function_of_seed_node_job_and_step() -> None:
    def end_s(**changes: int) -> float:
        device = SimulatedDevice(spec(step_jitter=0.1), replace(START, **changes))
        for _ in range(100):
            device.end_step()
        return device.now_s()

    assert end_s() == end_s()
    assert len({end_s(), end_s(seed=6), end_s(node_index=1), end_s(job_index=4)}) == 4
    assert end_s() - 1.5 == pytest.approx(25.0, rel=0.05)


def test_every_step_of_a_long_job_has_its_own_noise() -> None:
    device, ends_s = SimulatedDevice(spec(step_jitter=0.1), replace(START, time_s=0.0)), [0.0]
    for _ in range(200):
        device.end_step()
        ends_s.append(device.now_s())
    assert len({round(b - a, 9) for a, b in pairwise(ends_s)}) == 200


def test_without_a_service_there_are_no_requests() -> None:
    device = SimulatedDevice(spec(), START)
    device.end_step()
    assert list(device.service_latencies_s()) == []
    assert (device.num_requests(99.0), device.num_violations(99.0)) == (0, 0)
    assert device.contention == 0.1


def test_latencies_are_handed_out_once() -> None:
    device = SimulatedDevice(spec(service=SERVICE), START)
    for _ in range(4):
        device.end_step()
    assert len(device.service_latencies_s()) == 10
    assert list(device.service_latencies_s()) == []


def test_requests_and_violations_are_counted_up_to_an_instant() -> None:
    service = replace(SERVICE, jitter=0.0, slowdown=3.0, contention_s=1e-9)
    device = SimulatedDevice(spec(service=service), replace(START, contention=0.0))
    device.pause(1.0)
    for _ in range(4):
        device.end_step()
    assert (device.num_requests(99.0), device.num_violations(99.0)) == (20, 10)
    assert (device.num_requests(2.5), device.num_violations(2.5)) == (10, 0)
    assert (device.num_requests(3.0), device.num_violations(3.0)) == (15, 5)
    assert device.num_requests(1.5) == 0


@pytest.mark.parametrize(
    ("idle_s", "num_seen"), [(0.0, 0), (0.5, 5), (1.0, 10), (1.5, 10), (60.0, 10)]
)
def test_the_last_ten_requests_before_a_job_are_seen_and_not_counted(
    idle_s: float, num_seen: int
) -> None:
    start = replace(START, time_s=100.0, idle_s=idle_s)
    device = SimulatedDevice(spec(service=SERVICE), start)
    assert len(device.service_latencies_s()) == num_seen
    device.pause(0.5)
    assert len(device.service_latencies_s()) == device.num_requests(999.0) == 5


def test_the_seen_latencies_are_those_of_the_contention_that_decayed_to_the_start() -> None:
    """A device that idles serves the same requests whether or not a job follows."""
    service = replace(SERVICE, jitter=0.0, slowdown=3.0)
    before = SimulatedDevice(
        spec(service=service), replace(START, time_s=99.0, contention=0.8, idle_s=0.0)
    )
    before.pause(1.0)
    start = replace(START, time_s=100.0, contention=before.contention, idle_s=1.0)
    seen = SimulatedDevice(spec(service=service), start).service_latencies_s()
    assert list(seen) == pytest.approx(list(before.service_latencies_s()), rel=1e-12)


def test_a_device_that_never_trained_was_never_disturbed() -> None:
    service = replace(SERVICE, jitter=0.0, slowdown=3.0, contention_s=1e-3)
    start = replace(START, contention=0.0, idle_s=1.5)
    assert set(SimulatedDevice(spec(service=service), start).service_latencies_s()) == {0.01}


def test_requests_before_a_job_hold_it_back_and_are_not_in_its_telemetry() -> None:
    # Without training the service takes 10 ms, more than its budget: the gate need not try first.
    service = replace(SERVICE, budget_s=0.009, jitter=0.0)
    start = replace(START, time_s=100.0, contention=0.0, idle_s=60.0)
    device = SimulatedDevice(spec(service=service), start)
    run = LocalRun(TrainPlan(num_steps=4), Gate(0.009, max_pause_s=0.1), device)
    assert list(run) == []
    assert {segment.kind for segment in device.segments} == {"pause"}
    assert run.telemetry().num_requests == device.num_requests(999.0)


def test_training_raises_contention_and_a_pause_lowers_it() -> None:
    device = SimulatedDevice(spec(service=SERVICE), START)
    device.end_step()
    assert device.contention == pytest.approx(SERVICE.contention(0.1, 0.25, training=True))
    before = device.contention
    device.pause(0.5)
    assert device.contention == pytest.approx(SERVICE.contention(before, 0.5, training=False))


@pytest.mark.parametrize("service", [None, SERVICE])
def test_a_device_lives_through_the_same_job_after_json(service: ServiceSpec | None) -> None:
    truth = spec(step_jitter=0.1, service=service)
    copy = simulated_device(message(device_to_json(truth, START)), CONTEXT)
    assert copy is not None
    expected = lived(SimulatedDevice(truth, START))
    assert lived(copy) == expected
    assert (expected[0].num_requests > 0) == (service is not None)


def test_the_gated_job_of_the_comparison_really_pauses() -> None:
    telemetry, segments, _, _ = lived(SimulatedDevice(spec(service=SERVICE), START))
    assert telemetry.paused_s > 0
    assert {segment.kind for segment in segments} == {"compute", "pause"}


def test_json_is_plain_and_complete() -> None:
    values = json.loads(device_to_json(spec(service=SERVICE), START))
    assert values["start"] == {
        "seed": 5,
        "node_index": 2,
        "job_index": 3,
        "time_s": 1.5,
        "contention": 0.1,
        "idle_s": 0.0,
        "gate_memory": [],
        "device_id": "",
    }
    assert values["spec"]["service"]["budget_s"] == 0.012


def test_every_device_is_written_down_as_its_own() -> None:
    slow, fast = spec(step_time_s=0.5), spec(step_time_s=0.25)
    texts = [device_to_json(truth, START) for truth in (slow, fast, slow)]
    assert [json.loads(text)["spec"]["step_time_s"] for text in texts] == [0.5, 0.25, 0.5]


def test_outside_a_simulation_there_is_no_device() -> None:
    plain = Message(RecordDict({"config": ConfigRecord({"lr": 0.1})}), 3, "train")
    assert simulated_device(plain, CONTEXT) is None
    assert simulated_device(Message(RecordDict(), 3, "train"), CONTEXT) is None
    assert simulated_device(Message(Error(2, "no"), reply_to=plain), CONTEXT) is None


def colliding(collision: float, step_s: float, gate: Gate | None) -> tuple[float, str]:
    """Return the share of late requests beside a minute of training, and why it ended sooner."""
    service = ServiceSpec(period_s=0.01, latency_s=0.002, budget_s=0.0045, slowdown=1.0,
                          jitter=0.15, collision=collision, wait_s=0.004)  # fmt: skip
    start = replace(START, time_s=0.0, contention=0.0)
    device = SimulatedDevice(spec(step_time_s=step_s, service=service), start)
    told = live(device, TrainPlan(num_steps=10**9, deadline_s=60.0), gate)
    return device.num_violations(math.inf) / told.num_requests, told.trouble


@pytest.mark.parametrize(
    ("collision", "step_s"),
    [(0.005, 0.005), (0.05, 0.005), (0.5, 0.005), (0.005, 0.2), (0.05, 0.2)],
)
def test_the_gate_keeps_its_quantile_however_often_requests_collide(
    collision: float, step_s: float
) -> None:
    late, _ = colliding(collision, step_s, None)
    assert late == pytest.approx(collision, rel=0.25)
    # Besides one in a hundred the two late requests in hand, and those of the last step.
    late, _ = colliding(collision, step_s, Gate(0.0045))
    assert late <= min(collision, 0.01) * 1.2 + 0.002


def test_a_computation_begins_with_the_job_and_after_every_pause() -> None:
    service = ServiceSpec(period_s=0.01, latency_s=0.001, budget_s=0.1, slowdown=1.0, jitter=0.0,
                          first_collision=1.0, settle_s=0.1, wait_s=0.5)  # fmt: skip
    start = replace(START, time_s=0.0, contention=0.0)
    device = SimulatedDevice(spec(step_time_s=0.05, service=service), start)

    def late_of_five() -> list[int]:
        found = []
        for _ in range(5):
            device.end_step()
            found.append(sum(latency_s > 0.1 for latency_s in device.service_latencies_s()))
        return found

    assert late_of_five() == [5, 5, 0, 0, 0]
    assert late_of_five() == [0, 0, 0, 0, 0]
    device.pause(0.05)
    assert late_of_five() == [5, 5, 0, 0, 0]


def test_a_job_whose_steps_make_too_many_requests_late_ends_and_says_so() -> None:
    _, trouble = colliding(0.5, 0.2, Gate(0.0045))
    assert trouble.startswith("more than 0.01 of the requests would be late beside training")

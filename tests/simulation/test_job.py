"""One message on one device: its timeline, its prediction, its rows in the ledger."""

import math
from dataclasses import replace
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from deepedge_flwr.core.types import Telemetry, TrainPlan
from deepedge_flwr.records import SIMULATED_DEVICE, put_plan, put_telemetry
from deepedge_flwr.simulation import (
    DeviceSpec,
    Fleet,
    InProcessGrid,
    LinkSpec,
    Presence,
    RunLedger,
    ServiceSpec,
    SimulationMismatch,
    simulated_device,
)
from deepedge_flwr.simulation.job import Job
from deepedge_flwr.simulation.simulated_device import DeviceStart, Segment
from deepedge_flwr.simulation.virtual_device import VirtualDevice

LINK = LinkSpec(
    uplink_bytes_per_s=1000.0,
    downlink_bytes_per_s=2000.0,
    uplink_latency_s=0.5,
    downlink_latency_s=0.25,
    jitter=0.0,
)
SERVICE = ServiceSpec(
    period_s=0.125, latency_s=0.01, budget_s=0.015, slowdown=2.0, contention_s=1.0, jitter=0.0
)
CONTEXT = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})


@pytest.fixture(autouse=True)
def _inside_a_flower_task() -> None:
    InProcessGrid(ClientApp(), 1)


def device(*, follows_plans: bool = True, **changes: Any) -> VirtualDevice:
    fields: dict[str, Any] = {"step_time_s": 0.125, "link": LINK, "step_jitter": 0.0}
    fleet = Fleet((DeviceSpec(**fields | changes),), seed=4)
    return VirtualDevice(fleet, 0, num_steps=8, evaluate_steps=2, follows_plans=follows_plans)


def message(
    plan: TrainPlan | None = None, message_type: str = "train", message_id: str = "m"
) -> Message:
    """Return a message of 1000 bytes before the plan and the dispatch index."""
    config = ConfigRecord({"blob": bytes(996)})
    if plan is not None:
        config = put_plan(config, plan, 0)
    made = Message(RecordDict({"config": config}), 1, message_type)
    made.metadata.__dict__["_message_id"] = message_id
    return made


def reply_with(job: Job, telemetry: Telemetry | None) -> Message:
    content = RecordDict({"metrics": MetricRecord({"num-examples": 1})})
    if telemetry is not None:
        put_telemetry(content, telemetry)
    return Message(content, reply_to=job.message)


def test_a_job_starts_at_receipt_and_ends_after_its_steps() -> None:
    job = device().accept(message(), 2.0, 1)
    assert job.start == DeviceStart(seed=4, node_index=0, job_index=0, time_s=2.75, idle_s=2.75)
    assert job.end_s == 3.75
    assert job.predicted == Telemetry(num_steps=8, busy_s=1.0)
    assert job.run.segments == [Segment("compute", 2.75, 3.75)]


def test_other_messages_than_training_take_their_own_steps() -> None:
    job = device().accept(message(message_type="evaluate"), 0.0, 1)
    assert (job.start.time_s, job.end_s) == (0.75, 1.0)


def test_a_planned_job_follows_its_plan() -> None:
    job = device().accept(message(TrainPlan(num_steps=4)), 0.0, 1)
    assert (job.planned, job.predicted.num_steps) == (True, 4)
    assert job.run.segments == [Segment("compute", job.start.time_s, job.end_s)]
    assert job.end_s - job.start.time_s == pytest.approx(0.5)


def test_a_plan_is_for_training_alone() -> None:
    job = device().accept(message(TrainPlan(num_steps=4), "evaluate"), 0.0, 1)
    assert (job.planned, job.predicted.num_steps) == (False, 2)


def test_a_second_job_waits_for_the_first() -> None:
    queue = device()
    queue.accept(message(), 0.0, 1)
    second = queue.accept(message(), 0.0, 1)
    assert (second.start.time_s, second.end_s) == (1.75, 2.75)
    assert (second.start.job_index, second.idle_from_s) == (1, 1.75)
    assert (second.start.idle_s, queue.accept(message(), 9.0, 1).start.idle_s) == (0.0, 7.0)


def test_contention_is_carried_from_job_to_job_and_decays_between() -> None:
    busy = device(service=SERVICE)
    first = busy.accept(message(), 0.0, 1)
    assert first.start.contention == 0.0
    assert first.run.contention == pytest.approx(1 - math.exp(-1.0))
    second = busy.accept(message(), 2.0, 1)
    assert second.start.time_s == 2.75
    assert second.start.contention == pytest.approx((1 - math.exp(-1.0)) * math.exp(-1.0))


def test_contention_at_a_loss_is_that_of_the_training_until_then() -> None:
    presence = Presence(job_loss=1.0)
    loss = presence.loss((4, 0, 0))
    assert loss is not None
    busy = device(service=SERVICE, presence=presence)
    job = busy.accept(message(), 0.0, 1)
    assert (job.end_s, job.answers) == (0.75 + loss.fraction, False)
    after = busy.accept(message(), 100.0, 1)
    decay = math.exp(-(after.start.time_s - job.end_s))
    assert after.start.contention == pytest.approx((1 - math.exp(-loss.fraction)) * decay)
    assert after.start.idle_s == after.start.time_s - job.end_s


def test_a_client_is_not_told_that_its_job_will_be_lost() -> None:
    job = device(presence=Presence(job_loss=1.0)).accept(message(), 0.0, 1)
    assert "job_loss" not in job.inner.content["config"][SIMULATED_DEVICE]


def test_the_client_gets_the_device_and_the_strategys_message_stays_as_it_is() -> None:
    sent = message(TrainPlan(num_steps=4))
    before = dict(sent.content.config_records["config"])
    job = device(service=SERVICE).accept(sent, 0.0, 77)
    assert dict(sent.content.config_records["config"]) == before
    assert job.inner.metadata.dst_node_id == 77
    inner = dict(job.inner.content.config_records["config"])
    assert isinstance(inner.pop(SIMULATED_DEVICE), str)
    assert inner == before
    copy = simulated_device(job.inner, CONTEXT)
    assert copy is not None
    for _ in range(4):
        copy.end_step()
    assert (copy.now_s(), copy.contention) == (job.end_s, job.run.contention)


def test_a_message_without_config_is_sent_as_it_is() -> None:
    bare = Message(RecordDict(), 1, "train")
    job = device().accept(bare, 0.0, 1)
    assert (job.start.time_s, job.version) == (0.25, 0)
    assert list(job.inner.content.config_records) == []


def test_the_version_is_the_round_of_the_message() -> None:
    sent = message()
    sent.content.config_records["config"]["server-round"] = 6
    assert device().accept(sent, 0.0, 1).version == 6


def test_noise_of_the_links_is_a_function_of_the_job() -> None:
    noisy = replace(LINK, jitter=0.2)
    starts = [device(link=noisy).accept(message(), 0.0, 1).start.time_s for _ in range(2)]
    assert starts[0] == starts[1] != 0.75
    queue = device(link=noisy)
    jobs = [queue.accept(message(), 100.0 * i, 1) for i in range(2)]
    assert jobs[0].start.time_s != jobs[1].start.time_s - 100.0
    assert jobs[0].up_noise != jobs[1].up_noise


def test_a_report_as_predicted_passes_whatever_the_device_calls_itself() -> None:
    job = device().accept(message(TrainPlan(num_steps=4)), 0.0, 1)
    job.check(reply_with(job, replace(job.predicted, device_id="shelf 3")))


@pytest.mark.parametrize("changes", [{"num_steps": 3}, {"busy_s": math.nextafter(0.5, 1.0)}])
def test_any_other_report_is_a_mismatch(changes: dict[str, Any]) -> None:
    job = device().accept(message(TrainPlan(num_steps=4)), 0.0, 1)
    with pytest.raises(SimulationMismatch, match=r"node 1 reported .* the device model predicted"):
        job.check(reply_with(job, replace(job.predicted, **changes)))


def test_a_client_that_was_sent_a_plan_must_report() -> None:
    job = device().accept(message(TrainPlan(num_steps=4)), 0.0, 1)
    with pytest.raises(SimulationMismatch, match=r"node 1 .* reported nothing.*follows_plans=Fal"):
        job.check(reply_with(job, None))


def test_a_client_that_follows_no_plan_takes_its_own_steps_and_need_not_report() -> None:
    job = device(follows_plans=False).accept(message(TrainPlan(num_steps=4)), 0.0, 1)
    assert (job.planned, job.predicted.num_steps) == (False, 8)
    job.check(reply_with(job, None))


def test_without_plan_or_content_there_is_nothing_to_compare() -> None:
    planned = device().accept(message(TrainPlan(num_steps=4)), 0.0, 1)
    planned.check(Message(Error(2, "no"), reply_to=planned.message))
    unplanned = device().accept(message(), 0.0, 1)
    unplanned.check(reply_with(unplanned, Telemetry(num_steps=1, busy_s=9.0)))


def rows(ledger: RunLedger) -> list[tuple[float, str, float | None, int | None]]:
    return [(row.time_s, row.kind, row.value, row.num_requests) for row in ledger.rows]


def test_a_finished_job_leaves_idle_and_compute_rows() -> None:
    busy, ledger = device(service=SERVICE), RunLedger()
    job = busy.accept(message(), 2.25, 1)
    busy.log(job, ledger, job.end_s)
    assert rows(ledger) == [(0.0, "idle", 3.0, 24), (3.0, "compute", 1.0, None)]


def test_rows_end_where_the_ledger_ends() -> None:
    busy, ledger = device(service=SERVICE), RunLedger()
    job = busy.accept(message(), 2.25, 1)
    busy.waiting.append(job)
    busy.expected[job.message_id] = job
    busy.log_rest(ledger, 3.5)
    assert rows(ledger) == [
        (0.0, "idle", 3.0, 24),
        (3.0, "compute", 0.5, None),
        (3.5, "unfinished", None, 4),
    ]


def test_a_job_that_has_not_started_leaves_only_its_idle_time() -> None:
    busy, ledger = device(service=SERVICE), RunLedger()
    job = busy.accept(message(), 2.25, 1)
    busy.waiting.append(job)
    busy.expected[job.message_id] = job

    busy.log_rest(ledger, 2.5)
    assert rows(ledger) == [(0.0, "idle", 2.5, 20), (2.5, "unfinished", None, 0)]


def test_the_rest_after_the_last_job_is_idle() -> None:
    busy, ledger = device(service=SERVICE), RunLedger()
    job = busy.accept(message(), 0.0, 1)
    busy.log_rest(ledger, 4.75)
    assert rows(ledger) == [(job.end_s, "idle", 3.0, 24)]


def test_idle_rows_count_violations_of_contention_that_is_left_over() -> None:
    slow_to_cool = replace(SERVICE, slowdown=3.0, contention_s=1e6, budget_s=0.0100000001)
    busy, ledger = device(service=slow_to_cool), RunLedger()
    job = busy.accept(message(), 0.0, 1)
    busy.log_rest(ledger, job.end_s + 1.0)
    (row,) = ledger.rows
    assert (row.num_requests, row.num_violations) == (8, 8)


def test_without_a_service_nothing_is_idle() -> None:
    free, ledger = device(), RunLedger()
    free.log_rest(ledger, 5.0)
    assert ledger.rows == []


@pytest.mark.parametrize("job_loss", [0.0, 1.0])
def test_a_gate_goes_on_where_the_last_one_ended_unless_its_device_lost_the_job(
    job_loss: float,
) -> None:
    presence = Presence(job_loss=job_loss, mean_absence_s=1.0)
    life = device(service=SERVICE, presence=presence)
    plan = TrainPlan(num_steps=8, latency_budget_s=0.1)
    first = life.accept(message(plan), 0.0, 1)
    second = life.accept(message(plan), 1000.0, 1)
    assert first.start.gate_memory == ()
    assert len(second.start.gate_memory) == (0 if job_loss else 4)

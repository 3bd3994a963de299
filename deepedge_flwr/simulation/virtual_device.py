"""One simulated device: which messages it works on, when each starts, and when it ends."""

from collections import deque
from dataclasses import replace
from math import inf

import numpy as np
from flwr.app import ConfigRecord, Message

from ..core.gate import Gate
from ..core.types import Telemetry, TrainPlan
from ..records import SERVER_ROUND, SIMULATED_DEVICE, count_bytes, get_config, get_plan, is_train
from .absences import Absences
from .devices import Fleet
from .faults import DEVICE_KINDS, NO_FAULTS, Fault, FaultPlan
from .job import Job
from .ledger import RunLedger
from .presence import Presence
from .service import serve
from .simulated_device import DeviceStart, SimulatedDevice, device_to_json, live

_NOTHING = Telemetry(num_steps=0, busy_s=0.0)


class VirtualDevice:
    """A device of the fleet and how far its own timeline has been decided.

    Parameters
    ----------
    fleet : Fleet
        The fleet.
    index : int
        Which of its devices.
    num_steps, evaluate_steps : int
        Local steps of a training message without a plan, and of any other message.
    follows_plans : bool
        Whether the client follows the plan in a message.
    faults : FaultPlan (default: none)
        What goes wrong.
    reborn : Fault | None (default: None)
        The restart after which the device has this life, and `node_id` for it.
    node_id : int | None (default: None)
        Node id; None for index + 1.
    """

    def __init__(
        self,
        fleet: Fleet,
        index: int,
        num_steps: int,
        evaluate_steps: int,
        follows_plans: bool,
        faults: FaultPlan = NO_FAULTS,
        reborn: Fault | None = None,
        node_id: int | None = None,
    ) -> None:
        self.spec, self.index = fleet.devices[index], index
        self.node_id = index + 1 if node_id is None else node_id
        self._faults, self._num_dispatches = faults, 0
        #: Jobs whose local run has not ended, and all that the server still expects a reply to.
        self.waiting, self.expected = deque[Job](), dict[str, Job]()
        self.presence = self.spec.presence or Presence()
        # A client cannot know when its device will be on the network.
        self._known_spec = replace(self.spec, presence=None)
        self._crashes, away = faults.absences(self.node_id, fleet.notice_s, reborn)
        self.absences = Absences(self.presence, fleet.notice_s, away)
        self._device_id = f"device-{index + 1}" if faults.renames else ""
        self._seed, self._index = fleet.seed, index
        self._num_steps, self._evaluate_steps = num_steps, evaluate_steps
        self._follows_plans = follows_plans
        self._num_jobs, self._free_at_s, self._contention = 0, 0.0, 0.0
        self._restarted_at_s, self._gate_memory = 0.0, tuple[float, ...]()

    def faults_of(self, message: Message, ledger: RunLedger, now_s: float) -> tuple[Fault, ...]:
        """Return and write what befalls the node's next message."""
        if not is_train(message):
            return ()
        self._num_dispatches += 1
        faults = self._faults.of_message(self.node_id, self._num_dispatches - 1)
        for fault in faults:
            ledger.add(now_s, f"fault-{fault.kind}", node_id=self.node_id)
        return faults

    def accept(
        self, message: Message, sent_at_s: float, inner_node_id: int, faults: tuple[Fault, ...] = ()
    ) -> Job:
        """Predict the job of a message and move the device's timeline to its end."""
        noise = np.random.default_rng((self._seed, self._index, self._num_jobs, 4))
        down_noise, up_noise = noise.standard_normal(2)
        bytes_down = count_bytes(message.content)
        down_s = self.spec.link.transfer_s(bytes_down, "down", float(down_noise))
        receipt_s = self.absences.transfer_end_s(sent_at_s, down_s)
        starts_at_s = max(receipt_s, self._free_at_s, self._restarted_at_s)
        starts = starts_at_s < inf and not self.absences.is_noticed(sent_at_s, starts_at_s)
        start = self._start(starts_at_s if starts else sent_at_s)
        may_plan = self._follows_plans and is_train(message)
        plan = get_plan(message.content) if may_plan else None
        run = SimulatedDevice(self.spec, start)
        planned = plan or self._default_plan(message)
        gate = Gate.for_plan(planned)
        job = Job(
            message=message,
            node_id=self.node_id,
            version=int(get_config(message.content).get(SERVER_ROUND, 0)),
            planned=plan is not None,
            predicted=live(run, planned, gate) if starts else _NOTHING,
            run=run,
            start=start,
            idle_from_s=self._free_at_s,
            idle_contention=self._contention,
            bytes_down=bytes_down,
            up_noise=float(up_noise),
            inner=self._inner_message(message, start, inner_node_id),
            starts=starts,
            faults=faults,
        )
        if starts:
            self._decide_fate(job, sent_at_s)
            self._num_jobs += 1
            if gate is not None:  # who loses a job has forgotten
                self._gate_memory = tuple(gate.memory) if job.lost_at_s is None else ()
        return job

    def _decide_fate(self, job: Job, sent_at_s: float) -> None:
        """Decide whether a job is lost or given up, and move the timeline to its end."""
        self._free_at_s, self._contention = job.end_s, job.run.contention
        loss, start_s = None, job.start.time_s
        crash = next((c for c in self._crashes if start_s <= c[0] < job.end_s), None)
        if is_train(job.message):
            loss = self.presence.loss((self._seed, self._index, job.start.job_index))
        if loss is not None:  # decided by chance, before the plan
            job.lost_at_s = start_s + loss.fraction * (self._free_at_s - start_s)
            self.absences.lose(job.lost_at_s, loss.absence_s)
            self._free_at_s, self._contention = job.lost_at_s, self._contention_at_loss(job)
            # What it had received beside the job is lost too.
            _, self._restarted_at_s = self.absences.noticed_s(job.lost_at_s)
        elif crash is not None:
            job.lost_at_s = self._free_at_s = crash[0]
            self._contention, self._restarted_at_s = self._contention_at_loss(job), crash[1]
        upload_from_s = self.absences.transfer_end_s(job.end_s, 0.0)
        gone = self.absences.is_noticed(sent_at_s, upload_from_s)
        job.answers = job.lost_at_s is None and not gone and job.end_s < inf

    def _contention_at_loss(self, job: Job) -> float:
        level = job.start.contention
        for segment in job.run.segments:
            if self.spec.service is not None and segment.start_s < job.end_s:
                elapsed_s = min(segment.end_s, job.end_s) - segment.start_s
                training = segment.kind == "compute"
                level = self.spec.service.contention(level, elapsed_s, training)
        return level

    def log(self, job: Job, ledger: RunLedger, until_s: float) -> None:
        """Write what the device did for a job, as far as `until_s`."""
        self._log_idle(job.idle_from_s, min(job.start.time_s, until_s), job.idle_contention, ledger)
        for segment in job.run.segments:
            if segment.start_s < until_s:
                ledger.add(
                    segment.start_s,
                    segment.kind,
                    node_id=self.node_id,
                    message_id=job.message_id,
                    value=min(segment.end_s, until_s) - segment.start_s,
                )

    def log_rest(self, ledger: RunLedger, until_s: float) -> None:
        """Write what the device did after its last finished job, as far as `until_s`."""
        for job in self.waiting:
            self.log(job, ledger, until_s)
            if job.message_id not in self.expected:
                job.log_unanswered(ledger, until_s)
        for job in self.expected.values():
            job.log_unanswered(ledger, until_s)
        self._log_idle(self._free_at_s, until_s, self._contention, ledger)
        for off_s, back_s in self.absences.until(until_s):
            off_s = max(0.0, off_s)
            absent_s = min(back_s, until_s) - off_s
            ledger.add(off_s, "absent", node_id=self.node_id, value=absent_s)
        for fault in self._faults.of_device(self.node_id, *DEVICE_KINDS):
            if fault.at_s is not None and fault.at_s <= until_s:
                ledger.add(fault.at_s, f"fault-{fault.kind}", node_id=self.node_id)

    def _start(self, time_s: float) -> DeviceStart:
        contention = self._contention
        if self.spec.service is not None:
            idle_s = max(0.0, time_s - self._free_at_s)
            contention = self.spec.service.contention(contention, idle_s, training=False)
        return DeviceStart(
            seed=self._seed,
            node_index=self._index,
            job_index=self._num_jobs,
            time_s=time_s,
            contention=contention,
            idle_s=max(0.0, time_s - self._free_at_s),
            device_id=self._device_id,
            gate_memory=self._gate_memory,
        )

    def _default_plan(self, message: Message) -> TrainPlan:
        return TrainPlan(num_steps=self._num_steps if is_train(message) else self._evaluate_steps)

    def _inner_message(self, message: Message, start: DeviceStart, inner_node_id: int) -> Message:
        content = message.content.copy()
        for name, record in message.content.items():
            if isinstance(record, ConfigRecord):
                content[name] = config = record.copy()
                config[SIMULATED_DEVICE] = device_to_json(self._known_spec, start)
                break
        return Message(content, inner_node_id, message.metadata.message_type)

    def _log_idle(self, start_s: float, end_s: float, contention: float, ledger: RunLedger) -> None:
        if self.spec.service is None or end_s <= start_s:
            return
        seed = (self._seed, self._index)
        served = serve(self.spec.service, seed, start_s, end_s, contention, training=False)
        if len(served.latencies_s):
            over = int(np.sum(served.latencies_s > self.spec.service.budget_s))
            ledger.add(
                start_s,
                "idle",
                node_id=self.node_id,
                num_requests=len(served.latencies_s),
                num_violations=over,
                value=end_s - start_s,
            )


def lives(
    fleet: Fleet, plan: FaultPlan, num_steps: int, evaluate_steps: int, follows_plans: bool
) -> list[VirtualDevice]:
    """Return all devices, and once more those that come back under new node ids, at the end."""
    if num_steps < 1 or evaluate_steps < 1:
        raise ValueError(
            f"num_steps and evaluate_steps must be >= 1, got {num_steps} and {evaluate_steps}"
        )
    plan.check(len(fleet))
    common = num_steps, evaluate_steps, follows_plans, plan
    devices = [VirtualDevice(fleet, i, *common) for i in range(len(fleet))]
    for index in range(len(fleet)):
        for fault in plan.of_device(index + 1, "restart")[:1]:
            if fault.back_s < inf:
                new_id = len(devices) + 1
                devices.append(VirtualDevice(fleet, index, *common, reborn=fault, node_id=new_id))
    return devices

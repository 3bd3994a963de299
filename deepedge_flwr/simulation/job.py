"""One message on one simulated device: when it starts, what it does, when it ends."""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from flwr.app import ConfigRecord, Message

from ..core.gate import Gate
from ..core.local_run import LocalRun
from ..core.types import Telemetry, TrainPlan
from ..records import (
    SERVER_ROUND,
    SIMULATED_DEVICE,
    count_bytes,
    get_config,
    get_plan,
    get_telemetry,
    is_train,
)
from .devices import Fleet
from .ledger import RunLedger
from .service import serve
from .simulated_device import DeviceStart, SimulatedDevice, device_to_json


class SimulationMismatch(RuntimeError):
    """A client did something else than the device model says; the run would not be exact."""


@dataclass(slots=True, kw_only=True)
class Job:
    """A message that a virtual device has accepted.

    Attributes
    ----------
    message : Message
        The strategy's message.
    node_id, version : int
        Where it went, and the round it belongs to.
    planned : bool
        Whether it carries a plan, so that telemetry can be compared with the prediction.
    run : SimulatedDevice
        The device after the job.
    predicted : Telemetry
        What the client will report if it follows the plan.
    start : DeviceStart
        Where the device stood when the job started.
    idle_from_s, idle_contention : float
        When the device's previous job ended, and the contention then.
    bytes_down : int
        Payload of the message.
    up_noise : float
        Noise of the upload.
    inner : Message
        The message as the inner grid gets it.
    """

    message: Message
    node_id: int
    version: int
    planned: bool
    run: SimulatedDevice
    predicted: Telemetry
    start: DeviceStart
    idle_from_s: float
    idle_contention: float
    bytes_down: int
    up_noise: float
    inner: Message

    @property
    def message_id(self) -> str:
        """Id of the strategy's message."""
        return self.message.metadata.message_id

    @property
    def end_s(self) -> float:
        """When the local run ends."""
        return self.run.now_s()

    def check(self, reply: Message) -> None:
        """Compare the client's report with the prediction.

        Raises
        ------
        SimulationMismatch
            If they differ: the client broke out of its loop, or ran on a real clock.
        """
        if not self.planned or not reply.has_content():
            return
        try:
            reported = get_telemetry(reply.content)
        except ValueError:  # garbled telemetry is for the strategy to judge
            return
        if reported is None:
            raise SimulationMismatch(
                f"node {self.node_id} was sent a plan and reported nothing: give its ClientApp "
                "DeepEdgeMod(device=simulated_device) and local_steps(), or say that it follows "
                "no plan, VirtualGrid(..., follows_plans=False)"
            )
        if replace(reported, device_id="") != self.predicted:
            raise SimulationMismatch(
                f"node {self.node_id} reported {reported}, the device model predicted "
                f"{self.predicted}: in simulation a client must finish the steps that "
                "local_steps() yields, and its mod must be DeepEdgeMod(device=simulated_device)"
            )

    def log_unfinished(self, ledger: RunLedger, until_s: float) -> None:
        """Write the service's requests during a job whose reply has not arrived."""
        ledger.add(
            until_s,
            "unfinished",
            node_id=self.node_id,
            message_id=self.message_id,
            num_requests=self.run.num_requests(until_s),
            num_violations=self.run.num_violations(until_s),
        )


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
    """

    def __init__(
        self, fleet: Fleet, index: int, num_steps: int, evaluate_steps: int, follows_plans: bool
    ) -> None:
        self.spec, self.node_id, self.waiting = fleet.devices[index], index + 1, deque[Job]()
        self._seed, self._index = fleet.seed, index
        self._num_steps, self._evaluate_steps = num_steps, evaluate_steps
        self._follows_plans = follows_plans
        self._num_jobs, self._free_at_s, self._contention = 0, 0.0, 0.0

    def accept(self, message: Message, sent_at_s: float, inner_node_id: int) -> Job:
        """Predict the job of a message and move the device's timeline to its end."""
        noise = np.random.default_rng((self._seed, self._index, self._num_jobs, 4))
        down_noise, up_noise = noise.standard_normal(2)
        bytes_down = count_bytes(message.content)
        receipt_s = sent_at_s + self.spec.link.transfer_s(bytes_down, "down", float(down_noise))
        start = self._start(max(receipt_s, self._free_at_s))
        may_plan = self._follows_plans and is_train(message)
        plan = get_plan(message.content) if may_plan else None
        run = SimulatedDevice(self.spec, start)
        job = Job(
            message=message,
            node_id=self.node_id,
            version=int(get_config(message.content).get(SERVER_ROUND, 0)),
            planned=plan is not None,
            predicted=_predict(plan or self._default_plan(message), run),
            run=run,
            start=start,
            idle_from_s=self._free_at_s,
            idle_contention=self._contention,
            bytes_down=bytes_down,
            up_noise=float(up_noise),
            inner=self._inner_message(message, start, inner_node_id),
        )
        self._num_jobs += 1
        self._free_at_s, self._contention = run.now_s(), run.contention
        return job

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
            job.log_unfinished(ledger, until_s)
        self._log_idle(self._free_at_s, until_s, self._contention, ledger)

    def _start(self, time_s: float) -> DeviceStart:
        contention = self._contention
        if self.spec.service is not None:
            idle_s = time_s - self._free_at_s
            contention = self.spec.service.contention(contention, idle_s, training=False)
        return DeviceStart(
            seed=self._seed,
            node_index=self._index,
            job_index=self._num_jobs,
            time_s=time_s,
            contention=contention,
            idle_s=time_s - self._free_at_s,
        )

    def _default_plan(self, message: Message) -> TrainPlan:
        return TrainPlan(num_steps=self._num_steps if is_train(message) else self._evaluate_steps)

    def _inner_message(self, message: Message, start: DeviceStart, inner_node_id: int) -> Message:
        content = message.content.copy()
        for name, record in message.content.items():
            if isinstance(record, ConfigRecord):
                content[name] = config = record.copy()
                config[SIMULATED_DEVICE] = device_to_json(self.spec, start)
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


def _predict(plan: TrainPlan, device: SimulatedDevice) -> Telemetry:
    run = LocalRun(plan, Gate.for_plan(plan), device)
    for _ in run:
        pass
    return run.telemetry()

"""One message that a simulated device has accepted: what became of it."""

import math
from dataclasses import dataclass, replace

from flwr.app import Error, Message

from ..core.types import Telemetry
from ..records import count_bytes, get_telemetry, is_train
from .faults import Fault
from .ledger import RunLedger
from .simulated_device import DeviceStart, SimulatedDevice
from .tampering import CONTENT_KINDS, tamper


class SimulationMismatch(RuntimeError):
    """A client did something else than the device model says; the run would not be exact."""


@dataclass(slots=True, kw_only=True, eq=False)
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
    starts : bool
        False if the server notices, before the job could start, that the device has gone.
    answers : bool
        False if its local run is lost, or if the server gives it up before the upload can begin.
        The client need not train then.
    lost_at_s : float | None
        When the device loses the job, if it does.
    faults : tuple[Fault, ...]
        What goes wrong with it and its reply.
    noticed_at_s : float | None
        When the server noticed that the device had gone, if it did so before the reply arrived.
    wasted_bytes_up : int
        Size of a reply that was on its way then.
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
    starts: bool = True
    answers: bool = True
    lost_at_s: float | None = None
    faults: tuple[Fault, ...] = ()
    noticed_at_s: float | None = None
    wasted_bytes_up: int = 0

    @property
    def message_id(self) -> str:
        """Id of the strategy's message."""
        return self.message.metadata.message_id

    @property
    def end_s(self) -> float:
        """When the local run ends, hung or not, or is lost."""
        return self.run.now_s() + self.hang_s if self.lost_at_s is None else self.lost_at_s

    @property
    def hang_s(self) -> float:
        """Seconds between the last local step and the reply."""
        return sum(fault.amount for fault in self.faults if fault.kind == "hang")

    def has(self, kind: str) -> bool:
        """Return whether a fault of a kind befalls it."""
        return any(fault.kind == kind for fault in self.faults)

    def spoil(self, reply: Message) -> Message:
        """Return the reply as its faults leave it."""
        for fault in self.faults:
            if fault.kind in CONTENT_KINDS and reply.has_content():
                content = tamper(fault.kind, reply.content, self.message.content, fault.amount)
                reply = Message(content, reply_to=self.message)
            elif fault.kind == "error":
                error = Error(int(fault.amount), "an error on purpose")
                reply = Message(error, reply_to=self.message)
        return reply

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

    def delivered(self, reply: Message) -> list[Message]:
        """Return what the server gets when it takes the reply."""
        delivered = [reply] * (1 + self.has("duplicate"))
        if self.has("stray"):
            answer = reply.error if reply.has_error() else reply.content
            delivered.append(stray := Message(answer, reply_to=self.message))
            stray.metadata.__dict__["_reply_to_message_id"] = "message-0"
        return delivered

    def log_lost(self, ledger: RunLedger, reply: Message) -> None:
        """Write that the reply got lost on its way."""
        self.give_up(self.end_s, reply_bytes(reply))
        self.log_unanswered(ledger, self.end_s)

    def log_reply(
        self, ledger: RunLedger, reply: Message, time_s: float, staleness: int, late: bool
    ) -> None:
        """Write the arrival of the reply; one that says that the node had gone is written."""
        if self.noticed_at_s is not None:
            return
        good = "reply" if is_train(self.message) else "answer"
        ledger.add(
            time_s,
            "error" if reply.has_error() else "late" if late else good,
            node_id=self.node_id,
            message_id=self.message_id,
            version=self.version,
            bytes_up=reply_bytes(reply),
            staleness=staleness,
            num_requests=self.run.num_requests(math.inf),
            num_violations=self.run.num_violations(math.inf),
            value=float(self.predicted.num_steps),
        )

    def give_up(self, now_s: float, bytes_up: int) -> None:
        """Note that the server expects no reply any more, and what was sent of it in vain."""
        self.noticed_at_s, self.wasted_bytes_up = now_s, bytes_up

    def log_unanswered(self, ledger: RunLedger, until_s: float) -> None:
        """Write the end of a job without a reply, and the service's requests so far."""
        lost, served_s = self.noticed_at_s is not None, min(until_s, self.end_s)
        ledger.add(
            until_s if self.noticed_at_s is None else self.noticed_at_s,
            "lost" if lost else "unfinished",
            node_id=self.node_id,
            message_id=self.message_id,
            version=self.version if lost else None,
            bytes_up=self.wasted_bytes_up if lost else None,
            num_requests=self.run.num_requests(served_s),
            num_violations=self.run.num_violations(served_s),
        )


def reply_bytes(reply: Message) -> int:
    """Return the payload of a reply: an error has none."""
    return count_bytes(reply.content) if reply.has_content() else 0

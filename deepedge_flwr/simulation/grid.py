"""A Flower grid on which messages take the time that a given fleet of devices would need."""

import math
from collections.abc import Iterable

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from ..core.clock import WallClock
from ..records import count_bytes, is_train
from .clock import VirtualClock
from .devices import Fleet
from .job import Job, VirtualDevice
from .ledger import RunLedger


class VirtualGrid(Grid):
    """Any grid, in the virtual time of a fleet.

    Messages are handed to the inner grid (in-process, or Flower's simulation engine), which does
    the real training; *when* their replies arrive is decided here, from the device model alone:
    push + download + local run + upload. The local run is predicted by exhausting the very
    iterator that the client will exhaust, so a strategy sees the same run on every inner grid,
    bit for bit. Messages to one device are served one after the other.

    Node ids are 1..N in the order of the devices, whatever the inner grid calls them.

    Parameters
    ----------
    grid : Grid
        The inner grid, with one node per device of the fleet.
    fleet : Fleet
        The devices.
    num_steps : int (default: 10)
        Local steps of a training message without a plan, such as stock FedAvg's: what the client
        does by itself.
    evaluate_steps : int (default: 1)
        Time of a message that is not training, in local steps.
    follows_plans : bool (default: True)
        False for a ClientApp without `DeepEdgeMod`: it does `num_steps` ungated local steps
        whatever plan a message carries.
    horizon_s : float (default: infinity)
        Virtual time at which the simulation ends with `HorizonReached`.
    reply_timeout_s : float (default: 600)
        Real seconds to wait for the inner grid: for its nodes, and for any one reply.

    Attributes
    ----------
    clock : VirtualClock
        The time of the run.
    ledger : RunLedger
        What happened.
    """

    def __init__(
        self,
        grid: Grid,
        fleet: Fleet,
        *,
        num_steps: int = 10,
        evaluate_steps: int = 1,
        follows_plans: bool = True,
        horizon_s: float = math.inf,
        reply_timeout_s: float = 600.0,
    ) -> None:
        if num_steps < 1 or evaluate_steps < 1:
            raise ValueError(
                f"num_steps and evaluate_steps must be >= 1, got {num_steps} and {evaluate_steps}"
            )
        self.clock, self.ledger = VirtualClock(horizon_s), RunLedger()
        self._grid, self._wall, self._reply_timeout_s = grid, WallClock(0.005), reply_timeout_s
        devices = [
            VirtualDevice(fleet, i, num_steps, evaluate_steps, follows_plans)
            for i in range(len(fleet))
        ]
        self._devices = {device.node_id: device for device in devices}
        self._inner_node_ids: dict[int, int] = {}
        self._uploading: dict[str, Job] = {}
        self._arrived: dict[str, tuple[Job, Message, float, int]] = {}
        self._num_messages, self._newest_version = 0, 0

    def set_run(self, run: Run) -> None:
        """Pass the run on."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """The inner grid's run."""
        return self._grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Create a message (deprecated in Flower: use its constructor)."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return 1..N, once the inner grid has all its nodes."""
        self._connect()
        return list(self._devices)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; those to an unknown node are rejected with the id "", as on HttpGrid."""
        self._connect()
        pushed = list(messages)
        known = [m for m in pushed if m.metadata.dst_node_id in self._devices]
        # Callers list nodes in any order, some at random: the device's index decides ties.
        for message in sorted(known, key=lambda m: m.metadata.dst_node_id):
            self._push(message)
        return [message.metadata.message_id for message in pushed]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that have arrived by now, by arrival and then by node."""
        wanted = set(message_ids)
        replies = []
        for message_id in [i for i in self._arrived if i in wanted]:
            job, reply, time_s, staleness = self._arrived.pop(message_id)
            self._log_arrival(job, reply, time_s, staleness, late=False)
            replies.append(reply)
        return replies

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for all replies, or for `timeout` seconds of virtual time."""
        missing = {message_id for message_id in self.push_messages(messages) if message_id}
        end_s = math.inf if timeout is None else self.clock.now_s() + timeout
        replies: list[Message] = []
        while missing and self.clock.now_s() < end_s:
            self.clock.wait(end_s - self.clock.now_s())
            arrived = list(self.pull_messages(missing))
            missing -= {reply.metadata.reply_to_message_id for reply in arrived}
            replies.extend(arrived)
        # Summing in order of arrival would make stock strategies depend on the links.
        return sorted(replies, key=lambda reply: reply.metadata.src_node_id)

    def close(self) -> None:
        """Complete the ledger up to the present: late replies, unfinished jobs, idle services."""
        for job in self._uploading.values():
            job.log_unfinished(self.ledger, self.clock.now_s())
        self._uploading.clear()
        for job, reply, time_s, staleness in self._arrived.values():
            self._log_arrival(job, reply, time_s, staleness, late=True)
        self._arrived.clear()
        for device in self._devices.values():
            device.log_rest(self.ledger, self.clock.now_s())

    def _connect(self) -> None:
        """Wait for the inner grid's nodes: its server starts before they are registered."""
        if self._inner_node_ids:
            return
        give_up_at_s = self._wall.now_s() + self._reply_timeout_s
        while len(nodes := list(self._grid.get_nodes())) < len(self._devices):
            if self._wall.now_s() > give_up_at_s:
                raise RuntimeError(f"{len(nodes)} of {len(self._devices)} nodes connected")
            self._wall.wait(0.1)
        if len(nodes) > len(self._devices):
            raise ValueError(
                f"the grid has {len(nodes)} nodes but the fleet {len(self._devices)} devices: "
                "they must be as many"
            )
        nodes.sort(key=lambda node: (node.registered_at, node.node_id))
        ids = [node.node_id for node in nodes]
        self._inner_node_ids = dict(zip(self._devices, ids, strict=True))

    def _push(self, message: Message) -> None:
        self._num_messages += 1
        message.metadata.__dict__["_message_id"] = f"message-{self._num_messages}"
        device = self._devices[message.metadata.dst_node_id]
        job = device.accept(message, self.clock.now_s(), self._inner_node_ids[device.node_id])
        self._newest_version = max(self._newest_version, job.version)
        self.ledger.add(
            self.clock.now_s(),
            "dispatch",
            node_id=device.node_id,
            message_id=job.message_id,
            version=job.version,
            bytes_down=job.bytes_down,
        )
        # Two messages of one node must not run at the same time: its state would be lost.
        if not device.waiting:
            self._grid.push_messages([job.inner])
        device.waiting.append(job)
        self.clock.at(job.end_s, lambda: self._finish(device), order=(device.node_id,))

    def _finish(self, device: VirtualDevice) -> None:
        """Take the real reply when its local run ends, and send it up the virtual link."""
        job = device.waiting.popleft()
        reply = self._fetch(job)
        if device.waiting:
            self._grid.push_messages([device.waiting[0].inner])
        job.check(reply)
        device.log(job, self.ledger, job.end_s)
        self._uploading[job.message_id] = job
        up_s = device.spec.link.transfer_s(_reply_bytes(reply), "up", job.up_noise)
        arrives_at_s = job.end_s + up_s
        self.clock.at(arrives_at_s, lambda: self._arrive(job, reply), order=(device.node_id,))

    def _arrive(self, job: Job, reply: Message) -> None:
        del self._uploading[job.message_id]
        staleness = self._newest_version - job.version
        self._arrived[job.message_id] = (job, reply, self.clock.now_s(), staleness)

    def _fetch(self, job: Job) -> Message:
        inner_id = job.inner.metadata.message_id
        give_up_at_s = self._wall.now_s() + self._reply_timeout_s
        while inner_id and self._wall.now_s() <= give_up_at_s:
            for reply in self._grid.pull_messages([inner_id]):
                answer = reply.error if reply.has_error() else reply.content
                return Message(answer, reply_to=job.message)
            self._wall.wait(0.1)
        reason = f"no reply within {self._reply_timeout_s} s: does the ClientApp return a Message?"
        return Message(Error(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, reason), reply_to=job.message)

    def _log_arrival(
        self, job: Job, reply: Message, time_s: float, staleness: int, late: bool
    ) -> None:
        good = "reply" if is_train(job.message) else "answer"
        self.ledger.add(
            time_s,
            "error" if reply.has_error() else "late" if late else good,
            node_id=job.node_id,
            message_id=job.message_id,
            version=job.version,
            bytes_up=_reply_bytes(reply),
            staleness=staleness,
            num_requests=job.run.num_requests(math.inf),
            num_violations=job.run.num_violations(math.inf),
            value=float(job.predicted.num_steps),
        )


def _reply_bytes(reply: Message) -> int:
    return count_bytes(reply.content) if reply.has_content() else 0

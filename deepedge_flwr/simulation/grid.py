"""A Flower grid on which messages take the time that a given fleet of devices would need."""

import math
from collections.abc import Iterable

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from .clock import VirtualClock
from .devices import Fleet
from .faults import NO_FAULTS, FaultPlan, ServerKilled
from .history import Recorded
from .inner_grid import InnerGrid
from .job import Job, reply_bytes
from .ledger import RunLedger
from .listing import Listing
from .virtual_device import VirtualDevice, lives


class VirtualGrid(Recorded, Grid):
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
    faults : FaultPlan (default: none)
        What goes wrong.

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
        faults: FaultPlan = NO_FAULTS,
    ) -> None:
        super().__init__(VirtualClock(horizon_s), RunLedger())
        self._grid = grid
        self._inner = InnerGrid(grid, len(fleet), reply_timeout_s, self._history)
        devices = lives(fleet, faults, num_steps, evaluate_steps, follows_plans)
        self._server_kills, self._num_events = faults.server_kills, 0
        self._devices = {device.node_id: device for device in devices}
        self._uploading: dict[str, tuple[Job, Message]] = {}
        self._arrived: dict[str, tuple[Job, Message, float, int]] = {}
        self._num_messages, self._newest_version = 0, 0
        self._listing = Listing(self.clock, devices, self._give_up)

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
        """Return the nodes that the server believes connected; see `Listing.ask`."""
        self._inner.connect()
        with self._history.asking():
            return self._listing.ask()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; those to an unknown node are rejected with the id "", as on HttpGrid.

        A node that has gone is sent messages all the same: it gets them if it is back before the
        server notices, otherwise they are answered with error 5 (NODE_UNAVAILABLE) then.
        """
        self._inner.connect()
        self._listing.moved_on()
        pushed = list(messages)
        known = [m for m in pushed if m.metadata.dst_node_id in self._devices]
        # Callers list nodes in any order, some at random: the device's index decides ties.
        for message in sorted(known, key=lambda m: m.metadata.dst_node_id):
            self._push(message, self._devices[message.metadata.dst_node_id])
        self._history.pushed(pushed)
        return [message.metadata.message_id for message in pushed]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that have arrived by now, by arrival and then by node."""
        wanted = set(message_ids)
        replies = []
        for message_id in [i for i in self._arrived if i in wanted]:
            job, reply, time_s, staleness = self._arrived.pop(message_id)
            job.log_reply(self.ledger, reply, time_s, staleness, late=False)
            replies += job.delivered(reply)
            self._count_event()
        self._history.pulled(self.clock.now_s(), replies)
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
        for job, _ in self._uploading.values():
            job.log_unanswered(self.ledger, self.clock.now_s())
            del self._devices[job.node_id].expected[job.message_id]
        self._uploading.clear()
        for job, reply, time_s, staleness in self._arrived.values():
            job.log_reply(self.ledger, reply, time_s, staleness, late=True)
        self._arrived.clear()
        for device in self._devices.values():
            device.log_rest(self.ledger, self.clock.now_s())

    def _count_event(self) -> None:
        self._num_events += 1
        if self._num_events in self._server_kills:
            raise ServerKilled(self._num_events)

    def _push(self, message: Message, device: VirtualDevice) -> None:
        faults = device.faults_of(message, self.ledger, self.clock.now_s())
        if any(fault.kind == "reject" for fault in faults):
            return
        self._num_messages += 1
        message.metadata.__dict__["_message_id"] = f"message-{self._num_messages}"
        inner_node_id = self._inner.node_ids[device.index]
        job = device.accept(message, self.clock.now_s(), inner_node_id, faults)
        self._newest_version = max(self._newest_version, job.version)
        self.ledger.add(
            self.clock.now_s(),
            "dispatch",
            node_id=device.node_id,
            message_id=job.message_id,
            version=job.version,
            bytes_down=job.bytes_down,
        )
        device.expected[job.message_id] = job
        if job.starts:
            # Two messages of one node must not run at the same time: its state would be lost.
            if not device.waiting:
                self._inner.train(job)
            device.waiting.append(job)
            if job.end_s < math.inf:
                self.clock.at(job.end_s, lambda: self._finish(device), order=(device.node_id,))
        self._listing.follow(device, job)
        self._count_event()

    def _finish(self, device: VirtualDevice) -> None:
        """Take the real reply when its local run ends, and send it up the virtual link."""
        job = device.waiting.popleft()
        reply = self._inner.fetch(job) if job.answers else None
        if device.waiting:
            self._inner.train(device.waiting[0])
        device.log(job, self.ledger, job.end_s)
        if reply is not None:
            job.check(reply)
            reply = job.spoil(reply)
        if reply is not None and job.has("lose"):
            del device.expected[job.message_id]
            job.log_lost(self.ledger, reply)
        elif reply is not None:
            self._uploading[job.message_id] = job, reply
            up_s = device.spec.link.transfer_s(reply_bytes(reply), "up", job.up_noise)
            self._upload(device, job, up_s)
        elif job.noticed_at_s is not None:
            job.log_unanswered(self.ledger, job.end_s)

    def _upload(self, device: VirtualDevice, job: Job, up_s: float) -> None:
        arrives_at_s = device.absences.transfer_end_s(job.end_s, up_s)
        self.clock.at(arrives_at_s, lambda: self._arrive(device, job, up_s), (device.node_id,))

    def _arrive(self, device: VirtualDevice, job: Job, up_s: float) -> None:
        if job.noticed_at_s is not None:  # the server refuses a reply after its error
            return
        if device.absences.transfer_end_s(job.end_s, up_s) > self.clock.now_s():
            # A later job took the device away meanwhile.
            self._upload(device, job, up_s)
            return
        del device.expected[job.message_id]
        _, reply = self._uploading.pop(job.message_id)
        self._file(job, reply)

    def _file(self, job: Job, reply: Message) -> None:
        staleness = self._newest_version - job.version
        self._arrived[job.message_id] = (job, reply, self.clock.now_s(), staleness)

    def _give_up(self, device: VirtualDevice) -> None:
        """Answer everything that a node has not, as the server does when it misses the node."""
        now_s, expected, device.expected = self.clock.now_s(), device.expected, {}
        for job in expected.values():
            _, reply = self._uploading.pop(job.message_id, (job, None))
            begun = device.absences.transfer_end_s(job.end_s, 0.0) < now_s
            job.give_up(now_s, reply_bytes(reply) if reply is not None and begun else 0)
            if job not in device.waiting:
                job.log_unanswered(self.ledger, now_s)
            reason = f"node {job.node_id} is no longer connected"
            error = Error(ErrorCode.NODE_UNAVAILABLE, reason)
            self._file(job, Message(error, reply_to=job.message))

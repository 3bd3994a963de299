"""Which nodes the server believes connected: it notices an absence late."""

import math
from collections.abc import Callable, Iterator, Sequence

from .clock import VirtualClock
from .job import Job
from .virtual_device import VirtualDevice


class Listing:
    """The server's list of nodes, kept up to date by events of the devices that come and go.

    A node that goes stays listed until it has been gone for the fleet's `notice_s`; at that
    moment everything that it was sent and has not answered fails. It is listed again, with its
    id, when it is back.

    Parameters
    ----------
    clock : VirtualClock
        The time of the run.
    devices : Sequence[VirtualDevice]
        All nodes.
    give_up : Callable[[VirtualDevice], None]
        Called when a node's absence is noticed.
    """

    def __init__(
        self,
        clock: VirtualClock,
        devices: Sequence[VirtualDevice],
        give_up: Callable[[VirtualDevice], None],
    ) -> None:
        self._clock, self._give_up = clock, give_up
        self._node_ids = [device.node_id for device in devices]
        self._missed: set[int] = set()
        self._num_asked, self._asked_at_s = 0, -math.inf
        for device in devices:
            self._update(device)
            self._follow_schedule(device, device.absences.scheduled_changes())

    def __len__(self) -> int:
        return len(self._node_ids) - len(self._missed)

    def ask(self) -> list[int]:
        """Return the listed nodes, in ascending order; let time pass for a caller that waits.

        Stock strategies wait for nodes in a loop of this call and a real sleep, in which virtual
        time would stand still for ever. Somebody who asks again, with nothing sent and no time
        passed between, is waiting: time then moves to the moment at which more nodes are listed.
        It takes three calls to tell while there are nodes, because FedAvg asks twice to sample
        once, and two while there are none.
        """
        if self._asked_at_s != self._clock.now_s():
            self._num_asked = 0
        self._num_asked += 1
        seen = len(self)
        if self._missed and self._num_asked > (2 if seen else 1):
            while len(self) <= seen:
                self._clock.wait()
        self._asked_at_s = self._clock.now_s()
        return [node_id for node_id in self._node_ids if node_id not in self._missed]

    def moved_on(self) -> None:
        """Note that the caller has not been waiting for nodes."""
        self._num_asked = 0

    def follow(self, device: VirtualDevice, job: Job) -> None:
        """Watch what comes of a message that its node may never answer."""
        if not job.starts and device.node_id in self._missed:
            self._at(self._clock.now_s(), device, noticed=True)
        if job.lost_at_s is not None:
            noticed_at_s, back_at_s = device.absences.noticed_s(job.lost_at_s)
            # One absence may have begun before the message was sent, for another reason.
            self._at(max(noticed_at_s, self._clock.now_s()), device, noticed=True)
            if back_at_s < math.inf:
                self._at(back_at_s, device, noticed=False)

    def _at(self, time_s: float, device: VirtualDevice, noticed: bool) -> None:
        # After a reply that arrives at this very moment.
        order = (device.node_id, 1)
        self._clock.at(time_s, lambda: self._update(device, noticed), order)

    def _follow_schedule(
        self, device: VirtualDevice, changes: Iterator[tuple[float, bool]]
    ) -> None:
        if (change := next(changes, None)) is None:
            return
        time_s, noticed = change

        def step() -> None:
            """Make this change, and await the next."""
            self._update(device, noticed)
            self._follow_schedule(device, changes)

        self._clock.at(time_s, step, (device.node_id, 1))

    def _update(self, device: VirtualDevice, noticed: bool = False) -> None:
        if noticed:
            self._give_up(device)
        if device.absences.is_listed(self._clock.now_s()):
            self._missed.discard(device.node_id)
        else:
            self._missed.add(device.node_id)

"""The grid that does the real training, for which the simulator waits in real time."""

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from ..core.clock import WallClock
from .history import History
from .job import Job


class InnerGrid:
    """The nodes of a real grid, one for each device.

    Parameters
    ----------
    grid : Grid
        The grid.
    num_nodes : int
        Devices of the fleet.
    timeout_s : float
        Real seconds to wait for the nodes, and for any one reply.
    history : History
        Takes note of replies; while it is replayed, what it knows is not asked for again.
    """

    def __init__(self, grid: Grid, num_nodes: int, timeout_s: float, history: History) -> None:
        self._history = history
        self._grid, self._num_nodes, self._timeout_s = grid, num_nodes, timeout_s
        self._wall = WallClock(0.005)
        self.node_ids: list[int] = []

    def connect(self) -> None:
        """Wait for the grid's nodes: its server starts before they are registered.

        Raises
        ------
        RuntimeError
            If they do not connect in time.
        ValueError
            If they are more than the devices.
        """
        if self.node_ids:
            return
        give_up_at_s = self._wall.now_s() + self._timeout_s
        while len(nodes := list(self._grid.get_nodes())) < self._num_nodes:
            if self._wall.now_s() > give_up_at_s:
                raise RuntimeError(f"{len(nodes)} of {self._num_nodes} nodes connected")
            self._wall.wait(0.1)
        if len(nodes) > self._num_nodes:
            raise ValueError(
                f"the grid has {len(nodes)} nodes but the fleet {self._num_nodes} devices: "
                "they must be as many"
            )
        nodes.sort(key=lambda node: (node.registered_at, node.node_id))
        self.node_ids = [node.node_id for node in nodes]

    def train(self, job: Job) -> None:
        """Let the client do a job, unless nobody will ever see the result."""
        if job.answers and self._history.answer_to(job.message_id) is None:
            self._grid.push_messages([job.inner])

    def fetch(self, job: Job) -> Message:
        """Wait for the client's reply, and return it as one to the strategy's message."""
        answer = self._history.answer_to(job.message_id) or self._wait_for(job)
        self._history.answered(job.message_id, answer)
        return Message(answer, reply_to=job.message)

    def _wait_for(self, job: Job) -> RecordDict | Error:
        inner_id = job.inner.metadata.message_id
        give_up_at_s = self._wall.now_s() + self._timeout_s
        while inner_id and self._wall.now_s() <= give_up_at_s:
            for reply in self._grid.pull_messages([inner_id]):
                return reply.error if reply.has_error() else reply.content
            self._wall.wait(0.1)
        reason = f"no reply within {self._timeout_s} s: does the ClientApp return a Message?"
        return Error(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, reason)

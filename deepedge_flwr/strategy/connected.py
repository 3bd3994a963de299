"""The nodes of a run, and the messages to and from them, on either of Flower's grids."""

from collections.abc import Iterable
from functools import partial
from logging import INFO

from flwr.app import Message
from flwr.common import log
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from ..core.clock import WallClock
from ..core.types import TrainPlan
from ..records import get_plan
from .monitored import MonitoredHooks
from .puller import Puller
from .stop import StopSignals
from .suspicion import suspects

_MEMBERSHIP_S = 5.0  # how often a real grid is asked which nodes are connected
_LEAST_PATIENCE_S = 60.0  # how long Flower itself takes to tell that a node or its app has died


class ConnectedHooks(MonitoredHooks):
    """What the event loop asks of a grid."""

    _puller: Puller | None = None
    _is_deployed = False
    _stop: StopSignals

    def _connect(self, grid: Grid) -> None:
        """Find out whether the nodes are real: then replies may be on their way for long."""
        # Here, because it imports a database that a simulation does without.
        from flwr.superlink.grid import HttpGrid

        self._is_deployed = isinstance(grid, HttpGrid)
        self._puller = Puller(grid) if self._is_deployed else None
        self._stop.listener = partial(_retry_no_more, grid)
        # Flower's simulation runs a node's messages at the same time: its state would be lost.
        self._per_node = self.outstanding if self._is_deployed else 1
        if self.outstanding > self._per_node:
            log(INFO, "outstanding=%d is for deployments: 1 here", self.outstanding)

    def _disconnect(self) -> None:
        if self._puller is not None:
            self._puller.close()
            self._puller = None

    def _wait_for_nodes(self, grid: Grid) -> None:
        """Wait for the nodes that must be there and for as many as the buffer holds."""
        needed = max(self.min_available_nodes, self.buffer_size or 0)
        give_up_at_s = self._clock.now_s() + self._timeout_s
        self._refresh_nodes(grid)
        while (connected := len(self._exchange.members)) < needed and not self._stop.is_requested:
            if self._clock.now_s() >= give_up_at_s:
                self.check_fleet(connected)
                raise TimeoutError(
                    f"{connected} nodes connected within {self._timeout_s} s, min_available_nodes "
                    f"is {self.min_available_nodes}: start more SuperNodes or lower it"
                )
            log(INFO, "Waiting for nodes to connect: %d connected (minimum required: %d).",
                connected, needed)  # fmt: skip
            self._clock.wait(1.0)
            self._refresh_at_s = self._clock.now_s()
            self._refresh_nodes(grid)

    def _refresh_nodes(self, grid: Grid) -> None:
        now_s = self._clock.now_s()
        if now_s >= self._refresh_at_s:
            nodes = list(grid.get_nodes())
            self._exchange.members.update(node.node_id for node in nodes)
            if isinstance(self._clock, WallClock):
                self._exchange.suspect(suspects(nodes, self._clock.epoch_s()), now_s)
            self._refresh_at_s = now_s + _MEMBERSHIP_S

    def _push(self, messages: Iterable[Message], grid: Grid) -> None:
        for message in messages:
            # One by one: the two grids report a rejected message differently.
            accepted = list(grid.push_messages([message]))
            node_id, now_s = message.metadata.dst_node_id, self._clock.now_s()
            if message.metadata.message_id and message.metadata.message_id in accepted:
                timeout_s = self._patience_with_s(node_id, get_plan(message.content))
                self._exchange.sent(message, self._live, self.version, now_s, timeout_s)
            else:
                self._exchange.failed(node_id, "the grid rejected the message", now_s)

    def _patience_with_s(self, node_id: int, plan: TrainPlan | None) -> float:
        """Return how long to wait for a reply; a real node may just have a lot to do."""
        expected_s = self.reply_timeout_s(node_id, plan)
        least_s = min(_LEAST_PATIENCE_S, self._timeout_s) if self._is_deployed else 0.0
        return max(expected_s, least_s)

    def _pull(self, grid: Grid) -> list[Message]:
        """Return the replies that have arrived."""
        ids = self._exchange.in_flight.message_ids + self._evaluations.message_ids
        if not ids:
            return []
        pull = grid.pull_messages if self._puller is None else self._puller.pull
        replies = list(pull(ids))
        if any(r.has_error() and r.error.code == ErrorCode.NODE_UNAVAILABLE for r in replies):
            self._refresh_at_s = self._clock.now_s()
        return replies


def _retry_no_more(grid: Grid) -> None:
    """Let calls to a SuperLink that has gone fail: Flower would retry for ever, and nothing end."""
    if (invoker := getattr(grid, "_retry_invoker", None)) is not None:
        invoker.max_time = 0.0

"""FedAvg with a deadline per round, after which nobody is waited for.

FedAvg: McMahan et al., arXiv:1602.05629. The deadline is the reporting window of Bonawitz et al.,
"Towards Federated Learning at Scale: System Design", arXiv:1902.01046, sec. 2.2.
"""

import math
from collections.abc import Iterable
from logging import INFO
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common import log
from flwr.serverapp import Grid

from ..core.clock import Clock
from ..core.state import Names
from ..layout import ModelLayout
from .exchange import Accepted
from .options import auto, require_positive
from .synchronous import SynchronousStrategy


class DeadlineFedAvg(SynchronousStrategy):
    """Average equal local work of the nodes that answer in time, and drop the late ones.

        w += sum p_i delta_i,  p_i = n_i / sum n over the replies that made it

    A round ends `deadline_s` after it began, or when all its nodes have answered; one without
    any reply ends with the first. A late node finishes its work and joins the next round after
    that; its update enters no model, so a node that is always late is never heard.

    Parameters
    ----------
    deadline_s : float | None (default: None)
        The deadline; None measures it: the first round waits for all its nodes, and the deadline
        of all others is the time by which `fraction` of its replies had come.
    fraction : float (default: 0.75)
        That fraction, in (0, 1].
    **options
        See `BufferedHooks`.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    STATE: Names = ("_deadline_s", "_round_trips_s", "_began_at_s", "_instant_is_over")

    def __init__(
        self, *, deadline_s: float | None = None, fraction: float = 0.75, **options: Any
    ) -> None:
        super().__init__(**options)
        require_positive(deadline_s=deadline_s)
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {fraction}")
        self.deadline_s, self.fraction = deadline_s, fraction

    def _begin(
        self, layout: ModelLayout, arrays: ArrayRecord, clock: Clock, timeout_s: float
    ) -> None:
        super()._begin(layout, arrays, clock, timeout_s)
        self._deadline_s, self._round_trips_s = self.deadline_s, list[float]()
        self._began_at_s, self._instant_is_over = clock.now_s(), False

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Make the messages of a round, and note when it begins."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        if messages:
            self._began_at_s = self._clock.now_s()
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Fold replies; those that come exactly at the deadline are in time, all of them."""
        replies = list(replies)
        self._instant_is_over = not replies
        return super().aggregate_train(server_round, replies)

    def learn(self, accepted: Accepted, now_s: float) -> None:
        """Measure the round trips of the first round."""
        if self._deadline_s is None:
            self._round_trips_s.append(now_s - accepted.dispatch.sent_at_s)

    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return whether the deadline has passed, or all nodes of the round have answered."""
        due_at_s = self.due_at_s()
        is_over = due_at_s is not None and now_s >= due_at_s and self._instant_is_over
        return is_over or super().is_due(num_updates, now_s)

    def due_at_s(self) -> float | None:
        """Return the deadline of a round that has a reply."""
        if self._deadline_s is None or not self._num_updates:
            return None
        return self._began_at_s + self._deadline_s

    def advanced(self) -> None:
        """Fix the deadline after the first round and begin the next one."""
        super().advanced()
        if self._deadline_s is None:
            # 1e-9: 0.7 of 10 replies are 7, not the 8 of a product that rounds upwards.
            rank = math.ceil(self.fraction * len(self._round_trips_s) - 1e-9)
            self._deadline_s = sorted(self._round_trips_s)[rank - 1]

    def resumed(self, offset_s: float) -> None:
        """Leave the time without a server out of the round."""
        self._began_at_s += offset_s

    def summary(self) -> None:
        """Log the strategy's settings."""
        log(INFO, "\t├──> DeadlineFedAvg:")
        log(INFO, "\t│\t├── Deadline: %s", auto(self.deadline_s))
        log(INFO, "\t│\t└── Fraction: %.3g", self.fraction)
        super().summary()

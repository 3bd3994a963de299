"""Strategies with a memory of the last update of every node."""

from ..core.memory import UpdateMemory
from ..core.state import Names
from ..core.types import Update, Vector
from .update_rule import UpdateRule


class Remembering(UpdateRule):
    """Buffer what is new in an update; see `core.memory` for what is old."""

    _memory: UpdateMemory
    STATE: Names = ("_memory",)

    def direction(self, update: Update) -> Vector:
        """Return delta_i less the remembered share of the node's last update."""
        return self._memory.news(update.node_id, update.delta)

    def renamed(self, old_id: int, new_id: int) -> None:
        """Remember the device by its new id."""
        super().renamed(old_id, new_id)
        self._memory.renamed(old_id, new_id)

    def refused(self) -> None:
        """Do not remember what would have broken the model."""
        self._memory.discard()


def share_of(memory: float | None, can_remember: bool, norm_bound: float | None) -> float:
    """Return m of a `memory` option, of which None is 0.5 where there can be a memory.

    Raises
    ------
    ValueError
        If it is out of range, or does not go with the other options.
    """
    if memory is None:
        return 0.5 if can_remember else 0.0
    if not 0 <= memory <= 1:
        raise ValueError(f"memory must be in [0, 1] or None, got {memory}")
    if memory and not can_remember:
        raise ValueError("memory > 0 keeps the updates of nodes as they came: it goes with "
                         "privacy=None and combine='mean' only")  # fmt: skip
    if memory == 1 and norm_bound is not None:
        raise ValueError("memory=1 leaves no news of updates that do not change, and a step is no "
                         "longer than the news: take less, or norm_bound=None")  # fmt: skip
    return memory

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

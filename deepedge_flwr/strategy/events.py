"""What nodes and the server have gone through: counted, logged in one line each, passed on."""

from collections import Counter
from collections.abc import Callable
from logging import INFO

from flwr.common import log

from ..core.state import Names, Stateful

#: Told of an event: its kind, and the node.
Listener = Callable[[str, int], None]
#: Nodes named at the end of a run.
_WORST = 5


class Events(Stateful):
    """Events of a run, by kind and by node.

    - `failed`: a message ended without an update, for any of the reasons below or others;
    - `expired`: no reply came in time;
    - `rejected`: a reply was not believed;
    - `deferred`: a node is outside its training window;
    - `yielded`: a node cannot train beside its service for now;
    - `unprotected`: a node trains though it does not see its service any more;
    - `quarantined`, `readmitted`: a node failed often in a row, and was good again;
    - `suspected`, `cleared`: a node missed heartbeats, and was heard of again;
    - `renamed`: a device is back under another node id.

    Attributes
    ----------
    counts : Counter[str]
        How many of each kind.
    listener : Callable[[str, int], None] | None
        Told of every event.
    """

    STATE: Names = ("counts", "_failures")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listener: Listener | None = None
        self._failures: Counter[int] = Counter()

    def happened(self, kind: str, node_id: int, text: str = "") -> None:
        """Take note of an event; `text` is what is logged about the node, if anything."""
        self.counts[kind] += 1
        if kind == "failed":
            self._failures[node_id] += 1
        if text:
            log(INFO, "\t> node %d: %s", node_id, text)
        if self.listener is not None:
            self.listener(kind, node_id)

    def log_summary(self) -> None:
        """Log how often what has happened, and to which nodes most."""
        counts = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        ranked = sorted(self._failures.items(), key=lambda item: (-item[1], item[0]))[:_WORST]
        worst = ", ".join(f"node {node_id}: {count}" for node_id, count in ranked)
        log(INFO, "\tevents: %s%s", counts or "none", worst and f"; most failures: {worst}")

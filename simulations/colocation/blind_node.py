"""A fleet on this machine one node of which does not see its service: what the server does."""

import json
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp

from deepedge_flwr import DeepEdge, DeepEdgeMod, local_steps
from deepedge_flwr.core.clock import WallClock
from deepedge_flwr.simulation import InProcessGrid

_NUM_NODES, _BLIND = 3, 1
_STEP_S, _TIMEOUT_S = 0.002, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Yielding:
    """What the server did.

    Attributes
    ----------
    yielded : frozenset[int]
        Nodes for which it counted a `yielded` event.
    updates : frozenset[int]
        Nodes whose updates it took.
    num_versions : int
        Model versions it published.
    """

    yielded: frozenset[int]
    updates: frozenset[int]
    num_versions: int

    @property
    def is_as_promised(self) -> bool:
        """Whether only the blind node yielded, and the others alone made versions."""
        others = set(range(1, _NUM_NODES + 1)) - {_BLIND}
        return self.yielded == {_BLIND} and self.updates == others


def measure_yielding(num_versions: int = 5) -> Yielding:
    """Run a server beside three nodes, of which one asks a service that has died."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{dead.getsockname()[1]}/"
        configs: dict[int, UserConfig] = {
            node: {
                "latency-budget-ms": 1000,
                "latency-probe": address if node == _BLIND else "wake-up",
                "isolation": "off",
            }
            for node in range(1, _NUM_NODES + 1)
        }
        log = Path(folder) / "metrics.jsonl"
        grid = InProcessGrid(_app(), _NUM_NODES, node_configs=configs)
        model = ArrayRecord({"w": Array(np.zeros(4))})
        strategy = DeepEdge(metrics_file=log, buffer_size=1, max_steps=5)
        strategy.start(grid, model, num_rounds=num_versions, timeout=_TIMEOUT_S)
        rows = [json.loads(line) for line in log.read_text().splitlines()]
    events = [row for row in rows if row["kind"] == "event" and row["event"] == "yielded"]
    return Yielding(
        yielded=frozenset(row["node"] for row in events),
        updates=frozenset(
            row["node"] for row in rows if row["kind"] == "update" and row["num-steps"] > 0
        ),
        num_versions=max((row["version"] for row in rows if row["kind"] == "version"), default=0),
    )


def _app() -> ClientApp:
    """Return an app that trains on this machine, as one on a real device does."""
    app, clock = ClientApp(mods=[DeepEdgeMod()]), WallClock()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        weights = message.content.array_records["arrays"]["w"].numpy().copy()
        for _ in local_steps([0]):
            clock.sleep(_STEP_S)
            weights += 0.1 * (1.0 - weights)
        arrays, metrics = ArrayRecord({"w": Array(weights)}), MetricRecord({"num-examples": 1})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    return app

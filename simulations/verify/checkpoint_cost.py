"""What checkpoints of a large model cost the event loop, in real time."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from deepedge_flwr import FedBuff
from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.core.clock import WallClock
from deepedge_flwr.core.state import pack
from deepedge_flwr.layout import ModelLayout
from deepedge_flwr.records import records_of
from deepedge_flwr.simulation import InProcessGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCost:
    """Medians in seconds.

    Attributes
    ----------
    num_bytes : int
        Size of a checkpoint.
    write_s : float
        Writing one, flushed to the disk, with nothing else to do.
    handover_s : float
        What the loop waits for: collecting the state and handing it over.
    pull_s : float
        Reading one reply's model as a vector, the least that the loop does with a reply.
    version_s, version_with_s : float
        One version of two replies, without checkpoints and with one of every version: blocks of
        both take turns in the same run.
    """

    num_bytes: int
    write_s: float
    handover_s: float
    pull_s: float
    version_s: float
    version_with_s: float


_BLOCK = 3  # versions in a row that are checkpointed, and then as many that are not


def _is_checked(version: int) -> bool:
    return version // _BLOCK % 2 == 0


class _Timed(FedBuff):
    """Checkpoints every other block of versions, and notes how long the loop spends on it."""

    def _begin(self, *arguments: object) -> None:
        super()._begin(*arguments)  # type: ignore[arg-type]
        self.handovers_s: list[float] = []

    def _checkpoint(self, grid: Grid, is_last: bool = False) -> None:
        if not _is_checked(self.version):
            return
        before, started_s = self._saved_version, self._clock.now_s()
        super()._checkpoint(grid, is_last)
        if self._saved_version != before:
            self.handovers_s.append(self._clock.now_s() - started_s)


def measure_cost(num_parameters: int = 25_000_000, num_blocks: int = 20) -> CheckpointCost:
    """Measure a loop that checkpoints every version beside one that does not."""
    model = ArrayRecord({"w": Array(np.zeros(num_parameters, np.float32))})
    layout = ModelLayout.of(model)
    with tempfile.TemporaryDirectory() as path:
        strategy = _Timed(buffer_size=2, checkpoint_dir=path)
        versions_s = _run(strategy, model, num_blocks * _BLOCK)
        newest = max(Path(path).iterdir()).stat().st_size
        packed = pack({"model": layout.to_vector(model)})
        writes_s = [_time_s(lambda: CheckpointFolder(path).write(packed)) for _ in range(3)]
    return CheckpointCost(
        num_bytes=newest,
        write_s=median(writes_s),
        handover_s=median(strategy.handovers_s),
        pull_s=median(_time_s(lambda: layout.to_vector(model)) for _ in range(3)),
        version_s=median(time_s for v, time_s in versions_s.items() if not _is_checked(v)),
        version_with_s=median(time_s for v, time_s in versions_s.items() if _is_checked(v)),
    )


def _run(strategy: FedBuff, model: ArrayRecord, num_versions: int) -> dict[int, float]:
    """Return the seconds from each version to the next, but for the first of each block.

    The one before it may still have been written then.
    """
    clock, moments_s = WallClock(), list[float]()

    def evaluate(version: int, _: ArrayRecord) -> None:
        moments_s.append(clock.now_s())

    grid = InProcessGrid(_app(), 2)
    strategy.start(grid, model, num_rounds=num_versions, evaluate_fn=evaluate)
    times_s = [later - earlier for earlier, later in pairwise(moments_s)]
    return {version: time_s for version, time_s in enumerate(times_s) if version % _BLOCK}


def _app() -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        weights = records_of(message.content, ArrayRecord)[0]["w"].numpy() + np.float32(1e-3)
        records = {"arrays": ArrayRecord({"w": Array(weights)})}
        metrics = MetricRecord({"num-examples": 1})
        return Message(RecordDict({**records, "metrics": metrics}), reply_to=message)

    return app


def _time_s(action: Callable[[], object]) -> float:
    clock = WallClock()
    started_s = clock.now_s()
    action()
    return clock.now_s() - started_s

"""Runs that outlive their server: the state of a strategy in checkpoints, and back from them."""

import os
from collections.abc import Callable
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

from flwr.common import log
from flwr.serverapp import Grid

from ..core.checkpoint import CheckpointFolder
from ..core.state import Names, Packed, State, pack
from .buffered import BufferedHooks
from .checkpoint_writer import CheckpointWriter
from .evaluation import EvaluationRounds
from .options import require_count

#: Options that a run may be taken up again with a different value of.
_FREE = {"version", "checkpoint_dir", "checkpoint_every", "min_available_nodes", "outstanding",
         "metrics_file", "prometheus_port", "memory_bytes",
         "fraction_evaluate", "evaluate_every", "train_metrics_aggr_fn",
         "evaluate_metrics_aggr_fn"}  # fmt: skip


class ResumableHooks(BufferedHooks):
    """Checkpoints of a run.

    The next `start` with the same folder goes on from the last intact checkpoint: same model,
    buffer, profiles and counters. Work that was under way, and what was accepted after the
    checkpoint, is asked for again with the dispatch indices it had, so that clients that draw
    their batches from the index do the very same work, and nothing counts twice. A `VirtualGrid`
    comes back with everything that is under way on it; then the run ends with the same model and
    ledger, bit for bit, as if it had never been interrupted.

    With privacy, a version that nodes have seen must not be forgotten, as what it has told counts.
    So its checkpoint is on the disk before anybody is told of it, and a run that cannot write one,
    or whose newest one is damaged, does not go on.

    Parameters
    ----------
    checkpoint_dir : str | os.PathLike | None (default: None)
        Folder of the checkpoints of this one run; None writes none.
    checkpoint_every : int (default: 1)
        Versions between two checkpoints; 1 with privacy.
    **options
        See `BufferedHooks`.
    """

    STATE: Names = ("_refresh_at_s",)

    def __init__(
        self,
        *,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_count(checkpoint_every=checkpoint_every)
        self.checkpoint_dir, self.checkpoint_every = checkpoint_dir, checkpoint_every
        self._writer: CheckpointWriter | None = None
        self._saved_version = 0

    def _resume(self, grid: Grid) -> bool:
        """Take up the run in `checkpoint_dir`; return whether its messages came back with it.

        Raises
        ------
        ValueError
            If the checkpoint is of another strategy, other options, another model or, in
            simulation, another fleet.
        """
        self._refresh_at_s = self._clock.now_s()
        if self.checkpoint_dir is None:
            return False
        folder = CheckpointFolder(self.checkpoint_dir)
        state = folder.read(self._tell_about_damage)
        if state is not None:
            self._check_origin(state["origin"], folder.path)
        self._writer, self._saved_version = CheckpointWriter(folder), self.version
        if (record := getattr(grid, "start_recording", None)) is not None:
            record()
        if state is None:
            return False
        try:
            self.restore(state["run"])
        except KeyError as error:
            raise ValueError(f"{folder.path} is of another version of deepedge_flwr, which kept no "
                             f"{error}: give another checkpoint_dir") from error  # fmt: skip
        self._saved_version = self.version
        log(INFO, "Going on from version %d, as found in %s", self.version, folder.path)
        return self._restore_world(grid, state)

    def _restore_world(self, grid: Grid, state: State) -> bool:
        restore = getattr(grid, "restore", None)
        if state["world"] is not None and restore is not None and restore(state["world"]):
            self._exchange.restore_models(state["models"])
            return True
        # Messages of a former run of Flower are worth nothing: its server has dropped them.
        self._exchange.abandon()
        self._combiner.resumed()
        self._evaluations = EvaluationRounds()
        self._last_update_s = self._refresh_at_s = self._clock.now_s()
        stopped_s = self._clock.now_s() - state["time_s"]
        self._started_at_s += stopped_s
        self.resumed(stopped_s)
        return False

    def _checkpoint(self, grid: Grid, is_last: bool = False) -> None:
        """Hand the state over to be written, if enough versions have passed."""
        num_versions = self.version - self._saved_version if self._writer else 0
        if self._writer is None or num_versions < (1 if is_last else self.checkpoint_every):
            return
        self._saved_version = self.version
        self._writer.write(self._packed(grid))

    def _count(self, grid: Grid) -> None:
        """Write what a private version tells, before it does."""
        # A grid that comes back makes the very same versions again.
        if self.privacy is None or self._writer is None or _teller(grid) is not None:
            return
        try:
            self._writer.write_now(self._packed(grid))
        except OSError as error:
            raise RuntimeError(
                f"cannot write a checkpoint in {self.checkpoint_dir} ({error}), and with privacy "
                f"version {self.version} is not published uncounted: make room and start the run "
                "again"
            ) from error
        self._saved_version = self.version

    def _packed(self, grid: Grid) -> Packed:
        world = None if (tell := _teller(grid)) is None else tell()
        models = {} if world is None else self._exchange.models_state()
        return pack(
            {"origin": self._origin(), "time_s": self._clock.now_s(), "run": self.state(),
             "world": world, "models": models}
        )  # fmt: skip

    def _close_checkpoints(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _origin(self) -> State:
        """Return what a checkpoint must have in common with the run that takes it up."""
        public = {n: v for n, v in vars(self).items() if n[0] != "_" and n not in _FREE}
        model = {name: f"{dtype}{list(shape)}" for name, shape, dtype in self._layout.arrays}
        return {
            "the strategy": {"class": type(self).__name__},
            "its options": {name: repr(value) for name, value in public.items()},
            "the model's arrays": model,
        }

    def _check_origin(self, found: State, path: Path) -> None:
        for what, mine in self._origin().items():
            names = [n for n in {**found[what], **mine} if found[what].get(n) != mine.get(n)]
            if names:
                raise ValueError(
                    f"the checkpoint in {path} is of another run: {what} differ in {names[0]!r}, "
                    f"{found[what].get(names[0], 'absent')} there and "
                    f"{mine.get(names[0], 'absent')} here: make them the same, or give another "
                    "checkpoint_dir"
                )

    def _tell_about_damage(self, path: Path, reason: str) -> None:
        if self.privacy is not None:
            raise ValueError(
                f"checkpoint {path} is damaged ({reason}), and with privacy nothing else counts "
                "what its version has told: give another checkpoint_dir"
            )
        log(WARNING, "Checkpoint %s is damaged (%s): looking for the one before", path, reason)


def _teller(grid: Grid) -> Callable[[], State] | None:
    """Return what tells the state of a grid that can be restored; Flower's have another `state`."""
    return None if getattr(grid, "restore", None) is None else getattr(grid, "state", None)

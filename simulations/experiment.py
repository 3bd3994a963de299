"""One simulated run: from a configuration to a ledger and a summary."""

import contextlib
import json
import logging
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from omegaconf import DictConfig, OmegaConf

from deepedge_flwr.simulation import NO_FAULTS, HorizonReached, ServerKilled, VirtualGrid

from .apps import build_client_app, load_model
from .build import build_faults, build_fleet, build_strategy, task_loader, with_checkpoints
from .configuration import check_config
from .engines import run_in_process, run_on_ray
from .evaluator import GridEvaluator, TargetReached
from .summary import Summary, summarise
from .worlds import World, build_world

#: A strategy is stopped by the horizon, not by its number of rounds.
_ENDLESS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come, for a progress line."""

    time_s: float
    horizon_s: float
    version: int
    accuracy: float
    num_violations: int


def run_experiment(
    config: DictConfig, folder: Path, on_progress: Callable[[Progress], None] | None = None
) -> Summary:
    """Simulate one run and write its configuration, ledger and summary into a folder.

    Parameters
    ----------
    config : DictConfig
        Composed from `conf/`.
    folder : Path
        Made if it does not exist.
    on_progress : Callable[[Progress], None] | None (default: None)
        Called at every published version.

    Raises
    ------
    ValueError, FileNotFoundError
        If the configuration does not make sense; nothing has been started then.
    """
    check_config(config)
    torch.set_num_threads(1)
    fleet, service = build_fleet(config)
    world = build_world(config, fleet, task_loader(config, fleet))
    num_nodes = len(world.fleet)
    client_app = build_client_app(world.load, config.strategy.local_steps, config.seed)
    with log_level(logging.INFO if config.verbose else logging.ERROR):
        strategy = build_strategy(config, service, num_nodes)
        run = _Run(config, world, strategy, on_progress)
        if config.engine.name == "ray":
            run_on_ray(run, client_app, num_nodes, config.engine.num_cpus_per_client)
        else:
            run_in_process(run, client_app, num_nodes)
    ledger = world.ledger_of(run.grid)
    discarded: set[str] = getattr(strategy, "discarded", set())
    summary = summarise(
        config,
        ledger,
        world.load().target_accuracy,
        run.evaluator.version,
        run.evaluator.arrays,
        device_time_s=num_nodes * run.grid.clock.now_s(),
        discarded=discarded,
    )
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    kinds = () if config.write_ledger else ("evaluate",)
    ledger.write_csv(folder / "ledger.csv", *kinds)
    (folder / "summary.json").write_text(json.dumps(asdict(summary), indent=2) + "\n")
    return summary


@contextlib.contextmanager
def log_level(level: int) -> Iterator[None]:
    """Set the level of Flower's logger for a while."""
    logger = logging.getLogger("flwr")
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


class _Run:
    """A server's main function, and what is known after it has returned."""

    def __init__(
        self,
        config: DictConfig,
        world: World,
        strategy: Strategy,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._config, self._world, self._strategy = config, world, strategy
        self._task, self._on_progress = world.load(), on_progress
        # The worlds to compare with are ideal.
        self._faults = build_faults(config) if config.strategy.world == "fleet" else NO_FAULTS
        self.grid: VirtualGrid
        self.evaluator: GridEvaluator

    def __call__(self, inner: Grid) -> None:
        config = self._config
        # Stock strategies sample nodes with the global generator.
        random.seed(config.seed)
        self.grid = self._grid(inner)
        arrays = ArrayRecord(self._task.build_model(config.seed).state_dict())
        self.evaluator = GridEvaluator(
            self.grid,
            arrays,
            self._accuracy,
            config.num_evaluations,
            averaging=config.strategy.averaging,
            stop_at=self._task.target_accuracy if config.stop_at_target else None,
        )
        with contextlib.suppress(HorizonReached, TargetReached):
            self._serve(inner, arrays)
        self.evaluator.close()
        self.grid.close()

    def _grid(self, inner: Grid) -> VirtualGrid:
        return VirtualGrid(
            inner,
            self._world.fleet,
            num_steps=self._config.strategy.local_steps,
            horizon_s=self._config.horizon_s,
            faults=self._faults,
        )

    def _serve(self, inner: Grid, arrays: ArrayRecord) -> None:
        """Run a server, and another one if it is killed."""
        with contextlib.ExitStack() as stack:
            if self._faults.server_kills:
                self._strategy = with_checkpoints(
                    self._strategy, stack.enter_context(tempfile.TemporaryDirectory())
                )
                self.evaluator.follow(self.grid)
            while True:
                try:
                    self._world.begin(self.grid)
                    self._strategy.start(
                        self.grid,
                        arrays,
                        num_rounds=_ENDLESS,
                        train_config=ConfigRecord(),
                        evaluate_fn=self._evaluate,
                    )
                    return
                except ServerKilled as killed:
                    self._faults = self._faults.after(killed.event)
                    self.grid = self._grid(inner)
                    self.evaluator.follow(self.grid)

    def _evaluate(self, version: int, arrays: ArrayRecord) -> None:
        self.evaluator(version, arrays)
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    time_s=self.grid.clock.now_s(),
                    horizon_s=self._config.horizon_s,
                    version=version,
                    accuracy=self.evaluator.last_accuracy,
                    num_violations=int(self.grid.ledger.total("num_violations")),
                )
            )

    def _accuracy(self, arrays: ArrayRecord) -> float:
        return self._task.accuracy(load_model(self._task, arrays))

"""From a configuration to the parts of a run: fleet, strategy and task, checked beforehand."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from flwr.serverapp.strategy import Strategy
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from deepedge_flwr import AsyncStrategy
from deepedge_flwr.simulation import NO_FAULTS, FaultPlan, Fleet, ServiceSpec

from .tasks import cached_task
from .tasks.task import Task


def build_fleet(config: DictConfig) -> tuple[Fleet, ServiceSpec | None]:
    """Build the fleet of a configuration, with its service on a share of the devices."""
    with plain_errors():
        service = None if config.service.build is None else instantiate(config.service.build)
        # Hydra would turn a dataclass given to it into a configuration of its own.
        build = instantiate(config.fleet.build, seed=config.seed, _partial_=True)
        fleet: Fleet = build(service=service)
        fleet = _with_service_on(fleet, config.service_share)
    if len(fleet) != config.num_nodes:
        raise ValueError(f"the fleet has {len(fleet)} devices, num_nodes is {config.num_nodes}")
    return fleet, service


def _with_service_on(fleet: Fleet, share: float) -> Fleet:
    """Leave the service on a share of the devices, evenly spread over fast and slow ones."""
    devices = tuple(
        device if int((index + 1) * share) > int(index * share) else replace(device, service=None)
        for index, device in enumerate(fleet.devices)
    )
    return replace(fleet, devices=devices)


def build_faults(config: DictConfig) -> FaultPlan:
    """Build the fault plan of a configuration, and check that it fits the fleet."""
    if config.faults.build is None:
        return NO_FAULTS
    with plain_errors():
        # Hydra would turn the dataclasses in a list into configurations of its own.
        plan: FaultPlan = instantiate(config.faults.build, _convert_="all")
        plan.check(config.num_nodes)
    return plan


def build_strategy(config: DictConfig, service: ServiceSpec | None, num_nodes: int) -> Strategy:
    """Build the strategy of a configuration; the service's budget gates it if `gate` is true."""
    options: dict[str, Any] = {}
    if "latency_budget_s" in config.strategy.build and config.gate and service is not None:
        options["latency_budget_s"] = service.budget_s
    with plain_errors():
        strategy: Strategy = instantiate(config.strategy.build, **options)
    if (check_fleet := getattr(strategy, "check_fleet", None)) is not None:
        check_fleet(num_nodes)
    for name in ("min_available_nodes", "min_train_nodes"):
        if (needed := getattr(strategy, name, 0)) > num_nodes:
            raise ValueError(f"{name} must be at most num_nodes ({num_nodes}), got {needed}")
    return strategy


def with_checkpoints(strategy: Strategy, folder: str) -> Strategy:
    """Let a strategy write checkpoints, as one whose server is to be killed must.

    Raises
    ------
    ValueError
        If it cannot.
    """
    if not isinstance(strategy, AsyncStrategy):
        raise ValueError(
            f"faults.build.server_kills need a strategy with checkpoints, "
            f"{type(strategy).__name__} has none: use one of this package"
        )
    strategy.checkpoint_dir = folder
    return strategy


def task_loader(config: DictConfig, fleet: Fleet) -> Callable[[], Task]:
    """Return a function that builds the task, once per process; checked here and now."""
    load = partial(
        cached_task,
        json.dumps(OmegaConf.to_container(config.task, resolve=True)),
        num_nodes=len(fleet),
        seed=config.seed,
        speed_rank=fleet.speed_rank,
    )
    load()
    return load


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn hydra's wrapped exceptions back into the error that says what is wrong."""
    try:
        yield
    except Exception as error:
        raise ValueError(str(error.__cause__ or error)) from error

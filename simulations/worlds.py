"""Where a strategy trains: on the fleet as it is, or in one of two worlds to compare it with."""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from statistics import fmean, harmonic_mean

import numpy as np
from omegaconf import DictConfig, OmegaConf

from deepedge_flwr.simulation import DeviceSpec, Fleet, LinkSpec, RunLedger, VirtualGrid

from .tasks.task import Task

#: The cloud's local steps in the time of one step of the fleet's fastest device.
_CLOUD_SPEEDUP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Raw data on its way to the cloud.

    Attributes
    ----------
    node_id : int
        Whose data.
    num_bytes : int
        Four per input feature and one per label.
    arrives_at_s : float
        When the last byte is there.
    """

    node_id: int
    num_bytes: int
    arrives_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The devices that train, on what, and what must happen before.

    Attributes
    ----------
    fleet : Fleet
        The devices that train.
    load : Callable[[], Task]
        Returns the task, with one partition per device; picklable and cached.
    uploads : tuple[Upload, ...]
        Training begins when the last of them has arrived.
    charges_messages : bool
        False if training messages cross no network.
    """

    fleet: Fleet
    load: Callable[[], Task]
    uploads: tuple[Upload, ...] = ()
    charges_messages: bool = True

    def begin(self, grid: VirtualGrid) -> None:
        """Let all uploads arrive on a grid's clock and in its ledger.

        Raises
        ------
        HorizonReached
            If the horizon is sooner: what has arrived by then is in the ledger.
        """
        for upload in self.uploads:
            arrive = partial(
                grid.ledger.add,
                upload.arrives_at_s,
                "upload",
                node_id=upload.node_id,
                bytes_up=upload.num_bytes,
            )
            grid.clock.at(upload.arrives_at_s, arrive)
        last_s = max((upload.arrives_at_s for upload in self.uploads), default=0.0)
        while grid.clock.now_s() < last_s:
            grid.clock.wait()

    def ledger_of(self, grid: VirtualGrid) -> RunLedger:
        """Return what happened on a grid, with the bytes that crossed a network."""
        return grid.ledger if self.charges_messages else _without_messages(grid.ledger)


def build_world(config: DictConfig, fleet: Fleet, load: Callable[[], Task]) -> World:
    """Return the world that `strategy.world` names.

    - `fleet`: the fleet as it is.
    - `ideal`: see `ideal_fleet`; the data lie as on the real fleet.
    - `cloud`: every device uploads its examples, then one fast device trains on all of them.
      `strategy.step_time_s` is its step time, by default a tenth of the fastest device's.

    Parameters
    ----------
    config : DictConfig
        The run's configuration.
    fleet : Fleet
        The real fleet.
    load : Callable[[], Task]
        Returns the task, partitioned over the real fleet.
    """
    if config.strategy.world == "ideal":
        return World(fleet=ideal_fleet(fleet), load=load)
    if config.strategy.world == "cloud":
        return World(
            fleet=_cloud(fleet, OmegaConf.select(config, "strategy.step_time_s")),
            load=partial(_load_pooled, load),
            uploads=uploads(fleet, load()),
            charges_messages=False,
        )
    return World(fleet=fleet, load=load)


def ideal_fleet(fleet: Fleet) -> Fleet:
    """Return as many equal devices with the fleet's total throughput and its mean link.

        tau = N / sum_i 1/tau_i;  a transfer of any size takes the mean of the devices' times

    Nothing varies: no jitter of steps or links, no loss, no absence. Synchronous training on it
    bounds what a method can hope for on the real fleet with the same local work.
    """
    devices = fleet.devices
    links = [device.link for device in devices]
    device = DeviceSpec(
        step_time_s=harmonic_mean([device.step_time_s for device in devices]),
        step_jitter=0.0,
        link=LinkSpec(
            uplink_bytes_per_s=_mean_rate([link.uplink_bytes_per_s for link in links]),
            downlink_bytes_per_s=_mean_rate([link.downlink_bytes_per_s for link in links]),
            uplink_latency_s=fmean(link.uplink_latency_s for link in links),
            downlink_latency_s=fmean(link.downlink_latency_s for link in links),
            jitter=0.0,
        ),
        service=next((d.service for d in devices if d.service is not None), None),
    )
    return Fleet((device,) * len(devices), fleet.seed)


def uploads(fleet: Fleet, task: Task) -> tuple[Upload, ...]:
    """Return every device's upload of its examples at time 0, over its link without jitter."""
    sizes = [
        inputs.nbytes + len(labels)
        for inputs, labels in zip(task.node_inputs, task.node_labels, strict=True)
    ]
    return tuple(
        Upload(
            node_id=index + 1,
            num_bytes=num_bytes,
            arrives_at_s=device.link.transfer_s(num_bytes, "up"),
        )
        for index, (device, num_bytes) in enumerate(zip(fleet.devices, sizes, strict=True))
    )


def _cloud(fleet: Fleet, step_time_s: float | None) -> Fleet:
    if step_time_s is None:
        step_time_s = min(device.step_time_s for device in fleet.devices) / _CLOUD_SPEEDUP
    at_hand = LinkSpec(uplink_bytes_per_s=inf, downlink_bytes_per_s=inf, jitter=0.0)
    return Fleet((DeviceSpec(step_time_s=step_time_s, link=at_hand, step_jitter=0.0),), fleet.seed)


def _load_pooled(load: Callable[[], Task]) -> Task:
    return _pooled(load())


@functools.lru_cache(maxsize=1)
def _pooled(task: Task) -> Task:
    """Return the task with all examples on one node."""
    return replace(
        task,
        node_inputs=(np.concatenate(task.node_inputs),),
        node_labels=(np.concatenate(task.node_labels),),
    )


def _without_messages(ledger: RunLedger) -> RunLedger:
    """Return a ledger with the bytes of its uploads alone."""
    charged = RunLedger()
    for row in ledger.rows:
        free = {} if row.kind == "upload" else {"bytes_down": None, "bytes_up": None}
        charged.add(**asdict(row) | free)
    return charged


def _mean_rate(rates: list[float]) -> float:
    """Return the harmonic mean, also of links without any transfer time."""
    return inf if min(rates) == inf else harmonic_mean(rates)

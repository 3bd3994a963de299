"""What virtual time expects of a fleet that was measured."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import Array, ArrayRecord
from flwr.clientapp import ClientApp

from deepedge_flwr import DeepEdge, DeepEdgeMod
from deepedge_flwr.simulation import (
    DeviceSpec,
    Fleet,
    InProcessGrid,
    LinkSpec,
    VirtualGrid,
    simulated_device,
)

from ..flower_app.deepedge_app import client_app, perceptron
from .fleet import APP


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the server has come to know it.

    Attributes
    ----------
    name : str
        Its device id.
    step_time_s, overhead_s : float
        Seconds per local step, and of a round trip besides.
    """

    name: str
    step_time_s: float
    overhead_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The pace of a run.

    Attributes
    ----------
    version_s : float
        Seconds per version.
    arrivals : Counter[str]
        Updates of each device.
    """

    version_s: float
    arrivals: Counter[str]


def forecast(devices: Sequence[Device], num_versions: int, jitter: float = 0.1) -> Forecast:
    """Run DeepEdge with the trial's app on simulated devices.

    Parameters
    ----------
    devices : Sequence[Device]
        In the order of their partitions.
    num_versions : int
        Versions to publish.
    jitter : float (default: 0.1)
        Log standard deviation of a step's and a transfer's time.
    """
    project = tomllib.loads((APP / "pyproject.toml").read_text(encoding="utf-8"))
    config: dict[str, Any] = project["tool"]["flwr"]["app"]["config"]
    app = ClientApp(mods=[DeepEdgeMod(device=simulated_device)])
    app.train()(client_app.train)
    fleet = Fleet(tuple(_spec(device, jitter) for device in devices))
    grid = VirtualGrid(InProcessGrid(app, len(devices), run_config=config), fleet)
    weights = perceptron.initial_weights(64, int(config["hidden-units"]), 10, 0)
    arrays = ArrayRecord({name: Array(values) for name, values in weights.items()})
    DeepEdge(min_available_nodes=len(devices)).start(grid, arrays, num_rounds=num_versions)
    replies = grid.ledger.of("reply")
    arrivals = Counter(devices[(row.node_id or 1) - 1].name for row in replies)
    # Two updates make a version here: the first version comes with the second of them.
    times_s = [row.time_s for row in replies]
    first_s = times_s[len(times_s) // num_versions - 1]
    return Forecast(version_s=(times_s[-1] - first_s) / (num_versions - 1), arrivals=arrivals)


def _spec(device: Device, jitter: float) -> DeviceSpec:
    link = LinkSpec(
        uplink_bytes_per_s=1e9,
        downlink_bytes_per_s=1e9,
        uplink_latency_s=device.overhead_s / 2,
        downlink_latency_s=device.overhead_s / 2,
        jitter=jitter,
    )
    return DeviceSpec(step_time_s=device.step_time_s, link=link, step_jitter=jitter)

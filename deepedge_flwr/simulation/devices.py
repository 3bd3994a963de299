"""The truth about a simulated fleet. The server never sees it: it has to measure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .presence import Presence
from .service import ServiceSpec

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """A node's link: a transfer of b bytes takes (latency + b / bandwidth) exp(jitter z).

    Attributes
    ----------
    uplink_bytes_per_s, downlink_bytes_per_s : float
        Bandwidths.
    uplink_latency_s, downlink_latency_s : float
        Time before the first byte.
    jitter : float
        Standard deviation of the logarithm of a transfer's time.
    """

    uplink_bytes_per_s: float
    downlink_bytes_per_s: float
    uplink_latency_s: float = 0.0
    downlink_latency_s: float = 0.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name in ("uplink_bytes_per_s", "downlink_bytes_per_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"link {name} must be > 0, got {getattr(self, name)}")
        for name in ("uplink_latency_s", "downlink_latency_s", "jitter"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"link {name} must be >= 0, got {getattr(self, name)}")

    def transfer_s(self, num_bytes: int, direction: Direction, noise: float = 0.0) -> float:
        """Return the duration of a transfer, with `noise` the standard normal z."""
        up = direction == "up"
        bytes_per_s = self.uplink_bytes_per_s if up else self.downlink_bytes_per_s
        latency_s = self.uplink_latency_s if up else self.downlink_latency_s
        return float((latency_s + num_bytes / bytes_per_s) * np.exp(self.jitter * noise))

    def slowed(self, factor: float) -> "LinkSpec":
        """Return a link on which every transfer takes `factor` times as long."""
        return replace(
            self,
            uplink_bytes_per_s=self.uplink_bytes_per_s / factor,
            downlink_bytes_per_s=self.downlink_bytes_per_s / factor,
            uplink_latency_s=self.uplink_latency_s * factor,
            downlink_latency_s=self.downlink_latency_s * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One simulated device.

    Attributes
    ----------
    step_time_s : float
        Median seconds per local step.
    link : LinkSpec
        Its link.
    step_jitter : float
        Standard deviation of the logarithm of a step's time.
    service : ServiceSpec | None
        The latency-critical service beside training, if any.
    presence : Presence | None
        When it is on the network and how often it loses a job; None for always and never.
    """

    step_time_s: float
    link: LinkSpec
    step_jitter: float = 0.1
    service: ServiceSpec | None = None
    presence: Presence | None = None

    def __post_init__(self) -> None:
        if not self.step_time_s > 0:
            raise ValueError(f"device step_time_s must be > 0, got {self.step_time_s}")
        if not self.step_jitter >= 0:
            raise ValueError(f"device step_jitter must be >= 0, got {self.step_jitter}")


@dataclass(frozen=True, slots=True)
class Fleet:
    """The devices of a simulation; device i runs the node with partition id i.

    Attributes
    ----------
    devices : tuple[DeviceSpec, ...]
        At least one.
    seed : int
        All randomness of the devices is a function of it, the device and the message index.
    notice_s : float
        Time after which the server notices that a device has gone. Flower's SuperLink takes 37.5
        to 60 s: a heartbeat every 17.5 to 22.5 s, and two of them missed.
    """

    devices: tuple[DeviceSpec, ...]
    seed: int = 0
    notice_s: float = 50.0

    def __post_init__(self) -> None:
        if not self.devices:
            raise ValueError("a fleet needs at least one device, got none")
        if not 0 < self.notice_s < math.inf:
            raise ValueError(f"fleet notice_s must be finite and > 0, got {self.notice_s}")

    def __len__(self) -> int:
        return len(self.devices)

    @property
    def speed_rank(self) -> tuple[int, ...]:
        """Rank of each device by step time, 0 the fastest; ties by index."""
        order = np.argsort([d.step_time_s for d in self.devices], kind="stable")
        return tuple(int(r) for r in np.argsort(order, kind="stable"))


def build_fleet(
    step_times_s: Sequence[float],
    link: LinkSpec | Sequence[LinkSpec],
    *,
    seed: int = 0,
    step_jitter: float = 0.1,
    link_spread: float = 0.3,
    service: ServiceSpec | None = None,
    presence: Presence | Sequence[Presence] | None = None,
    notice_s: float = 50.0,
) -> Fleet:
    """Build a fleet from its step times.

    Parameters
    ----------
    step_times_s : Sequence[float]
        Median seconds per local step, one per device.
    link : LinkSpec | Sequence[LinkSpec]
        The mean link, or one for each device.
    seed : int (default: 0)
        Seed of the fleet.
    step_jitter : float (default: 0.1)
        Log standard deviation of a step's time.
    link_spread : float (default: 0.3)
        Log standard deviation between the devices' links, with mean factor 1.
    service : ServiceSpec | None (default: None)
        The service on every device.
    presence : Presence | Sequence[Presence] | None (default: None)
        The reliability of every device, or one for each.
    notice_s : float (default: 50.0)
        Time after which the server notices that a device has gone.

    Raises
    ------
    ValueError
        If there are not as many links or presences as step times.
    """
    links = [link] * len(step_times_s) if isinstance(link, LinkSpec) else link
    presences = presence if isinstance(presence, Sequence) else [presence] * len(step_times_s)
    noise = np.random.default_rng((seed, 1)).standard_normal(len(step_times_s))
    factors = np.exp(link_spread * noise - link_spread**2 / 2)
    devices = tuple(
        DeviceSpec(
            step_time_s=float(step_time_s),
            link=own_link.slowed(float(factor)),
            step_jitter=step_jitter,
            service=service,
            presence=own_presence,
        )
        for step_time_s, own_link, factor, own_presence in zip(
            step_times_s, links, factors, presences, strict=True
        )
    )
    return Fleet(devices, seed, notice_s)


def speed_classes(
    num_nodes: int, step_time_s: float, spread: float, num_classes: int = 4
) -> list[float]:
    """Step times of equally large classes, geometric from `step_time_s` to `spread` times that.

    Spread 16 in 4 classes gives factors 1, 2.5, 6.3 and 16; the fastest devices come first.
    """
    _check(num_nodes, step_time_s)
    if spread < 1 or num_classes < 1:
        raise ValueError(f"need spread >= 1 and num_classes >= 1, got {spread} and {num_classes}")
    exponents = np.arange(num_nodes) * num_classes // num_nodes / max(1, num_classes - 1)
    return [float(t) for t in step_time_s * spread**exponents]


def log_normal(num_nodes: int, step_time_s: float, sigma: float, seed: int = 0) -> list[float]:
    """Step times with median `step_time_s` and log standard deviation `sigma`, fastest first."""
    _check(num_nodes, step_time_s)
    noise = np.random.default_rng((seed, 2)).standard_normal(num_nodes)
    return [float(t) for t in np.sort(step_time_s * np.exp(sigma * noise))]


def exponential(num_nodes: int, step_time_s: float, seed: int = 0) -> list[float]:
    """Exponentially distributed step times with mean `step_time_s`, fastest first."""
    _check(num_nodes, step_time_s)
    noise = np.random.default_rng((seed, 2)).standard_exponential(num_nodes)
    return [float(t) for t in np.sort(step_time_s * noise)]


def heavy_tail(
    num_nodes: int, step_time_s: float, fraction: float = 0.1, slowdown: float = 16.0
) -> list[float]:
    """Step times of a fleet in which the last `fraction` of the devices is `slowdown` x slower."""
    _check(num_nodes, step_time_s)
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], got {fraction}")
    num_slow = round(fraction * num_nodes)
    return [step_time_s] * (num_nodes - num_slow) + [step_time_s * slowdown] * num_slow


def _check(num_nodes: int, step_time_s: float) -> None:
    if num_nodes < 1:
        raise ValueError(f"num_nodes must be >= 1, got {num_nodes}")
    if not isinstance(step_time_s, int | float) or not step_time_s > 0:
        raise ValueError(f"step_time_s must be a number > 0, got {step_time_s!r}")

"""A simulated device calibrated on one real condition, held against others."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.local_run import LocalRun
from deepedge_flwr.core.types import Telemetry, TrainPlan, Vector
from deepedge_flwr.simulation import ServiceSpec
from deepedge_flwr.simulation.devices import DeviceSpec, LinkSpec
from deepedge_flwr.simulation.simulated_device import DeviceStart, SimulatedDevice

from .bench import Block
from .scenarios import Measured

CALIBRATED_ON = "light control loop, steps of 30 ms"
_HELD_AGAINST = ("light control loop, steps of 5 ms", "light control loop, steps of 200 ms")
_CONDITIONS = ("uncontrolled", "gate alone")
_SIMULATED_S = 300.0
_Z_P99 = 2.326
#: A link is part of every device; a job that is lived through alone does not use it.
_LINK = LinkSpec(uplink_bytes_per_s=1e6, downlink_bytes_per_s=1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One figure, predicted and measured.

    Attributes
    ----------
    what, unit : str
        Of what.
    predicted, measured : float
        The figures.
    bound : float
        Largest factor between them.
    rounds : tuple[float, ...]
        What each round measured.
    calibrated_on : str
        Where the simulated device comes from.
    """

    what: str
    unit: str
    predicted: float
    measured: float
    bound: float
    rounds: tuple[float, ...]
    calibrated_on: str = CALIBRATED_ON

    @property
    def factor(self) -> float:
        """The larger of the two by the smaller."""
        low, high = sorted((self.predicted, self.measured))
        return high / low if low > 0 else math.inf


def calibrated(found: Measured) -> tuple[ServiceSpec, float]:
    """Fit a service to what it was like alone and beside uncontrolled training.

    Median and jitter come from the service alone; the share of requests beyond its own 99th
    percentile that training adds, and by how much they are late, are `collision` and `wait_s`.

    Returns
    -------
    tuple[ServiceSpec, float]
        The service, and the training's pace relative to its pace on the idle machine.
    """
    load = found.scenario.loads[0]
    alone, beside = (_latencies(found.blocks[name]) for name in ("off", "uncontrolled"))
    middle_s, tail_s = float(np.median(alone)), float(np.quantile(alone, 0.99))
    late = beside[beside > tail_s]
    collision = max(0.0, len(late) / len(beside) - 0.01)
    service = ServiceSpec(
        period_s=load.period_s,
        latency_s=middle_s,
        budget_s=found.budget_s,
        slowdown=1.0,
        jitter=math.log(tail_s / middle_s) / _Z_P99,
        collision=collision,
        wait_s=float(np.mean(late)) - middle_s if len(late) else 0.0,
    )
    paces = [block.steps_per_s / found.alone for block in found.blocks["uncontrolled"]]
    return service, median(paces)


def compare(found: Mapping[str, Measured]) -> Iterator[Twin]:
    """Predict conditions that nothing was calibrated on."""
    service, pace = calibrated(found[CALIBRATED_ON])
    for name in _HELD_AGAINST:
        real = found[name]
        for condition in _CONDITIONS:
            own = replace(service, budget_s=real.budget_s)
            told = _lived(own, 1 / (pace * real.alone), gated=condition == "gate alone")
            blocks = real.blocks[condition]
            misses = tuple(100 * block.misses(real.budget_s) for block in blocks)
            paces = tuple(block.steps_per_s for block in blocks)
            yield Twin(
                what=f"late requests, {name}, {condition}",
                unit="%",
                predicted=100 * told.num_violations / told.num_requests,
                measured=100 * float(np.mean(_latencies(blocks) > real.budget_s)),
                bound=2.0,
                rounds=misses,
            )
            yield Twin(
                what=f"pace, {name}, {condition}",
                unit="steps/s",
                predicted=told.num_steps / (told.busy_s + told.paused_s),
                measured=median(paces),
                bound=1.2,
                rounds=paces,
            )


def _lived(service: ServiceSpec, step_time_s: float, *, gated: bool) -> Telemetry:
    """Let a simulated device train for some minutes."""
    spec = DeviceSpec(step_time_s=step_time_s, link=_LINK, service=service)
    device = SimulatedDevice(spec, DeviceStart(seed=0, node_index=0, job_index=0, time_s=0.0))
    plan = TrainPlan(num_steps=10**9, deadline_s=_SIMULATED_S)
    run = LocalRun(plan, Gate(service.budget_s) if gated else None, device)
    for _ in run:
        pass
    return replace(run.telemetry(), num_violations=device.num_violations(math.inf))


def _latencies(blocks: Sequence[Block]) -> Vector:
    return np.concatenate([block.latencies_s for block in blocks])

"""A simulated device calibrated on one real condition, held against others."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.types import Telemetry, TrainPlan
from deepedge_flwr.simulation import ServiceSpec
from deepedge_flwr.simulation.devices import DeviceSpec, LinkSpec
from deepedge_flwr.simulation.simulated_device import DeviceStart, SimulatedDevice, live

from .bench import Bench, Block, Condition, latencies_of
from .measured import budget_of
from .service import Load
from .trainer import Training
from .worker import in_own_session

_CALIBRATED_ON_S, _HELD_AGAINST_S = 0.03, (0.005, 0.2)
_ALONE_S, _REPETITIONS = 0.6, 20
#: How much a gate lets train differs from block to block much more than the rest does.
_MORE_GATED = 2
#: The scheduler acts in ticks of 4 ms. A period that is no multiple of half of one meets it in all
#: phases in every block; with 10 ms, a block has two, and many of its requests are late or none.
_LOAD = Load(period_s=0.0103, work_s=0.0017)
_Z_P99 = 2.326
#: What the gates are told to keep. For 99 % training runs little, in a few stretches that are long
#: or short by chance: how much it does could not be told in this time.
_QUANTILE = 0.95
#: Requests due so soon after a computation began wait more often than later ones; a pause between
#: two steps is longer than what a loop takes for itself.
_SETTLE_S, _PAUSE_S = 0.04, 0.002
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
    """

    what: str
    unit: str
    predicted: float
    measured: float
    bound: float
    rounds: tuple[float, ...]

    @property
    def factor(self) -> float:
        """The larger of the two by the smaller."""
        low, high = sorted((self.predicted, self.measured))
        return high / low if low > 0 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """What was measured beside a light control loop.

    Attributes
    ----------
    budget_s : float
        1.5 times the 99th percentile without training.
    off : Sequence[Block]
        Without training.
    alone : Mapping[tuple[float, bool], float]
        Steps per second without the service and without a gate, by the length of a step, and
        whether beside the service the gate alone holds this process back: processes differ in pace.
    beside : Mapping[tuple[float, bool], Sequence[Block]]
        By the same.
    """

    budget_s: float
    off: Sequence[Block]
    alone: Mapping[tuple[float, bool], float]
    beside: Mapping[tuple[float, bool], Sequence[Block]]


def measure_twins(rounds: int, block_s: float) -> list[Twin]:
    """Predict conditions that nothing was calibrated on; all take turns, round after round."""
    return list(compare(in_own_session(_measure, rounds, block_s)))


def _measure(rounds: int, block_s: float) -> Real:
    steps_s = _CALIBRATED_ON_S, *_HELD_AGAINST_S
    keys = [(step_s, is_gated) for step_s in steps_s for is_gated in (False, True)]
    with tempfile.TemporaryDirectory() as folder:
        sockets = {step_s: str(Path(folder) / f"{step_s}") for step_s in steps_s}
        with Bench((_LOAD,), tuple(sockets.values())) as bench:
            budget_s = budget_of([bench.block("off", block_s) for _ in range(5)])
            for step_s, is_gated in keys:
                training = Training(step_s=step_s, quantile=_QUANTILE)
                if is_gated:
                    training = replace(training, budget_s=budget_s, probe=f"unix:{sockets[step_s]}")
                bench.add(f"{step_s} {is_gated}", Condition(training=training))
            off, paces = list[Block](), {key: list[float]() for key in keys}
            beside = {key: list[Block]() for key in keys}
            for _ in range(rounds):
                off.append(bench.block("off", block_s))
                for (step_s, gated), of_process in paces.items():
                    of_process.append(bench.alone(f"{step_s} {gated}", _ALONE_S))
                for step_s, gated in keys + _MORE_GATED * [key for key in keys if key[1]]:
                    block = bench.block(f"{step_s} {gated}", block_s)
                    beside[step_s, gated].append(block)
    alone = {key: median(of_process) for key, of_process in paces.items()}
    return Real(budget_s=budget_s, off=off, alone=alone, beside=beside)


def calibrated(
    load: Load,
    budget_s: float,
    off: Sequence[Block],
    beside: Sequence[Block],
    paused: Sequence[Block] = (),
) -> ServiceSpec:
    """Fit a service to what it was like alone and beside uncontrolled training.

    Median and jitter come from the service alone; the share of requests over the budget that
    training adds, and by how much these exceed the median, are `collision` and `wait_s`. What is
    different while training begins is seen beside training that was paused over and over.

    It is not the share beyond the service's own 99th percentile, less the hundredth that is there
    alone: idle cores sleep, those that train do not, and so that hundredth is another one beside
    training. To take it away made training too harmless.
    """
    quiet, busy = latencies_of(off), _beside(beside)
    middle_s, tail_s = float(np.median(quiet)), float(np.quantile(quiet, 0.99))
    first, late = _while_training_begins(paused), busy[busy > budget_s]

    def added(latencies_s: NDArray[np.float64]) -> float:
        """Return the share of late requests beyond that without training."""
        return max(0.0, float(np.mean(latencies_s > budget_s) - np.mean(quiet > budget_s)))

    return ServiceSpec(
        period_s=load.period_s,
        latency_s=middle_s,
        budget_s=budget_s,
        slowdown=1.0,
        jitter=math.log(tail_s / middle_s) / _Z_P99,
        collision=added(busy),
        wait_s=float(np.median(late)) - middle_s if len(late) else 0.0,
        first_collision=added(first) if len(first) else 0.0,
        settle_s=_SETTLE_S if len(first) else 0.0,
    )


def _beside(blocks: Sequence[Block]) -> NDArray[np.float64]:
    """Return the latencies of the requests that were due while training was to run."""
    found = [np.zeros(0)]
    for block in blocks:
        starts_s, dues_s = block.trained["starts_s"], block.begun_s + block.times_s
        begun_s = starts_s[0] if len(starts_s) else block.begun_s
        is_beside = (dues_s >= begun_s) & (dues_s < begun_s + block.training_s)
        found.append(block.latencies_s[is_beside])
    return np.concatenate(found)


def _while_training_begins(blocks: Sequence[Block]) -> NDArray[np.float64]:
    """Return the latencies of the requests that were due in the first part of a computation."""
    found = [np.zeros(0)]
    for block in blocks:
        starts_s, ends_s = (np.asarray(block.trained[key]) for key in ("starts_s", "ends_s"))
        if not len(starts_s):
            continue
        is_first = np.append(True, starts_s[1:] - ends_s[:-1] > _PAUSE_S)
        dues_s = block.begun_s + block.times_s
        before = np.searchsorted(starts_s, dues_s, side="right") - 1
        begun_s = np.maximum.accumulate(np.where(is_first, starts_s, 0.0))[before]
        is_beside = (before >= 0) & (dues_s < ends_s[before])
        found.append(block.latencies_s[is_beside & (dues_s - begun_s < _SETTLE_S)])
    return np.concatenate(found)


def compare(real: Real) -> Iterator[Twin]:
    """Yield what the calibrated device says of the other conditions, and what they were like.

    There is a device for every round: what a service is like drifts with the machine.
    """
    base, paused = (real.beside[_CALIBRATED_ON_S, is_gated] for is_gated in (False, True))
    services = [calibrated(_LOAD, real.budget_s, real.off, [block], paused) for block in base]
    job_s = base[0].training_s
    pace = float(np.mean([b.steps_per_s for b in base])) / real.alone[_CALIBRATED_ON_S, False]
    for (step_s, gated), blocks in real.beside.items():
        if step_s not in _HELD_AGAINST_S:
            continue
        told = list(_lived(services, 1 / (pace * real.alone[step_s, gated]), job_s, gated))
        how = f"gate for {_QUANTILE:.0%} alone" if gated else "uncontrolled"
        name = f"steps of {1000 * step_s:.0f} ms, {how}, period {1000 * _LOAD.period_s:.1f} ms"
        yield Twin(
            what=f"late requests, {name}",
            unit="%",
            predicted=100
            * float(np.mean([t.num_violations / max(1, t.num_requests) for t in told])),
            measured=100 * float(np.mean(_beside(blocks) > real.budget_s)),
            bound=2.0,
            rounds=tuple(100 * float(np.mean(_beside([b]) > real.budget_s)) for b in blocks),
        )
        paces = tuple(block.steps_per_s for block in blocks)
        yield Twin(
            what=f"pace, {name}",
            unit="steps/s",
            predicted=float(
                np.mean([t.num_steps / max(job_s, t.busy_s + t.paused_s) for t in told])
            ),
            measured=float(np.mean(paces)),
            bound=1.2,
            rounds=paces,
        )


def _lived(
    services: Sequence[ServiceSpec], step_time_s: float, job_s: float, is_gated: bool
) -> Iterator[Telemetry]:
    """Let a simulated device live through the same jobs, some times over."""
    plan = TrainPlan(num_steps=10**9, deadline_s=job_s)
    for seed in range(_REPETITIONS):
        memory: Sequence[float] = ()
        for number, service in enumerate(services):
            spec = DeviceSpec(step_time_s=step_time_s, link=_LINK, service=service)
            # Days apart: the requests of another day collide.
            start = DeviceStart(seed=seed, node_index=0, job_index=number,
                                time_s=1e5 * number, gate_memory=memory)  # fmt: skip
            device = SimulatedDevice(spec, start)
            gate = Gate(service.budget_s, quantile=_QUANTILE) if is_gated else None
            told = live(device, plan, gate)
            memory = gate.memory if gate is not None else ()
            yield replace(told, num_violations=device.num_violations(math.inf))

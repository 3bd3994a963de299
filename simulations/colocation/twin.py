"""A simulated device calibrated on one real condition, held against others."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.types import Telemetry, TrainPlan
from deepedge_flwr.simulation import ServiceSpec
from deepedge_flwr.simulation.devices import DeviceSpec, LinkSpec
from deepedge_flwr.simulation.simulated_device import DeviceStart, SimulatedDevice, live

from .bench import Bench, Block, Condition
from .calibration import calibrated, latencies_beside
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
#: What the gates are told to keep. For 99 % training runs little, in a few stretches that are long
#: or short by chance: how much it does could not be told in this time.
_QUANTILE = 0.95
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


def compare(real: Real) -> Iterator[Twin]:
    """Yield what the calibrated device says of the other conditions, and what they were like.

    One device is fitted to all rounds: a single one has too few late requests to tell their share.
    Steps between pauses are slower, the first after each most of all: each has that of its like.
    """
    base, paused = (real.beside[_CALIBRATED_ON_S, is_gated] for is_gated in (False, True))
    service = calibrated(_LOAD, real.budget_s, real.off, base, paused)
    slower = [
        real.alone[_CALIBRATED_ON_S, is_gated] * _step_time_s(blocks)
        for is_gated, blocks in ((False, base), (True, paused))
    ]
    held_against = [key for key in real.beside if key[0] in _HELD_AGAINST_S]
    for step_s, gated in held_against:
        step_time_s = slower[gated] / real.alone[step_s, gated]
        how = f"gate for {_QUANTILE:.0%} alone" if gated else "uncontrolled"
        yield from _compared(
            f"steps of {1000 * step_s:.0f} ms, {how}, period {1000 * _LOAD.period_s:.1f} ms",
            list(_lived(service, step_time_s, base[0].training_s, len(base), gated)),
            real.beside[step_s, gated],
            real.budget_s,
        )


def _compared(
    name: str, told: Sequence[Telemetry], blocks: Sequence[Block], budget_s: float
) -> Iterator[Twin]:
    """Yield what a simulated device tells and what was measured, of one condition."""
    job_s = blocks[0].training_s
    late = [100 * t.num_violations / max(1, t.num_requests) for t in told]
    yield Twin(
        what=f"late requests, {name}",
        unit="%",
        predicted=float(np.mean(late)),
        measured=100 * float(np.mean(latencies_beside(blocks) > budget_s)),
        bound=2.0,
        rounds=tuple(100 * float(np.mean(latencies_beside([b]) > budget_s)) for b in blocks),
    )
    paces = [t.num_steps / max(job_s, t.busy_s + t.paused_s) for t in told]
    rounds = tuple(block.steps_per_s for block in blocks)
    yield Twin(
        what=f"pace, {name}",
        unit="steps/s",
        predicted=float(np.mean(paces)),
        measured=float(np.mean(rounds)),
        bound=1.2,
        rounds=rounds,
    )


def _step_time_s(blocks: Sequence[Block]) -> float:
    """Return how long a local step took on average, without the pauses between steps."""
    busy_s, steps = (sum(b.trained[key] for b in blocks) for key in ("busy_s", "num_steps"))
    return float(busy_s / steps) if steps else math.inf


def _lived(
    service: ServiceSpec, step_time_s: float, job_s: float, num_jobs: int, is_gated: bool
) -> Iterator[Telemetry]:
    """Let a simulated device live through so many jobs, some times over."""
    plan = TrainPlan(num_steps=10**9, deadline_s=job_s)
    spec = DeviceSpec(step_time_s=step_time_s, link=_LINK, service=service)
    for seed in range(_REPETITIONS):
        memory: Sequence[float] = ()
        for number in range(num_jobs):
            # Days apart: the requests of another day collide.
            start = DeviceStart(seed=seed, node_index=0, job_index=number,
                                time_s=1e5 * number, gate_memory=memory)  # fmt: skip
            device = SimulatedDevice(spec, start)
            gate = Gate(service.budget_s, quantile=_QUANTILE) if is_gated else None
            told = live(device, plan, gate)
            memory = gate.memory if gate is not None else ()
            yield replace(told, num_violations=device.num_violations(math.inf))

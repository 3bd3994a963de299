"""Which services and which trainings are put side by side, and in which conditions."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from deepedge_flwr.client.isolation import (
    AUTOGROUP,
    BETWEEN_TICKS,
    IDLE_CLASS,
    IDLE_IO,
    OWN_SESSION,
)

from .bench import Bench, Block, Condition, latencies_of
from .service import Load
from .trainer import Training
from .worker import in_own_session

#: As the SuperNode's unit file has it (DEPLOYMENT.md).
_BOUND = {"OMP_PROC_BIND": "true"}
_PASSIVE = {"OMP_WAIT_POLICY": "passive"}
_ALL = (OWN_SESSION, BETWEEN_TICKS, IDLE_CLASS, AUTOGROUP, IDLE_IO)
_ALONE_S = 1.0
#: Of the isolated service's 99th percentile, which some blocks without training tell.
_BUDGET_FACTOR, _BUDGET_BLOCKS = 1.5, 5

LIGHT = (Load(period_s=0.01, work_s=0.0017),)
HEAVY = (Load(period_s=0.02, work_s=0.0146),) * 2
HTTP_LIGHT = (Load(period_s=0.02, work_s=0.003, over_http=True),)
HTTP_HEAVY = (Load(period_s=0.02, work_s=0.012, over_http=True),) * 2
BURSTS = (Load(period_s=0.005, work_s=0.003, burst_s=0.5, every_s=1.5),)
CACHED = (Load(period_s=0.01, work_s=0.0017, table_mib=4.0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Services and a training.

    Attributes
    ----------
    name : str
        In words.
    loads : tuple[Load, ...]
        The services.
    training : Training
        What trains.
    same_session : bool
        Whether in the session of the services.
    least_pace : float | None
        What protected training promises of the pace that the idle processor time allows.
    ablated : bool
        Whether to try each mechanism alone, too.
    gated : bool
        Whether to try the gate alone, too.
    free_cores : bool
        Whether protected training cuts its steps for `FreeCores`, as DEPLOYMENT.md advises, or
        leaves them to OpenMP, where it advises that and where there are no samples to cut. The
        threads of both are bound.
    """

    name: str
    loads: tuple[Load, ...]
    training: Training
    same_session: bool = False
    least_pace: float | None = None
    ablated: bool = False
    gated: bool = False
    free_cores: bool = True


def _scenario(kind: str, loads: tuple[Load, ...], step_s: float, **options: object) -> Scenario:
    training = Training(step_s=step_s)
    text = f"{kind}, steps of {1000 * step_s:.0f} ms"
    return replace(Scenario(name=text, loads=loads, training=training), **options)  # type: ignore[arg-type]


SCENARIOS: tuple[Scenario, ...] = (
    _scenario("light control loop", LIGHT, 0.03, least_pace=0.9, ablated=True, gated=True),
    _scenario("light control loop", LIGHT, 0.005, least_pace=0.9, gated=True, free_cores=False),
    _scenario("light control loop", LIGHT, 0.2, least_pace=0.9, gated=True),
    replace(
        _scenario("light control loop in the same session", LIGHT, 0.03, least_pace=0.9),
        same_session=True,
    ),
    _scenario("heavy control loops", HEAVY, 0.03, least_pace=0.75, ablated=True),
    _scenario("heavy control loops", HEAVY, 0.005, least_pace=0.75),
    _scenario("heavy control loops", HEAVY, 0.2, least_pace=0.75),
    _scenario("light HTTP inference", HTTP_LIGHT, 0.03, least_pace=0.9),
    _scenario("heavy HTTP inference", HTTP_HEAVY, 0.03, least_pace=0.75),
    _scenario("bursts of a control loop", BURSTS, 0.03, least_pace=0.9, ablated=True),
    replace(
        _scenario("service that lives on its cache, memory-bound training", CACHED, 0.03),
        training=Training(step_s=0.03, memory_mib=64.0),
        gated=True,
        free_cores=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of a scenario.

    Attributes
    ----------
    scenario : Scenario
        Of what.
    budget_s : float
        The services' budget: 1.5 times the isolated 99th percentile.
    alone : Mapping[str, float]
        Steps per second of each condition's training without services, and without its gate, which
        would wait for one. Each process has its own, as two of the same program differ by some per
        cent, by where their memory happens to lie.
    rationed : float
        The same of protected training that is stopped, on all cores at once, for `service_share` of
        every period of the service: what that much less processor time costs on this machine.
    service_share : float
        Share of all cores that the services use.
    blocks : Mapping[str, Sequence[Block]]
        By condition.
    """

    scenario: Scenario
    budget_s: float
    alone: Mapping[str, float]
    rationed: float
    service_share: float
    blocks: Mapping[str, Sequence[Block]]

    def missed(self, name: str) -> float:
        """Return the share of late requests over all blocks of a condition."""
        return float(np.mean(latencies_of(self.blocks[name]) > self.budget_s))

    def paces(self, name: str) -> list[float]:
        """Return steps per second relative to what the idle processor time allows."""
        allowed = self.alone[name] * (1 - self.service_share)
        return [block.steps_per_s / allowed for block in self.blocks[name]]

    @property
    def rationed_pace(self) -> float:
        """Return the same of the training that is stopped for as long as services compute."""
        return self.rationed / (self.alone["protected"] * (1 - self.service_share))

    def undisturbed_pace(self, name: str) -> float:
        """Return the pace without services and gate, relative to uncontrolled training's."""
        return self.alone[name] / self.alone["uncontrolled"]


def budget_of(alone: Sequence[Block]) -> float:
    """Return the budget of services that were like this without training."""
    # The median block's: with that of all requests a moment of noise would double the budget.
    return _BUDGET_FACTOR * median(block.quantile_s(0.99) for block in alone)


def conditions_of(
    scenario: Scenario, budget_s: float, sockets: Mapping[str, str]
) -> dict[str, Condition]:
    """Return the trainings to compare, by name."""
    plain = Condition(training=scenario.training, same_session=scenario.same_session)

    def isolated(
        *mechanisms: str, environment: Mapping[str, str] = _BOUND, free_cores: bool = False
    ) -> Condition:
        training = replace(scenario.training, isolation=mechanisms, free_cores=free_cores)
        return replace(plain, training=training, environment=environment)

    bound, free = isolated(*_ALL), isolated(*_ALL, free_cores=True)

    def gated(name: str, condition: Condition) -> Condition:
        assert condition.training is not None
        training = replace(condition.training, budget_s=budget_s, probe=f"unix:{sockets[name]}")
        return replace(condition, training=training)

    protected = free if scenario.free_cores else bound
    conditions = {"uncontrolled": plain, "protected": gated("protected", protected)}
    if scenario.gated or scenario.ablated:
        conditions["gate alone"] = gated("gate alone", plain)
    if scenario.ablated:
        looks_out = tuple(mechanism for mechanism in _ALL if mechanism != BETWEEN_TICKS)
        conditions |= {
            "SCHED_IDLE alone": isolated(IDLE_CLASS, environment={}),
            "autogroup alone": isolated(AUTOGROUP, environment={}),
            "bound threads alone": isolated(),
            "free cores alone": isolated(free_cores=True),
            "isolation without bound threads": isolated(*_ALL, environment={}),
            "isolation with passive waiting": isolated(*_ALL, environment=_PASSIVE),
            "isolation and free cores without bound threads": isolated(
                *_ALL, environment={}, free_cores=True
            ),
            "isolation and bound threads": bound,
            "isolation and free cores": free,
            "bound threads, isolation without preemption between ticks": isolated(*looks_out),
            "free cores, isolation without preemption between ticks": isolated(
                *looks_out, free_cores=True
            ),
        }
    return conditions


def measure_scenario(
    scenario: Scenario, rounds: int, block_s: float, more_rounds: int = 0
) -> Measured:
    """Measure all conditions of a scenario, interleaved, in a session of its own.

    After that follow `more_rounds` of no training and protected training: what they differ by is
    the smallest of the differences.
    """
    return in_own_session(_measure, scenario, rounds, block_s, more_rounds)


def _measure(scenario: Scenario, rounds: int, block_s: float, more_rounds: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        sockets = {name: str(Path(folder) / name[:4]) for name in ("protected", "gate alone")}
        with Bench(scenario.loads, tuple(sockets.values())) as bench:
            budget_s = budget_of([bench.block("off", block_s) for _ in range(_BUDGET_BLOCKS)])
            conditions = conditions_of(scenario, budget_s, sockets)
            for name, condition in conditions.items():
                bench.add(name, condition)
            blocks = {name: list[Block]() for name in ("off", *conditions)}
            alone, rationed = {name: list[float]() for name in conditions}, list[float]()
            for names in [list(blocks)] * rounds + [["off", "protected"]] * more_rounds:
                for name, block in bench.interleaved(names, 1, block_s):
                    blocks[name].append(block)
                # Uncontrolled training too: the pace of others without services is relative to it.
                for name in dict.fromkeys([*names[1:], "uncontrolled"]):
                    alone[name].append(bench.alone(name, _ALONE_S))
                share, period_s = _share(blocks["off"]), scenario.loads[0].period_s
                rationed.append(bench.rationed("protected", _ALONE_S, period_s, share))
    return Measured(
        scenario=scenario,
        budget_s=budget_s,
        alone={name: median(paces) for name, paces in alone.items()},
        rationed=median(rationed),
        service_share=_share(blocks["off"]),
        blocks=blocks,
    )


def _share(off: Sequence[Block]) -> float:
    """Return the share of all cores that services use without training."""
    return median(block.cpu_share for block in off) / (os.cpu_count() or 1)

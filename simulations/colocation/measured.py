"""What services and trainings make of each other in a scenario."""

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from .bench import Bench, Block, latencies_of
from .conditions import conditions_of
from .scenarios import Scenario
from .worker import in_own_session

_ALONE_S = 1.0
#: Of the isolated service's 99th percentile, which some blocks without training tell.
_BUDGET_FACTOR, _BUDGET_BLOCKS = 1.5, 5


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

    def missed_more(self, most_stolen_s: float = math.inf) -> list[float]:
        """Return the share of requests that protected training adds to the late ones, by round.

        Of those rounds in which the host has kept no more than `most_stolen_s` of the cores for
        others, both without training and beside it: a request that waits for the host is late
        whatever runs here.
        """
        return [
            protected.misses(self.budget_s) - off.misses(self.budget_s)
            for protected, off in zip(self.blocks["protected"], self.blocks["off"], strict=True)
            if max(protected.stolen_s, off.stolen_s) <= most_stolen_s
        ]

    def paces(self, name: str) -> list[float]:
        """Return steps per second relative to what the idle processor time allows."""
        allowed = self.alone[name] * (1 - self.service_share)
        return [block.steps_per_s / allowed for block in self.blocks[name]]

    def service_pace(self, name: str) -> float:
        """Return how fast the services compute while they have a core, relative to no training.

        That is what training changes by other means than the core: it takes caches and memory, and
        keeps cores awake that would be slow when a request is due. Of the two it tells the sum.
        """
        rounds = zip(self.blocks[name], self.blocks["off"], strict=False)
        return median(block.service_pace / off.service_pace for block, off in rounds)

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

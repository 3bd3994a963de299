"""The claims about the service beside the training: real processes, one condition after another."""

import logging
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev

from rich.console import Console
from rich.progress import track

from ..colocation.bench import Block
from ..colocation.blind_node import Yielding, measure_yielding
from ..colocation.broken import Ending, endings
from ..colocation.measured import Measured, measure_scenario
from ..colocation.reaction import Reaction, measure_reaction
from ..colocation.scenarios import SCENARIOS, Scenario
from ..colocation.twin import Twin, measure_twins
from ..experiment import log_level
from ..summary import Summary
from ..sweep import by_seed, run_sweep
from .claims import Claim

ROUNDS, MORE_ROUNDS, BLOCK_S = 3, 9, 3.0
TWIN_ROUNDS, TWIN_BLOCK_S = 10, 3.0
SEEDS = (3001, 3002, 3003, 3004, 3005)
_VERSIONS, _LEAST_BURSTS = 5, 5
#: What protection may cost while there is nothing to protect.
_UNDISTURBED_PACE = 0.95
#: Of the cores, kept by the host: one tick at most, as single ones are in most rounds.
_CALM_S = 0.015


def measure(quick: bool) -> list[Claim]:
    """Measure all claims; `quick` is one scenario, one round, and one seed of the fleet."""
    rounds, more, seeds = (1, 1, SEEDS[:1]) if quick else (ROUNDS, MORE_ROUNDS, SEEDS)
    scenarios = SCENARIOS[:1] if quick else SCENARIOS
    claims = measure_scenarios(scenarios, rounds, more)
    with log_level(logging.CRITICAL), tempfile.TemporaryDirectory() as path:
        claims.append(_reacts(measure_reaction(Path("verify/gate.png"))))
        claims += [_is_safe(ending) for ending in endings()]
        claims.append(_yields(measure_yielding(_VERSIONS)))
        if not quick:
            claims += [_is_like(twin) for twin in measure_twins(TWIN_ROUNDS, TWIN_BLOCK_S)]
        claims += _fleet(Path(path), seeds)
    return claims


def measure_scenarios(
    scenarios: Sequence[Scenario], rounds: int = ROUNDS, more: int = MORE_ROUNDS
) -> list[Claim]:
    """Measure what protected training promises beside some services."""
    claims, found = list[Claim](), list[Measured]()
    with log_level(logging.CRITICAL):
        for scenario in track(scenarios, "scenarios", console=Console(stderr=True)):
            found.append(measure_scenario(scenario, rounds, BLOCK_S, more))
            claims += _protected(scenario, found[-1])
    return claims + (list(_undisturbed(found)) if set(scenarios) == set(SCENARIOS) else [])


def _protected(scenario: Scenario, found: Measured) -> Iterator[Claim]:
    protected = found.blocks["protected"]
    more, calm = ([100 * share for share in found.missed_more(s)] for s in (math.inf, _CALM_S))
    yield Claim(
        name=f"{scenario.name}: requests missed beside protected training more than without any",
        measured=100 * (found.missed("protected") - found.missed("off")),
        bound=0.1,
        unit="percentage points",
        kind="at most",
        how=f"all requests of {len(more)} rounds, {_spread(more)}, {_range(more, '.2f')}; in the "
        f"{len(calm)} in which the host kept 10 ms for others at most {_spread(calm)}; protected "
        f"with {'free cores' if scenario.free_cores else 'bound threads'}; "
        f"budget {1000 * found.budget_s:.2f} ms; {_conditions(found)}",
    )
    troubles = [block.trouble for block in protected if block.trouble]
    yield Claim(
        name=f"{scenario.name}: protected trainings that ended in trouble",
        measured=len(troubles),
        bound=0,
        unit="trainings",
        kind="equal",
        how=f"of {len(protected)}; {'; '.join(troubles) or 'none'}",
    )
    if scenario.least_pace is not None:
        yield _keeps_pace(scenario, scenario.least_pace, found)


def _keeps_pace(scenario: Scenario, least_pace: float, found: Measured) -> Claim:
    paces = found.paces("protected")
    return Claim(
        name=f"{scenario.name}: training relative to what the idle processor time allows the "
        "same process",
        measured=median(paces),
        bound=least_pace,
        unit="x",
        kind="at least",
        how=f"median of {len(paces)} rounds, {_range(paces, '.2f')}; the service uses "
        f"{found.service_share:.0%} of both cores; without it this training made "
        f"{found.alone['protected']:.1f} steps/s, the uncontrolled one "
        f"{found.alone['uncontrolled']:.1f}; stopped for that share of every period, without the "
        f"service, it made {found.rationed_pace:.2f}x",
    )


def _undisturbed(found: Sequence[Measured]) -> Iterator[Claim]:
    for free_cores, what in ((False, "bound threads"), (True, "free cores")):
        paces = [
            one.undisturbed_pace("protected")
            for one in found
            if one.scenario.free_cores == free_cores
        ]
        yield Claim(
            name=f"protected training with {what} relative to uncontrolled, both without services",
            measured=median(paces),
            bound=_UNDISTURBED_PACE,
            unit="x",
            kind="at least",
            how=f"median over the processes of {len(paces)} scenarios, {_range(paces, '.2f')}",
        )


def _conditions(found: Measured) -> str:
    """Return what each condition was like, in words."""
    return "; ".join(
        f"{name}: {_miss_text(blocks, found.budget_s)}, p99 "
        f"{1000 * median(b.quantile_s(0.99) for b in blocks):.2f} ms, run-queue delay "
        f"{1000 * median(b.queued_share for b in blocks):.1f} ms/s, p99 of wake-ups "
        f"{1000 * median(b.wake_s(0.99) for b in blocks):.2f} ms, kept by the host "
        f"{1000 * fmean(b.stolen_share for b in blocks):.1f} ms/s"
        + (_paces(found, name) if name != "off" else "")
        for name, blocks in found.blocks.items()
    )


def _paces(found: Measured, name: str) -> str:
    beside, without = median(found.paces(name)), found.undisturbed_pace(name)
    return (
        f", training {beside:.2f}x, without services {without:.2f}x of uncontrolled, the services' "
        f"own pace {found.service_pace(name):.2f}x"
    )


def _miss_text(blocks: Sequence[Block], budget_s: float) -> str:
    misses = [100 * block.misses(budget_s) for block in blocks]
    return f"{median(misses):.2f} % missed ({_range(misses, '.2f')})"


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "too few for a mean"
    return f"mean {fmean(values):.2f}, standard error {stdev(values) / math.sqrt(len(values)):.2f}"


def _range(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}"


def _reacts(found: Reaction) -> Claim:
    # A service that nothing makes late, or a training that does nothing, shows no reaction.
    shows = found.num_bursts >= _LEAST_BURSTS and found.num_trained > 0 and not found.trouble
    return Claim(
        name="the gate alone: local steps begun between a late request and the pause",
        measured=found.mean_steps if shows else float("inf"),
        bound=1.0,
        unit="steps",
        kind="at most",
        how=f"mean over {found.num_bursts} bursts with late requests, of which there have to be "
        f"{_LEAST_BURSTS}; at most {found.most_steps}; training made steps in {found.num_trained} "
        f"of {found.num_quiet} quiet times; trouble: {found.trouble or 'none'}; verify/gate.png",
    )


def _is_safe(ending: Ending) -> Claim:
    return Claim(
        name=f"{ending.what}: training ends with an event that says so",
        measured=ending.trouble if ending.expected not in ending.trouble else ending.expected,
        bound=ending.expected,
        unit="event",
        kind="equal",
        how=f"{ending.num_steps} steps were done before; the node said: {ending.trouble}",
    )


def _yields(found: Yielding) -> Claim:
    return Claim(
        name="a server, three nodes and one blind probe: versions that the other nodes make",
        measured=found.num_versions if found.is_as_promised else 0,
        bound=_VERSIONS,
        unit="versions",
        kind="at least",
        how=f"DeepEdge on real devices; yielded: nodes {sorted(found.yielded)}, updates from "
        f"nodes {sorted(found.updates)}",
    )


def _is_like(twin: Twin) -> Claim:
    return Claim(
        name=f"simulated device against the real one, {twin.what}",
        measured=twin.factor,
        bound=twin.bound,
        unit="x",
        kind="at most",
        how=f"predicted {twin.predicted:.4g}, measured {twin.measured:.4g} {twin.unit} "
        f"({_range(twin.rounds, '.4g')} in {len(twin.rounds)} blocks); calibrated on "
        "steps of 30 ms, uncontrolled and beside the gate alone, in the same rounds",
    )


def _fleet(folder: Path, seeds: Sequence[int]) -> Iterator[Claim]:
    """Compare the gate on and off where half of the devices have a service."""
    common = ("task=digits", "fleet=x16", "service=control_loop", "service_share=0.5",
              "horizon_s=180")  # fmt: skip
    arms = {"gated": ("gate=true",), "ungated": ("gate=false",)}
    runs = run_sweep(by_seed(arms, seeds, folder / "half", common), "half of a fleet has budgets")
    by_arm = {a: [s for path, s in runs.items() if path.parent.name == a] for a in arms}
    about = f"digits, x16, service on half of the devices, {len(seeds)} seeds"
    yield from _fleet_claims(by_arm, about)


def _fleet_claims(by_arm: Mapping[str, Sequence[Summary]], about: str) -> Iterator[Claim]:
    late: Mapping[str, float] = {
        arm: fmean(s.violation_rate for s in summaries) for arm, summaries in by_arm.items()
    }
    # Where nobody is ever late, the gate has shown nothing.
    without = float("inf") if late["ungated"] else 0.0
    yield Claim(
        name="fleet simulation: violations without the gate relative to with it",
        measured=late["ungated"] / late["gated"] if late["gated"] else without,
        bound=20.0,
        unit="x",
        kind="at least",
        how=f"{about}: {late['ungated']:.3%} against {late['gated']:.3%} of all requests",
    )
    missing = sum(s.time_to_target_s is None for s in by_arm["gated"])
    times = {
        arm: fmean(s.time_to_target_s or s.horizon_s for s in summaries)
        for arm, summaries in by_arm.items()
    }
    yield Claim(
        name="fleet simulation: time to target with the gate relative to without",
        measured=float("inf") if missing else times["gated"] / times["ungated"],
        bound=1.15,
        unit="x",
        kind="at most",
        how=f"{about}: {times['gated']:.1f} s against {times['ungated']:.1f} s; "
        f"with the gate {missing} runs did not reach it",
    )

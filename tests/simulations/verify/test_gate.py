"""What the claims about the gate do not let pass."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulations.colocation.bench import Block
from simulations.colocation.blind_node import Yielding
from simulations.colocation.measured import Measured
from simulations.colocation.reaction import Reaction
from simulations.colocation.scenarios import SCENARIOS, Scenario
from simulations.verify.__main__ import main
from simulations.verify.claims import Claim, read_claims, updated, write_claims
from simulations.verify.gate import _fleet_claims, _protected, _reacts, _undisturbed, _yields

BUDGET_S = 0.01


def block(late: float, steps: int = 40, elapsed_s: float = 4.0, trouble: str = "") -> Block:
    latencies_s = np.where(np.arange(1000) < 1000 * late, 2 * BUDGET_S, BUDGET_S / 2)
    trained = {"num_steps": steps, "elapsed_s": elapsed_s, "trouble": trouble}
    none = np.zeros(0)
    return Block(latencies_s=latencies_s, times_s=none, wakes_s=none, begun_s=0.0, duration_s=4.3,
                 training_s=4.0, cpu_s=1.0, queued_s=0.0, num_added=1.0, stolen_s=0.0,
                 trained=trained)  # fmt: skip


def claims(protected: Sequence[Block]) -> list[Claim]:
    off = [block(0.001) for _ in protected]
    found = Measured(
        scenario=SCENARIOS[0],
        budget_s=BUDGET_S,
        alone={"protected": 10.0, "uncontrolled": 9.0},
        rationed=8.0,
        service_share=0.0,
        blocks={"off": off, "protected": protected},
    )
    return list(_protected(SCENARIOS[0], found))


def test_what_is_kept_is_met() -> None:
    assert all(claim.met for claim in claims([block(0.001)] * 5))


def test_two_bad_rounds_of_five_are_not_hidden() -> None:
    missed, *_ = claims([block(0.001)] * 3 + [block(1.0)] * 2)
    assert missed.measured == pytest.approx(100 * (0.4006 - 0.001))
    assert not missed.met


def test_what_the_host_kept_for_others_is_told() -> None:
    protected = [block(0.002)] * 3 + [replace(block(1.0), stolen_s=0.43)]
    missed, *_ = claims(protected)
    assert "in the 3 in which the host kept 10 ms for others at most mean 0.10" in missed.how
    assert "kept by the host 25.0 ms/s" in missed.how
    assert "in the 0 in which the host kept 10 ms for others at most too few" in (
        claims([replace(block(0.002), stolen_s=0.43)] * 2)[0].how
    )


def test_a_training_that_has_died_is_told_and_slow() -> None:
    dead = block(0.001, steps=3, elapsed_s=0.3, trouble="saw no request")
    _, troubles, pace = claims([dead] * 5)
    assert troubles.measured == 5 and not troubles.met
    assert pace.measured == 3 / 4 / 10 and not pace.met


def test_a_reaction_needs_bursts_that_were_late_and_a_training() -> None:
    def met(**other: Any) -> bool:
        good = {"num_bursts": 5, "mean_steps": 0.5, "most_steps": 1, "num_quiet": 5,
                "num_trained": 5, "trouble": ""}  # fmt: skip
        return _reacts(Reaction(**{**good, **other})).met

    assert met()
    assert not met(num_bursts=4)
    assert not met(num_trained=0)
    assert not met(trouble="saw no request")
    assert not met(mean_steps=2.0)


def test_a_server_has_to_notice_the_blind_node() -> None:
    def met(yielded: set[int], updates: set[int]) -> bool:
        found = Yielding(yielded=frozenset(yielded), updates=frozenset(updates), num_versions=5)
        return _yields(found).met

    assert met({1}, {2, 3})
    assert not met(set(), {2, 3})
    assert not met({1}, {1, 2, 3})


def test_a_fleet_that_does_not_learn_with_the_gate_is_infinitely_slow() -> None:
    def measured(gated: Sequence[float | None], late: float = 0.1) -> list[float | str]:
        def runs(times_s: Sequence[float | None], rate: float) -> list[Any]:
            return [SimpleNamespace(time_to_target_s=t, horizon_s=180.0, violation_rate=rate)
                    for t in times_s]  # fmt: skip

        by_arm = {"gated": runs(gated, 0.0), "ungated": runs([100.0, 100.0], late)}
        return [claim.measured for claim in _fleet_claims(by_arm, "")]

    assert measured([105.0, 115.0]) == [math.inf, 1.1]
    assert measured([90.0, None]) == [math.inf, math.inf]
    assert measured([100.0, 100.0], late=0.0) == [0.0, 1.0]


def test_what_is_measured_again_takes_the_place_of_what_was(tmp_path: Path) -> None:
    def claim(name: str, measured: float) -> Claim:
        return Claim(name=name, measured=measured, bound=1.0, unit="x", kind="at most", how="")

    path = tmp_path / "gate.json"
    write_claims([claim("a", 1.0), claim("b", 2.0)], path)
    found = updated(read_claims(path), [claim("b", 0.5), claim("c", 3.0)])
    assert found == [claim("a", 1.0), claim("b", 0.5), claim("c", 3.0)]


@pytest.mark.parametrize("topic", ["demo", "gate"])
def test_only_the_gate_s_scenarios_are_measured_again_and_only_after_all_were(
    topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["verify", topic, "--scenarios", "1", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--scenarios is for gate, and for a file that is there" in capsys.readouterr().err


def test_what_protection_costs_where_nothing_is_to_be_protected_is_told_by_kind() -> None:
    def found(scenario: Scenario, pace: float) -> Measured:
        return Measured(scenario=scenario, budget_s=BUDGET_S, rationed=8.0, service_share=0.0,
                        alone={"protected": pace, "uncontrolled": 10.0}, blocks={})  # fmt: skip

    bound, free = (replace(SCENARIOS[0], free_cores=free) for free in (False, True))
    all_found = [found(bound, 9.0), found(free, 11.0), found(bound, 9.9), found(bound, 9.6)]
    claims = list(_undisturbed(all_found))
    assert [(claim.measured, claim.met) for claim in claims] == [(0.96, True), (1.1, True)]
    assert not next(_undisturbed([found(bound, 9.4), found(free, 11.0)])).met

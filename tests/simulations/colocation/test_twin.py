"""A simulated device predicts what it was not made from."""

import math
from dataclasses import replace

import pytest

from simulations.colocation.twin import Real, Twin, compare
from tests.simulations.colocation.blocks import ALONE, WAITS, block


def test_a_factor_is_never_below_one() -> None:
    def factor(predicted: float, measured: float) -> float:
        return Twin(what="", unit="", predicted=predicted, measured=measured, bound=2.0,
                    rounds=()).factor  # fmt: skip

    assert factor(2.0, 8.0) == factor(8.0, 2.0) == 4.0
    assert factor(0.0, 1.0) == math.inf


def test_uncontrolled_training_is_predicted_from_a_like_condition() -> None:
    """Trainings that differ by nothing but the length of their steps."""
    twins = list(compare(_like_conditions()))
    assert len(twins) == 8
    uncontrolled = [twin for twin in twins if "uncontrolled" in twin.what]
    assert len(uncontrolled) == 4
    for twin in uncontrolled:
        assert twin.factor < 1.1, twin.what
    gated = [twin for twin in twins if "gate for" in twin.what]
    assert len(gated) == 4
    assert all(twin.predicted < twin.measured for twin in gated)


def test_a_gated_process_is_predicted_by_its_own_pace_without_service() -> None:
    like = _like_conditions()
    faster = {key: 2.0 if key == (0.005, True) else 1.0 for key in like.alone}
    alone = {key: factor * like.alone[key] for key, factor in faster.items()}
    for before, after in _paces_of(like, replace(like, alone=alone)):
        is_faster = "steps of 5 ms, gate" in before.what
        expected = (2.0 if is_faster else 1.0) * before.predicted
        assert after.predicted == pytest.approx(expected, rel=0.15), after.what


def test_steps_between_pauses_are_as_slow_as_those_of_the_condition_with_pauses() -> None:
    """Half of the steps in the same processor time, beside the gate with steps of 30 ms alone."""
    like = _like_conditions()
    slower = {**like.beside, (0.03, True): [block(ALONE + WAITS, steps=120)]}
    for before, after in _paces_of(like, replace(like, beside=slower)):
        expected = (0.5 if "gate for" in before.what else 1.0) * before.predicted
        assert after.predicted == pytest.approx(expected, rel=0.1), after.what


def _paces_of(before: Real, after: Real) -> list[tuple[Twin, Twin]]:
    both = zip(compare(before), compare(after), strict=True)
    return [(one, other) for one, other in both if one.what.startswith("pace")]


def _like_conditions() -> Real:
    paces = {0.03: 30.0, 0.005: 200.0, 0.2: 5.0}
    keys = [(step_s, gated) for step_s in paces for gated in (False, True)]
    return Real(
        budget_s=0.004,
        off=[block(ALONE)],
        alone={(step_s, gated): paces[step_s] for step_s, gated in keys},
        beside={k: [block(ALONE + WAITS, steps=int(8 * paces[k[0]]))] for k in keys},
    )

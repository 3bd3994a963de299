"""A plan is checked where it is made, a profile knows the pace it really keeps."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from deepedge_flwr.core.types import DeviceProfile, TrainPlan


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_steps": 0}, "num_steps must be >= 1, got 0"),
        ({"num_steps": 1, "model_version": -1}, "model_version must be >= 0, got -1"),
        ({"num_steps": 1, "deadline_s": 0.0}, "deadline_s must be > 0 or None, got 0.0"),
        ({"num_steps": 1, "deadline_s": float("nan")}, "deadline_s must be > 0 or None, got nan"),
        (
            {"num_steps": 1, "latency_budget_s": -1.0},
            "latency_budget_s must be > 0 or None, got -1",
        ),
    ],
)
def test_a_plan_out_of_range_is_an_error(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainPlan(**fields)


def test_the_smallest_plan_is_one_ungated_step_without_a_deadline() -> None:
    plan = TrainPlan(num_steps=1)
    assert (plan.model_version, plan.deadline_s, plan.latency_budget_s) == (0, None, None)


def test_a_plan_cannot_be_changed_after_it_was_sent() -> None:
    plan = TrainPlan(num_steps=1)
    with pytest.raises(FrozenInstanceError):
        plan.num_steps = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("step_time_s", "pause_fraction", "pace_s"),
    [(None, 0.0, None), (2.0, 0.0, 2.0), (2.0, 0.5, 4.0), (3.0, 0.75, 12.0)],
)
def test_the_pace_of_a_node_includes_its_pauses(
    step_time_s: float | None, pause_fraction: float, pace_s: float | None
) -> None:
    profile = DeviceProfile(node_id=1, step_time_s=step_time_s, pause_fraction=pause_fraction)
    assert profile.pace_s == pace_s

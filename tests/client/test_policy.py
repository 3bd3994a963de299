"""What a node's owner allows."""

import sys
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from deepedge_flwr.client.policy import NodePolicy
from deepedge_flwr.client.threads import limited_threads
from deepedge_flwr.core.types import TrainPlan
from deepedge_flwr.core.window import TrainWindow


def latencies() -> list[float]:
    """A probe."""
    return [0.1]


def test_all_of_it() -> None:
    config = {
        "device-id": "press-4",
        "latency-budget-ms": 20,
        "latency-probe": f"{__name__}:latencies",
        "train-window": "22:00-06:00",
        "max-threads": 2,
        "max-duty": 0.5,
        "isolation": "off",
        "partition-id": 3,
    }
    policy = NodePolicy.of(config)
    assert policy.probe is not None and list(policy.probe()) == [0.1]
    assert policy == NodePolicy(
        device_id="press-4",
        latency_budget_s=0.02,
        probe=policy.probe,
        train_window=TrainWindow(((22 * 3600, 6 * 3600),)),
        max_threads=2,
        max_duty=0.5,
        isolation=False,
    )


def test_nothing_of_it() -> None:
    assert NodePolicy.of({"partition-id": 3}) == NodePolicy()


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("latency-budget-ms", 0, "must be a number > 0, got 0"),
        ("latency-budget-ms", "20", "must be a number > 0, got '20'"),
        ("latency-probe", "nothing", r"must be .*module:function, got 'nothing'"),
        ("latency-probe", "math:nothing", r"must be .*module:function, got 'math:nothing'"),
        ("latency-probe", "math:pi", r"it cannot be called"),
        ("latency-quantile", 1.0, r"must be a number in \[0.5, 1\), got 1.0"),
        ("latency-quantile", 99, r"must be a number in \[0.5, 1\), got 99"),
        ("probe-silence-s", 0, "must be a number > 0, got 0"),
        ("on-probe-failure", "ignore", "must be 'stop' or 'train', got 'ignore'"),
        ("train-window", "night", "must be ranges of the day like 22:00-06:00"),
        ("max-threads", 0, "must be an integer >= 1, got 0"),
        ("max-threads", 1.5, "must be an integer >= 1, got 1.5"),
        ("max-threads", True, "must be an integer >= 1, got True"),
        ("max-duty", 0.0, r"must be a number in \(0, 1\], got 0.0"),
        ("isolation", "idle", "must be 'on' or 'off', got 'idle'"),
        ("max-duty", 50, r"must be a number in \(0, 1\], got 50"),
    ],
)
def test_a_bad_value_is_named(key: str, value: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"node config {key} .*{rule}"):
        NodePolicy.of({key: value})


def test_the_owner_s_budget_and_quantile_win_over_the_plan_s() -> None:
    plan = TrainPlan(num_steps=3, latency_budget_s=1.0, latency_quantile=0.9)
    assert NodePolicy().applied_to(plan) == plan
    own = NodePolicy.of({"latency-budget-ms": 20, "latency-quantile": 0.999})
    expected = TrainPlan(num_steps=3, latency_budget_s=0.02, latency_quantile=0.999)
    assert own.applied_to(plan) == expected


@pytest.mark.parametrize("config", [{"latency-budget-ms": 20}, {"max-duty": 0.5}])
def test_it_holds_where_no_plan_is_sent(config: dict[str, Any]) -> None:
    plan = NodePolicy.of(config).applied_to(None)
    assert plan is not None and plan.num_steps == sys.maxsize
    assert NodePolicy.of({"max-threads": 1}).applied_to(None) is None


def test_a_dead_probe_stops_training_unless_the_owner_says_otherwise() -> None:
    assert NodePolicy().on_probe_failure == "stop"
    policy = NodePolicy.of({"on-probe-failure": "train", "probe-silence-s": 60})
    assert (policy.on_probe_failure, policy.probe_silence_s) == ("train", 60.0)


def test_threads_are_capped_and_given_back() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    before = [pool["num_threads"] for pool in threadpool_info()]
    with limited_threads(1):
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    with limited_threads(None):
        assert [pool["num_threads"] for pool in threadpool_info()] == before
    assert [pool["num_threads"] for pool in threadpool_info()] == before

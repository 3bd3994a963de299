"""The figures of a run in closed form, off a ledger written by hand."""

from collections.abc import Collection

import numpy as np
import pytest
from flwr.app import ArrayRecord

from deepedge_flwr.layout import model_sha256
from deepedge_flwr.simulation import RunLedger
from simulations.configuration import compose_config
from simulations.summary import Summary, summarise, task_name

MODEL = ArrayRecord([np.arange(3.0)])
ACCURACIES = (0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0)


def summary(target: float = 0.5, discarded: Collection[str] = ()) -> Summary:
    ledger = RunLedger()
    ledger.add(0.0, "dispatch", node_id=1, message_id="a", bytes_down=100)
    ledger.add(0.0, "dispatch", node_id=2, message_id="b", bytes_down=100)
    ledger.add(1.0, "compute", node_id=1, message_id="a", value=3.0)
    ledger.add(4.0, "pause", node_id=1, message_id="a", value=2.0)
    ledger.add(0.0, "idle", node_id=1, num_requests=10, num_violations=0, value=1.0)
    ledger.add(65.0, "reply", node_id=1, message_id="a", bytes_up=40, staleness=3,
               num_requests=30, num_violations=4)  # fmt: skip
    ledger.add(8.0, "error", node_id=2, message_id="b", bytes_up=0)
    for i, accuracy in enumerate(ACCURACIES):
        ledger.add(10.0 * (i + 1), "evaluate", version=i, value=accuracy)
    config = compose_config(["num_nodes=2", "horizon_s=70", "service=control_loop", "seed=9"])
    return summarise(
        config,
        ledger,
        target,
        num_versions=5,
        model=MODEL,
        device_time_s=140.0,
        discarded=discarded,
    )


def test_accuracies_are_means_of_five() -> None:
    assert summary().final_accuracy == pytest.approx(0.6)
    assert summary().best_accuracy == pytest.approx(0.6)


def test_time_and_bytes_to_target() -> None:
    assert (summary(0.5).time_to_target_s, summary(0.5).bytes_to_target) == (60.0, 200)
    assert (summary(0.6).time_to_target_s, summary(0.6).bytes_to_target) == (70.0, 240)
    assert (summary(0.7).time_to_target_s, summary(0.7).bytes_to_target) == (None, None)


def test_counts_bytes_and_shares() -> None:
    got = summary()
    assert (got.num_versions, got.num_updates, got.mean_staleness) == (5, 1, 3.0)
    assert (got.bytes_up, got.bytes_down, got.bytes_wasted) == (40, 200, 100)
    assert (got.num_requests, got.num_violations, got.violation_rate) == (40, 4, 0.1)
    assert got.utilisation == 3.0 / 140
    assert got.model_sha256 == model_sha256(MODEL)


def test_a_discarded_reply_is_waste_and_no_update() -> None:
    got = summary(discarded={"a"})
    assert (got.num_updates, got.bytes_wasted) == (0, 100 + 100 + 40)


def test_names_come_from_the_configuration() -> None:
    got = summary()
    names = (got.strategy, got.task, got.fleet, got.service, got.engine, got.seed)
    assert names == ("deepedge", "digits dirichlet 0.5", "x16", "control_loop", "inprocess", 9)
    assert (got.label, got.latency_budget_s) == ("DeepEdge", 0.02)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("digits", "digits dirichlet 0.5"),
        ("digits_correlated", "digits speed-correlated 0.5"),
        ("synthetic_1", "synthetic 1.0, 1.0"),
    ],
)
def test_a_task_is_named_with_its_skew(task: str, name: str) -> None:
    assert task_name(compose_config([f"task={task}"])) == name

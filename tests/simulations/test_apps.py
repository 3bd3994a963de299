"""The experiments' ClientApp does the local SGD that the task defines, planned or not."""

from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from deepedge_flwr.core.types import TrainPlan
from deepedge_flwr.records import get_telemetry, put_plan
from deepedge_flwr.simulation import InProcessGrid
from simulations.apps import Epoch, build_client_app, load_model
from simulations.tasks.task import Task, train

SEED, NUM_STEPS = 3, 4


@cache
def toy() -> Task:
    rng = np.random.default_rng((0, 1))
    inputs = rng.normal(size=(12, 4)).astype(np.float32)
    labels = rng.integers(3, size=12)
    return Task(
        name="toy",
        node_inputs=(inputs[:5], inputs[5:]),
        node_labels=(labels[:5], labels[5:]),
        test_inputs=inputs,
        test_labels=labels,
        hidden=(3,),
        num_classes=3,
        learning_rate=0.1,
        batch_size=2,
        target_accuracy=0.9,
    )


@pytest.fixture
def grid() -> InProcessGrid:
    return InProcessGrid(build_client_app(toy, NUM_STEPS, SEED), 2)


def message(
    node_id: int,
    plan: TrainPlan | None = None,
    index: int = 0,
    kind: str = "train",
    proximal_mu: float = 0.0,
) -> Message:
    record = put_plan(ConfigRecord({"proximal-mu": proximal_mu}), plan, index)
    arrays = ArrayRecord(toy().build_model(SEED).state_dict())
    return Message(RecordDict({"arrays": arrays, "config": record}), node_id, kind)


def ask(grid: InProcessGrid, sent: Message) -> RecordDict:
    (reply,) = grid.send_and_receive([sent])
    return reply.content


def trained(num_steps: int, node: int, index: int, mu: float = 0.0) -> tuple[dict[str, Any], float]:
    """Return what the task's own training makes of the same batches."""
    model = toy().build_model(SEED)
    batches = islice(toy().batches(node, SEED, index), num_steps)
    loss = train(model, batches, toy().learning_rate, mu)
    return {name: value.numpy() for name, value in model.state_dict().items()}, loss


def assert_same(content: RecordDict, expected: dict[str, Any]) -> None:
    (arrays,) = content.array_records.values()
    assert list(arrays) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name].numpy(), value)


def test_an_epoch_goes_on_where_it_stopped() -> None:
    stream = ((torch.tensor(i), torch.tensor(0)) for i in range(100))
    epoch = Epoch(stream, 3)
    assert [int(inputs) for inputs, _ in epoch] == [0, 1, 2]
    assert [int(inputs) for inputs, _ in epoch] == [3, 4, 5]


@pytest.mark.parametrize(("node", "index"), [(0, 0), (1, 0), (0, 5)])
def test_without_a_plan_it_takes_its_own_steps(grid: InProcessGrid, node: int, index: int) -> None:
    content = ask(grid, message(node + 1, index=index))
    expected, loss = trained(NUM_STEPS, node, index)
    assert_same(content, expected)
    metrics = content.metric_records["metrics"]
    assert metrics["num-examples"] == len(toy().node_labels[node])
    assert metrics["train-loss"] == loss
    assert get_telemetry(content) is None


@pytest.mark.parametrize("num_steps", [1, NUM_STEPS, 11])
def test_a_plan_sets_the_steps_on_the_same_stream(grid: InProcessGrid, num_steps: int) -> None:
    content = ask(grid, message(1, TrainPlan(num_steps=num_steps)))
    assert_same(content, trained(num_steps, 0, 0)[0])
    telemetry = get_telemetry(content)
    assert telemetry is not None
    assert telemetry.num_steps == num_steps


def test_batches_of_a_stock_strategy_follow_its_round(grid: InProcessGrid) -> None:
    sent = message(1)
    del sent.content.config_records["config"]["deepedge.dispatch-index"]
    sent.content.config_records["config"]["server-round"] = 5
    assert_same(ask(grid, sent), trained(NUM_STEPS, 0, 5)[0])


def test_the_proximal_term_of_fedprox(grid: InProcessGrid) -> None:
    content = ask(grid, message(2, proximal_mu=0.5))
    assert_same(content, trained(NUM_STEPS, 1, 0, mu=0.5)[0])


def test_one_call_does_not_leak_into_the_next(grid: InProcessGrid) -> None:
    ask(grid, message(2, index=9))
    assert_same(ask(grid, message(1)), trained(NUM_STEPS, 0, 0)[0])


def test_a_loaded_model_has_the_weights_and_is_overwritten_by_the_next() -> None:
    first, second = (toy().build_model(seed).state_dict() for seed in (1, 2))
    loaded = load_model(toy(), ArrayRecord(first))
    assert all(torch.equal(value, first[name]) for name, value in loaded.state_dict().items())
    assert load_model(toy(), ArrayRecord(second)) is loaded
    assert all(torch.equal(value, second[name]) for name, value in loaded.state_dict().items())


def test_evaluation_is_the_accuracy_on_the_nodes_own_examples(grid: InProcessGrid) -> None:
    content = ask(grid, message(2, kind="evaluate"))
    model = toy().build_model(SEED)
    predicted = model(torch.tensor(toy().node_inputs[1])).argmax(dim=1).numpy()
    metrics = content.metric_records["metrics"]
    assert metrics["num-examples"] == 7
    assert metrics["accuracy"] == pytest.approx(np.mean(predicted == toy().node_labels[1]))

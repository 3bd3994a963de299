"""Unmodified apps of the kind that Flower's users have, and Flower's own client mods."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import (
    LocalDpMod,
    adaptiveclipping_mod,
    arrays_size_mod,
    fixedclipping_mod,
    message_size_mod,
)
from flwr.clientapp.typing import Mod
from flwr.serverapp.strategy import Result
from numpy.typing import NDArray

from deepedge_flwr import CA2FL, DeepEdge, DeepEdgeMod, FedAsync, FedBuff, FedCompass, FedNova
from deepedge_flwr.simulation import InProcessGrid, VirtualGrid, build_fleet, speed_classes
from deepedge_flwr.strategy.async_strategy import AsyncStrategy
from deepedge_flwr.strategy.exchange import Accepted
from tests.integration import quickstart_pytorch, quickstart_sklearn
from tests.numpy_app import INSTANT, arrays, deepedge_mod, fleet, follow_target, vector

NUM_NODES = 5
ENDS = ("reply", "answer", "error", "late", "lost", "unfinished")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quickstart:
    """An app, its first model, and the accuracy of a model on the server."""

    app: Callable[[Sequence[Mod]], ClientApp]
    initial: Callable[[], ArrayRecord]
    accuracy: Callable[[ArrayRecord], float]


def pytorch(net: type[torch.nn.Module]) -> Quickstart:
    def accuracy(record: ArrayRecord) -> float:
        model = net()
        model.load_state_dict(record.to_torch_state_dict())
        return quickstart_pytorch.test(model)[1]

    return Quickstart(
        app=lambda mods: quickstart_pytorch.client_app(net, mods),
        initial=lambda: ArrayRecord(net().state_dict()),
        accuracy=accuracy,
    )


def sklearn_accuracy(record: ArrayRecord) -> float:
    model = quickstart_sklearn.get_model(1)
    quickstart_sklearn.set_model_params(model, record.to_numpy_ndarrays())
    return quickstart_sklearn.test(model)[1]


APPS = {
    "cnn": pytorch(quickstart_pytorch.Net),
    "batch_norm": pytorch(quickstart_pytorch.NormalisedNet),
    "sklearn": Quickstart(
        app=quickstart_sklearn.client_app,
        initial=lambda: ArrayRecord(quickstart_sklearn.initial_params()),
        accuracy=sklearn_accuracy,
    ),
}
# strategy -> (how it is made, versions for some 60 updates)
STRATEGIES: dict[str, tuple[Callable[..., AsyncStrategy], int]] = {
    "deepedge": (DeepEdge, 30),
    "fedbuff": (lambda **options: FedBuff(buffer_size=2, **options), 30),
    "fedasync": (FedAsync, 60),
    "ca2fl": (lambda **options: CA2FL(buffer_size=4, **options), 15),
    "fednova": (FedNova, 12),
    "fedcompass": (FedCompass, 25),
}
PLANS_STEPS = ("deepedge", "fednova", "fedcompass")


@pytest.fixture(autouse=True)
def same_numbers() -> Iterator[None]:
    """The quickstarts shuffle, and Flower's noise is drawn, with the global generators."""
    torch.manual_seed(0)
    np.random.seed(0)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of models this small, more threads only wait for each other
    yield
    torch.set_num_threads(num_threads)


def train(quickstart: Quickstart, strategy: str, mods: Sequence[Mod]) -> tuple[Any, Result, float]:
    """Run a quickstart; return the strategy, its result, and the accuracy of the first model."""
    make, num_rounds = STRATEGIES[strategy]
    made = make(fraction_evaluate=0.4, evaluate_every=num_rounds)
    devices = build_fleet(speed_classes(NUM_NODES, 0.1, 4), INSTANT)
    grid = VirtualGrid(InProcessGrid(quickstart.app(mods), NUM_NODES), devices, follows_plans=False)
    initial = quickstart.initial()
    config = ConfigRecord({"lr": 0.05, "local-epochs": 2})
    result = made.start(grid, initial, num_rounds=num_rounds, train_config=config)
    grid.close()
    # Every message has ended, and once; none failed.
    sent = Counter(row.message_id for row in grid.ledger.of("dispatch"))
    assert Counter(row.message_id for row in grid.ledger.of(*ENDS)) == sent
    assert grid.ledger.count("error") == grid.ledger.count("lost") == 0
    # FedCompass takes a node that does not do the steps it is told for a late one; it still counts.
    counts = made._exchange.events.counts
    assert set(counts) <= ({"failed", "expired"} if strategy == "fedcompass" else set())
    assert counts["failed"] == counts["expired"]
    return made, result, quickstart.accuracy(initial)


def assert_trained(quickstart: Quickstart, strategy: str, result: Result, before: float) -> None:
    initial = quickstart.initial()
    assert {k: (a.dtype, a.shape) for k, a in result.arrays.items()} == {
        k: (a.dtype, a.shape) for k, a in initial.items()
    }
    assert all(np.all(np.isfinite(array.numpy())) for array in result.arrays.values())
    assert quickstart.accuracy(result.arrays) > max(0.6, before)
    # The nodes' own evaluation, of the same model on the same images.
    (metrics,) = result.evaluate_metrics_clientapp.values()
    assert metrics["eval_acc"] == pytest.approx(quickstart.accuracy(result.arrays))


@pytest.mark.parametrize("mods", [(), (DeepEdgeMod(),)], ids=["without_mod", "mod_alone"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("app", APPS)
def test_an_unmodified_app_trains(
    app: str, strategy: str, mods: Sequence[Mod], caplog: pytest.LogCaptureFixture
) -> None:
    """The mod alone, without `local_steps` in the loop, changes nothing."""
    _, result, before = train(APPS[app], strategy, mods)
    assert_trained(APPS[app], strategy, result, before)
    told = [r.getMessage() for r in caplog.records if "sent no telemetry" in r.getMessage()]
    assert len(told) == (strategy in PLANS_STEPS)
    assert all("DeepEdgeMod" in text and "local_steps" in text for text in told)


def test_normalisation_layers_keep_their_statistics() -> None:
    """Counters neither hide how little the updates agree, nor do variances become negative."""
    deepedge, result, _ = train(APPS["batch_norm"], "deepedge", [])
    assert np.all(result.arrays["norm.running_var"].numpy() > 0)
    assert result.arrays["norm.num_batches_tracked"].numpy() > 0
    assert deepedge._agreement.value < 0.9


# Flower's client mods -----------------------------------------------------------------------

CLIPPING_NORM = 0.01
NOISE = {"sensitivity": 0.1, "epsilon": 2.0, "delta": 1e-5}
NOISE_DEVIATION = 0.1 * math.sqrt(2 * math.log(1.25e5)) / 2.0
MODS: dict[str, Mod] = {
    "fixed": fixedclipping_mod,
    "adaptive": adaptiveclipping_mod,
    "noise": LocalDpMod(clipping_norm=1e9, **NOISE),
    "arrays_size": arrays_size_mod,
    "message_size": message_size_mod,
}


class Watched(DeepEdge):
    """DeepEdge that keeps what it accepts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._seen: list[Accepted] = []

    def learn(self, accepted: Accepted, now_s: float) -> None:
        self._seen.append(accepted)
        super().learn(accepted, now_s)


def run_with(
    mods: Sequence[Mod], size: int = 4, **config: float
) -> tuple[Watched, Result, VirtualGrid]:
    """Let four nodes with our mod and others move a model half way to 1 in every local step."""
    app = follow_target([1.0] * 4, num_steps=3, mods=mods)
    # The grid compares every report with what its device really did.
    grid = VirtualGrid(InProcessGrid(app, 4), fleet(1.0, 1.0, 2.0, 3.0))
    strategy = Watched()
    result = strategy.start(
        grid, arrays([0.0] * size), 8, timeout=100, train_config=ConfigRecord({**config})
    )
    grid.close()
    return strategy, result, grid


def unclipped(accepted: Accepted) -> NDArray[np.float64]:
    """What the app's local steps make of the model it was sent, in closed form."""
    assert accepted.telemetry is not None
    return (1 - 0.5**accepted.telemetry.num_steps) * (1.0 - accepted.update.base)


def in_order(name: str, order: str) -> list[Mod]:
    mods = [MODS[name], deepedge_mod()]
    return mods if order == "before_ours" else mods[::-1]


@pytest.mark.parametrize("order", ["before_ours", "after_ours"])
@pytest.mark.parametrize("name", MODS)
def test_flower_s_mods_work_around_and_inside_ours(name: str, order: str) -> None:
    config = {"clipping_norm": CLIPPING_NORM} if name in ("fixed", "adaptive") else {}
    strategy, result, grid = run_with(in_order(name, order), **config)
    assert not strategy._exchange.events.counts
    assert strategy.version == 8
    # A reply of the very instant of the last version is not looked at any more.
    assert grid.ledger.count("reply") - 1 <= len(strategy._seen) > 8
    for accepted in strategy._seen:
        assert accepted.telemetry is not None
        assert accepted.telemetry.num_steps == accepted.update.num_steps
        delta, expected = accepted.update.delta, unclipped(accepted)
        if name in ("fixed", "adaptive"):
            assert np.linalg.norm(expected) > 2 * CLIPPING_NORM
            assert np.linalg.norm(delta) == pytest.approx(CLIPPING_NORM)
        elif name != "noise":
            assert delta == pytest.approx(expected)
    bits = [metrics.get("norm_bit") for metrics in result.train_metrics_clientapp.values()]
    assert bits == [pytest.approx(1.0) if name == "adaptive" else None] * 8


@pytest.mark.parametrize("order", ["before_ours", "after_ours"])
def test_local_differential_privacy_really_adds_its_noise(order: str) -> None:
    strategy, _, _ = run_with(in_order("noise", order), size=1000)
    for accepted in strategy._seen:
        noise = accepted.update.delta - unclipped(accepted)
        assert np.std(noise) == pytest.approx(NOISE_DEVIATION, rel=0.1)
        assert abs(np.mean(noise)) < 5 * NOISE_DEVIATION / math.sqrt(1000)


@pytest.mark.parametrize("order", ["before_ours", "after_ours"])
@pytest.mark.parametrize("name", ["fixed", "adaptive"])
def test_a_clipping_mod_needs_its_norm_in_the_train_config(name: str, order: str) -> None:
    strategy, result, _ = run_with(in_order(name, order))
    assert strategy.version == 0
    assert vector(result.arrays) == [0.0] * 4
    events = strategy._exchange.events.counts
    assert events["failed"] >= 4
    assert "error 6" in strategy._exchange.last_failure
    assert "requires the key 'clipping_norm'" in strategy._exchange.last_failure


@pytest.mark.parametrize("name", ["fixed", "adaptive", "noise"])
def test_privacy_mods_take_a_model_with_a_counter(name: str) -> None:
    """Flower clips a normalisation layer's counter as if it were a weight."""
    app = APPS["batch_norm"].app([MODS[name], DeepEdgeMod()])
    grid = VirtualGrid(InProcessGrid(app, 2), fleet(1.0, 2.0), follows_plans=False)
    strategy = DeepEdge()
    config = ConfigRecord({"lr": 0.05, "local-epochs": 1, "clipping_norm": 100.0})
    strategy.start(grid, APPS["batch_norm"].initial(), 3, train_config=config)
    assert not strategy._exchange.events.counts
    assert strategy.version == 3


# Apps that misbehave ------------------------------------------------------------------------


def without_examples(message: Message, content: RecordDict) -> Message:
    content["metrics"] = MetricRecord({"loss": 1.0})
    return Message(content, reply_to=message)


def with_more_metrics(message: Message, content: RecordDict) -> Message:
    content["more"] = MetricRecord({"loss": 1.0})
    return Message(content, reply_to=message)


def without_arrays(message: Message, content: RecordDict) -> Message:
    del content["arrays"]
    return Message(content, reply_to=message)


def raising(message: Message, content: RecordDict) -> Message:
    raise RuntimeError("CUDA out of memory")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("misbehave", "reason"),
    [
        (without_examples, "the reply's metrics lack 'num-examples'"),
        (with_more_metrics, "the reply has 2 MetricRecords, it must have at most one"),
        (without_arrays, "the reply has 0 ArrayRecords, it must have exactly one"),
        (raising, "RuntimeError: CUDA out of memory"),
    ],
)
def test_a_node_whose_app_misbehaves_is_an_event(
    misbehave: Callable[[Message, RecordDict], Message], reason: str, strategy: str
) -> None:
    def reply(message: Message, content: RecordDict) -> Message:
        if message.metadata.dst_node_id == 2:
            return misbehave(message, content)
        return Message(content, reply_to=message)

    # Node 2 pulls to 100, all others to 1.
    app = follow_target([1.0, 100.0, 1.0, 1.0, 1.0], reply=reply)
    devices = fleet(*[1.0] * NUM_NODES)
    grid = VirtualGrid(InProcessGrid(app, NUM_NODES), devices, follows_plans=False)
    make, num_rounds = STRATEGIES[strategy][0], 2 * STRATEGIES[strategy][1]
    made = make()
    result = made.start(grid, arrays([0.0]), num_rounds)
    assert made.version == num_rounds
    assert 0.8 < vector(result.arrays)[0] < 1.1
    assert set(made._exchange.events._failures) == {2}
    assert made._exchange.last_failure.startswith("node 2: ")
    assert reason in made._exchange.last_failure

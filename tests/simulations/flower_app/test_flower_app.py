"""The Flower app: its parts, and all of it on a grid in this process."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.serverapp.strategy import FedAvg

from deepedge_flwr import DeepEdge
from deepedge_flwr.simulation import InProcessGrid
from simulations.flower_app.deepedge_app import client_app, data, perceptron, server_app

FOLDER = Path(client_app.__file__).parents[1]


def run_config(**changes: Any) -> dict[str, Any]:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = project["tool"]["flwr"]["app"]["config"]
    assert not changes.keys() - found.keys()
    return {**found, **changes}


def write(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_the_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    parts = [data.load_test(data.DIGITS, 0)]
    parts += [data.load_partition(i, 4, 0) for i in range(4)]
    assert sum(len(part.labels) for part in parts) == len(digits)
    rows = np.concatenate([np.c_[part.inputs * 16, part.labels] for part in parts])
    expected = np.c_[pixels, digits]
    assert sorted(map(tuple, rows)) == sorted(map(tuple, expected.astype(np.float32)))


def test_a_partition_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"node config partition-id must be in 0\.\.3, got 4"):
        data.load_partition(4, 4, 0)


@pytest.mark.parametrize("num_partitions", [1, 30, 300])
def test_no_node_is_without_examples(num_partitions: int) -> None:
    sizes = [len(data.load_partition(i, num_partitions, 1).labels) for i in range(num_partitions)]
    assert min(sizes) > 0


def test_a_file_of_arrays(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", inputs=np.ones((3, 2)), labels=[0, 1, 0])
    examples = data.load_file(path)
    assert examples.inputs.dtype == np.float32 and examples.labels.tolist() == [0, 1, 0]
    assert data.load_test(path, 0).labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.ones((3, 2))}, "with `inputs` and `labels`"),
        ({"inputs": np.ones((3, 2)), "labels": [0]}, r"got \(3, 2\) and \(1,\)"),
        ({"inputs": np.ones((0, 2)), "labels": []}, r"got \(0, 2\)"),
        ({"inputs": np.array([[{}]], object), "labels": [0]}, "with `inputs` and `labels`"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        data.load_file(write(tmp_path / "x.npz", **arrays))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data must be 'digits' or an .npz file.*missing\.npz"):
        data.load_file(str(tmp_path / "missing.npz"))


def test_a_step_follows_the_gradient() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((5, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 1, 0])
    weights = perceptron.initial_weights(3, 4, 3, 0)
    exact = {name: values.astype(np.float64) for name, values in weights.items()}

    def loss_of(changed: dict[str, Any]) -> float:
        return perceptron.step({n: w.copy() for n, w in changed.items()}, inputs, labels, 0.0)

    before = {name: values.copy() for name, values in exact.items()}
    perceptron.step(exact, inputs, labels, 1.0)
    for name, values in before.items():
        place = np.unravel_index(values.size // 2, values.shape)
        shifted = {n: w.copy() for n, w in before.items()}
        shifted[name][place] += 1e-5
        slope = (loss_of(shifted) - loss_of(before)) / 1e-5
        assert before[name][place] - exact[name][place] == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize(("strategy", "least"), [("deepedge", 0.9), ("fedavg", 0.8)])
def test_it_trains(strategy: str, least: float, caplog: pytest.LogCaptureFixture) -> None:
    config = run_config(strategy=strategy)
    config["num-server-rounds"], config["min-nodes"] = 40, 4
    grid = InProcessGrid(client_app.app, 4, run_config=config)
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=config)
    server_app.app(grid, context)
    lines = [r.getMessage() for r in caplog.records if "accuracy" in r.getMessage()]
    assert float(lines[-1].rsplit(":", 1)[1].strip(" {}'")) > least


def test_its_options_reach_the_strategy() -> None:
    strategy = server_app.build_strategy(
        run_config()
        | {"latency-budget-ms": 20.0, "buffer-size": 3, "checkpoint-dir": "state", "trim": 0.3}
    )
    assert isinstance(strategy, DeepEdge)
    assert (strategy.latency_budget_s, strategy.buffer_size, strategy.trim) == (0.02, 3, 0.3)
    assert strategy.checkpoint_dir == "state"
    plain = server_app.build_strategy(run_config())
    assert isinstance(plain, DeepEdge)
    assert (plain.latency_budget_s, plain.buffer_size, plain.checkpoint_dir) == (None, None, None)
    assert (plain.memory, plain.memory_bytes) == (DeepEdge().memory, DeepEdge().memory_bytes)
    forgetful = server_app.build_strategy(run_config() | {"memory-bytes": 0})
    assert isinstance(forgetful, DeepEdge)
    assert forgetful.memory == 0.0
    assert isinstance(server_app.build_strategy(run_config(strategy="fedavg")), FedAvg)
    with pytest.raises(ValueError, match="must be 'deepedge' or 'fedavg', got 'fedprox'"):
        server_app.build_strategy(run_config(strategy="fedprox"))


@pytest.mark.parametrize(
    ("key", "value", "least"),
    [("partition-id", "a", 0), ("num-partitions", 0, 1), ("work-factor", 1.5, 1)],
)
def test_a_node_s_bad_value_is_named(key: str, value: Any, least: int) -> None:
    config = run_config()
    node = {"partition-id": 0, "num-partitions": 1, key: value}
    context = Context(run_id=1, node_id=1, node_config=node, state=RecordDict(), run_config=config)
    weights = perceptron.initial_weights(64, 2, 10, 0)
    arrays = ArrayRecord({name: Array(values) for name, values in weights.items()})
    content = RecordDict({"arrays": arrays, "config": ConfigRecord()})
    named = f"node config {key} must be an integer >= {least}, got {value!r}: give it without"
    with pytest.raises(ValueError, match=named):
        client_app.train(Message(content, 1, "train"), context)


def test_only_what_the_app_needs_is_in_its_folder() -> None:
    files = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.suffix != ".pyc"}
    assert {f for f in files if "." in f and "__pycache__" not in f} == {
        "pyproject.toml",
        *(f"deepedge_app/{n}.py" for n in ("__init__", "client_app", "data", "perceptron")),
        "deepedge_app/server_app.py",
    }

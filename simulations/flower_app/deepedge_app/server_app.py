"""The ServerApp: DeepEdge, or Flower's FedAvg for comparison."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy

from deepedge_flwr import DeepEdge
from deepedge_flwr.core.clock import WallClock
from deepedge_flwr.strategy.monitor import MetricsFile

from .data import load_test
from .perceptron import accuracy, initial_weights

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for `num-server-rounds`, and evaluate every model on the server."""
    run = context.run_config
    test = load_test(str(run["data"]), int(run["seed"]))
    num_classes = int(test.labels.max()) + 1
    weights = initial_weights(
        test.inputs.shape[1], int(run["hidden-units"]), num_classes, int(run["seed"])
    )

    strategy, path = build_strategy(run), str(run["metrics-file"])
    # DeepEdge writes its own.
    file = MetricsFile(path) if path and not isinstance(strategy, DeepEdge) else None

    def evaluate(version: int, arrays: ArrayRecord) -> MetricRecord:
        model = {name: np.asarray(array.numpy()) for name, array in arrays.items()}
        metrics = {"accuracy": accuracy(model, test)}
        if file is not None:
            file.show("evaluation", WallClock().epoch_s(), {"version": version, **metrics})
        return MetricRecord({**metrics})

    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({name: Array(values) for name, values in weights.items()}),
        num_rounds=int(run["num-server-rounds"]),
        timeout=float(run["timeout-s"]),
        evaluate_fn=evaluate,
    )


def build_strategy(run: Mapping[str, Any]) -> Strategy:
    """Return the strategy that the run's configuration asks for.

    Raises
    ------
    ValueError
        If there is no such strategy, or an option of it is out of range.
    """
    min_nodes, fraction = int(run["min-nodes"]), float(run["fraction-evaluate"])
    if run["strategy"] == "fedavg":
        return FedAvg(
            fraction_evaluate=fraction,
            min_available_nodes=min_nodes,
            min_train_nodes=min_nodes,
            min_evaluate_nodes=min_nodes if fraction else 0,
        )
    if run["strategy"] != "deepedge":
        raise ValueError(f"strategy must be 'deepedge' or 'fedavg', got {run['strategy']!r}")
    return DeepEdge(
        min_available_nodes=min_nodes,
        fraction_evaluate=fraction,
        evaluate_every=int(run["evaluate-every"]),
        latency_budget_s=_unless_zero(float(run["latency-budget-ms"]) / 1000),
        buffer_size=_unless_zero(int(run["buffer-size"])),
        server_learning_rate=_unless_zero(float(run["server-learning-rate"])),
        max_steps=_unless_zero(int(run["max-steps"])),
        memory=None if run["memory-bytes"] else 0.0,
        memory_bytes=int(run["memory-bytes"]) or 1,
        outstanding=int(run["outstanding"]),
        combine=str(run["combine"]),
        trim=float(run["trim"]),
        checkpoint_dir=_unless_zero(str(run["checkpoint-dir"])),
        checkpoint_every=int(run["checkpoint-every"]),
        metrics_file=_unless_zero(str(run["metrics-file"])),
        prometheus_port=_unless_zero(int(run["prometheus-port"])),
    )


def _unless_zero(value: Any) -> Any:
    """Return None for 0 and "": a run configuration cannot hold it."""
    return value or None

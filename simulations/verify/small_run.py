"""A run of seconds to be killed: `python -m simulations.verify.small_run FOLDER VERSIONS`.

It goes on from the checkpoints in the folder, says so when a version is published, and ends with
its fingerprint. Its clients are NumPy alone: a process that is killed often must start fast.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

import deepedge_flwr
from deepedge_flwr import DeepEdgeMod, local_steps
from deepedge_flwr.layout import model_sha256
from deepedge_flwr.records import DISPATCH_INDEX, get_config, records_of
from deepedge_flwr.simulation import (
    NO_FAULTS,
    FaultPlan,
    InProcessGrid,
    LinkSpec,
    Presence,
    VirtualGrid,
    build_fleet,
    simulated_device,
    speed_classes,
)
from deepedge_flwr.strategy import AsyncStrategy

NUM_NODES, NUM_FEATURES, NUM_CLASSES = 8, 20, 5
_LINK = LinkSpec(uplink_bytes_per_s=1e4, downlink_bytes_per_s=1e4, uplink_latency_s=0.3, jitter=0.1)
#: Of a message without a plan.
_NUM_STEPS = 3
_PRESENCE = Presence(job_loss=0.1, mean_absence_s=5.0)
#: Options that suit a fleet of eight; the others are the defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "DeepEdge": {"fraction_evaluate": 0.5, "evaluate_every": 3},
    "FedAsync": {},
    "FedBuff": {"buffer_size": 3},
    "CA2FL": {"buffer_size": 3},
    "FedCompass": {"min_steps": 2, "max_steps": 10},
    "FedNova": {},
    "DeadlineFedAvg": {},
}


def build_grid(faults: FaultPlan = NO_FAULTS, presence: Presence = _PRESENCE) -> VirtualGrid:
    """Return eight devices, 16x apart, that lose one job in ten unless told otherwise."""
    steps = speed_classes(num_nodes=NUM_NODES, step_time_s=0.1, spread=16)
    fleet = build_fleet(steps, _LINK, seed=3, presence=presence, notice_s=2.0)
    return VirtualGrid(
        InProcessGrid(build_app(), NUM_NODES), fleet, num_steps=_NUM_STEPS, faults=faults
    )


def build_app(seed: int = 0) -> ClientApp:
    """Return softmax regression on Gaussian classes, of which a node has two."""
    app = ClientApp(mods=[DeepEdgeMod(device=simulated_device)])
    centres = np.random.default_rng((seed, 1)).normal(size=(NUM_CLASSES, NUM_FEATURES))

    def batches(node_index: int, index: int) -> Iterator[tuple[Any, Any]]:
        rng = np.random.default_rng((seed, node_index, index))
        while True:
            labels = (node_index + rng.integers(2, size=16)) % NUM_CLASSES
            yield centres[labels] + rng.normal(size=(16, NUM_FEATURES)), labels

    @app.train()
    def train(message: Message, context: Context) -> Message:
        node_index = int(context.node_config["partition-id"])
        weights = _weights(message).copy()
        source = batches(node_index, int(get_config(message.content).get(DISPATCH_INDEX, 0)))
        for inputs, labels in local_steps([next(source) for _ in range(_NUM_STEPS)]):
            logits = inputs @ weights
            errors = np.exp(logits - logits.max(axis=1, keepdims=True))
            errors /= errors.sum(axis=1, keepdims=True)
            errors[np.arange(len(labels)), labels] -= 1
            weights -= 0.1 / len(labels) * inputs.T @ errors
        return _reply(message, {"num-examples": 10 + node_index}, weights)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        inputs, labels = next(batches(int(context.node_config["partition-id"]), 0))
        hits = (inputs @ _weights(message)).argmax(axis=1) == labels
        return _reply(message, {"num-examples": 16, "accuracy": float(hits.mean())})

    return app


def _weights(message: Message) -> NDArray[Any]:
    return records_of(message.content, ArrayRecord)[0]["w"].numpy()


def _reply(message: Message, metrics: dict[str, Any], weights: Any = None) -> Message:
    content = RecordDict({"metrics": MetricRecord(metrics)})
    if weights is not None:
        content["arrays"] = ArrayRecord({"w": Array(weights)})
    return Message(content, reply_to=message)


def run(
    grid: VirtualGrid,
    num_rounds: int,
    checkpoint_dir: Path | None = None,
    strategy: str = "DeepEdge",
    on_version: Callable[[int], None] | None = None,
    timeout: float = 3600.0,
    **options: Any,
) -> dict[str, Any]:
    """Run to the end, from the checkpoints if there are some; return what must not change."""
    options = {**OPTIONS[strategy], "checkpoint_dir": checkpoint_dir, **options}
    made: AsyncStrategy = getattr(deepedge_flwr, strategy)(**options)

    def evaluate(version: int, _: ArrayRecord) -> None:
        if on_version is not None:
            on_version(version)

    arrays = ArrayRecord({"w": Array(np.zeros((NUM_FEATURES, NUM_CLASSES)))})
    result = made.start(grid, arrays, num_rounds=num_rounds, timeout=timeout,
                        evaluate_fn=evaluate)  # fmt: skip
    grid.close()
    if not np.all(np.isfinite(result.arrays["w"].numpy())):
        raise ArithmeticError("the model is not finite")
    if made.version < num_rounds:
        raise TimeoutError(f"the run ended at version {made.version} of {num_rounds}")
    return {
        "model_sha256": model_sha256(result.arrays),
        "event_log_sha256": grid.ledger.sha256(),
        "bytes_up": int(grid.ledger.total("bytes_up")),
        "bytes_down": int(grid.ledger.total("bytes_down")),
    }


def main() -> None:
    """Run as a process, one line for every version and one for the end."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    folder, num_rounds = Path(sys.argv[1]), int(sys.argv[2])
    end = run(build_grid(), num_rounds, folder, on_version=lambda v: print(v, flush=True))
    print(json.dumps(end), flush=True)


if __name__ == "__main__":
    main()

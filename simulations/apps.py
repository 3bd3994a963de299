"""The ClientApp of the experiments: local SGD on a task, in any strategy and on any engine."""

import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from deepedge_flwr import DeepEdgeMod, local_steps
from deepedge_flwr.layout import decode_array, encode_array
from deepedge_flwr.records import (
    DISPATCH_INDEX,
    SERVER_ROUND,
    get_config,
    records_of,
)
from deepedge_flwr.simulation import simulated_device

from .tasks.task import Task, train

Batch = tuple[torch.Tensor, torch.Tensor]


class Epoch:
    """A re-iterable of `num_batches` batches that goes on where it stopped.

    Parameters
    ----------
    batches : Iterator[Batch]
        An endless stream.
    num_batches : int
        Batches per iteration: what a client does that is sent no plan.
    """

    def __init__(self, batches: Iterator[Batch], num_batches: int) -> None:
        self._batches, self._num_batches = batches, num_batches

    def __iter__(self) -> Iterator[Batch]:
        """Return the next batches of the stream."""
        return itertools.islice(self._batches, self._num_batches)


def build_client_app(load: Callable[[], Task], num_steps: int, seed: int) -> ClientApp:
    """Return an app that trains and evaluates on its partition of a task.

    Parameters
    ----------
    load : Callable[[], Task]
        Returns the task; called in whatever process the client runs in, so it should be cached.
    num_steps : int
        Local steps of a message without a plan.
    seed : int
        Seed of the batches.
    """
    app = ClientApp(mods=[DeepEdgeMod(device=simulated_device)])

    @app.train()
    def train_(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        task, config = load(), get_config(message.content)
        node_index = int(context.node_config["partition-id"])
        index = int(config.get(DISPATCH_INDEX, config.get(SERVER_ROUND, 0)))
        model = load_model(task, _arrays(message))
        loss = train(
            model,
            local_steps(Epoch(task.batches(node_index, seed, index), num_steps)),
            task.learning_rate,
            proximal_mu=float(config.get("proximal-mu", 0.0)),
        )
        metrics = {"num-examples": len(task.node_labels[node_index]), "train-loss": loss}
        arrays = ArrayRecord()
        for name, values in _scratch(task)[1].items():
            arrays[name] = encode_array(values)
        content = RecordDict({"arrays": arrays, "metrics": MetricRecord({**metrics})})
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate_(message: Message, context: Context) -> Message:
        task = load()
        node_index = int(context.node_config["partition-id"])
        inputs = torch.from_numpy(task.node_inputs[node_index])
        labels = torch.from_numpy(task.node_labels[node_index])
        with torch.no_grad():
            hits = load_model(task, _arrays(message))(inputs).argmax(dim=1) == labels
        metrics = {"num-examples": len(labels), "accuracy": float(hits.float().mean())}
        return Message(RecordDict({"metrics": MetricRecord({**metrics})}), reply_to=message)

    return app


def load_model(task: Task, arrays: ArrayRecord) -> torch.nn.Sequential:
    """Return the task's model with these weights; the next call overwrites it."""
    model, weights = _scratch(task)
    for name, values in weights.items():
        np.copyto(values, decode_array(arrays[name]))
    return model


@functools.lru_cache(maxsize=2)
def _scratch(task: Task) -> tuple[torch.nn.Sequential, dict[str, NDArray[np.float32]]]:
    """Return a model to overwrite, and its weights as arrays in the same memory.

    Building one, or `load_state_dict`, takes longer than a few local steps.
    """
    model = task.build_model(0)
    return model, {name: weight.numpy() for name, weight in model.state_dict().items()}


def _arrays(message: Message) -> ArrayRecord:
    return records_of(message.content, ArrayRecord)[0]

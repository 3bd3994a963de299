"""The ClientApp: local steps of gradient descent on this node's data."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from deepedge_flwr import DeepEdgeMod, local_steps
from deepedge_flwr.records import DISPATCH_INDEX, get_config

from .data import Examples, load_file, load_partition
from .perceptron import Weights, accuracy, batches, step

app = ClientApp(mods=[DeepEdgeMod()])

MAX_STEPS = 100  # batches drawn ahead; a plan repeats them


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train on this node's examples, as many steps as the server planned."""
    examples, weights = _examples(context), _weights(message)
    config, run = get_config(message.content), context.run_config
    # The index of the message, so that work that was lost is repeated and not replaced.
    index = int(config.get(DISPATCH_INDEX, config.get("server-round", 0)))
    count = int(run["local-steps"]) if DISPATCH_INDEX not in config else MAX_STEPS
    key = (int(run["seed"]), _count(context, "partition-id", 0), index)
    repeats = _count(context, "work-factor", 1)
    losses = []
    for batch in local_steps(batches(examples, int(run["batch-size"]), count, key)):
        for _ in range(repeats - 1):  # a slower device, for tests: the same step, computed again
            step({n: w.copy() for n, w in weights.items()}, batch.inputs, batch.labels, 0.0)
        losses.append(step(weights, batch.inputs, batch.labels, float(run["learning-rate"])))
    metrics = MetricRecord({"num-examples": len(examples.labels)})
    if losses:
        metrics["train-loss"] = sum(losses) / len(losses)
    arrays = ArrayRecord({name: Array(values) for name, values in weights.items()})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the model on this node's examples."""
    examples = _examples(context)
    metrics = MetricRecord(
        {"num-examples": len(examples.labels), "accuracy": accuracy(_weights(message), examples)}
    )
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _examples(context: Context) -> Examples:
    """Return the examples in the node's own file, or its share of the digits."""
    node = context.node_config
    if (path := str(node.get("data", ""))) != "":
        return load_file(path)
    index, count = _count(context, "partition-id", 0), _count(context, "num-partitions", 1)
    return load_partition(index, count, int(context.run_config["seed"]))


def _count(context: Context, key: str, least: int) -> int:
    """Return an integer of the node's configuration, `least` if it has none."""
    value = context.node_config.get(key, least)
    if type(value) is not int or value < least:
        raise ValueError(
            f"node config {key} must be an integer >= {least}, got {value!r}: give it without "
            f"quotes, such as {key}={least}"
        )
    return value


def _weights(message: Message) -> Weights:
    # Copies: Flower's arrays are read-only views of the message.
    return {
        name: array.numpy().copy()
        for name, array in message.content.array_records["arrays"].items()
    }

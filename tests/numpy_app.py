"""A ClientApp in NumPy whose every local step has a closed form."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod

from deepedge_flwr import DeepEdgeMod, local_steps
from deepedge_flwr.simulation import (
    DeviceSpec,
    Fleet,
    InProcessGrid,
    LinkSpec,
    ServiceSpec,
    VirtualGrid,
    simulated_device,
)

RATE = 0.5
INSTANT = LinkSpec(uplink_bytes_per_s=1e12, downlink_bytes_per_s=1e12, jitter=0.0)


def arrays(values: Iterable[float]) -> ArrayRecord:
    """A model of one float64 array."""
    return ArrayRecord({"w": Array(np.array(list(values), np.float64))})


def vector(record: ArrayRecord) -> list[float]:
    """The values of that array."""
    return [float(x) for x in record["w"].numpy()]


def follow_target(
    targets: Sequence[float],
    *,
    num_steps: int = 1,
    num_examples: Sequence[int] | None = None,
    mods: Sequence[Mod] = (),
    reply: Callable[[Message, RecordDict], Message | None] | None = None,
) -> ClientApp:
    """Every local step moves all weights half way to the node's target.

    `reply` may turn the content of a good reply into something else.
    """
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        node = int(context.node_config["partition-id"])
        weights = message.content["arrays"]["w"].numpy().copy()
        for _ in local_steps(range(num_steps)):
            weights += RATE * (targets[node] - weights)
        examples = 1 if num_examples is None else num_examples[node]
        content = RecordDict(
            {
                "arrays": ArrayRecord({"w": Array(weights)}),
                "metrics": MetricRecord({"num-examples": examples, "loss": float(node)}),
            }
        )
        if reply is not None:
            return reply(message, content)  # type: ignore[return-value]
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        node = int(context.node_config["partition-id"])
        metrics = MetricRecord({"num-examples": 1, "accuracy": float(node)})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def deepedge_mod() -> DeepEdgeMod:
    """The mod as a simulated app has it."""
    return DeepEdgeMod(device=simulated_device)


def fleet(
    *step_times_s: float, link: LinkSpec = INSTANT, service: ServiceSpec | None = None
) -> Fleet:
    """Devices without any jitter."""
    return Fleet(
        tuple(
            DeviceSpec(step_time_s=t, link=link, step_jitter=0.0, service=service)
            for t in step_times_s
        )
    )


def virtual_grid(
    app: ClientApp,
    devices: Fleet,
    num_steps: int = 1,
    horizon_s: float = float("inf"),
    follows_plans: bool = True,
) -> VirtualGrid:
    """An in-process grid in the virtual time of a fleet."""
    return VirtualGrid(
        InProcessGrid(app, len(devices)),
        devices,
        num_steps=num_steps,
        horizon_s=horizon_s,
        follows_plans=follows_plans,
    )

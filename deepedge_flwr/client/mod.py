"""The client mod: opens a session around the user's training function and reports what it did."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from ..core.device import Device
from ..core.gate import Gate
from ..core.local_run import LocalRun
from ..core.types import TrainPlan
from ..records import DEVICE_ID, LATENCY_BUDGET_MS, get_plan, is_train, put_telemetry
from .device import LocalDevice, Probe
from .session import session


class DeepEdgeMod:
    """Follow the server's plan, yield to the latency-critical service, report telemetry.

    Needs `local_steps` in the training loop; needs `DeepEdge` (or another strategy that sends
    plans) on the server. A message without a plan passes through untouched.

    Parameters
    ----------
    probe : Probe | None (default: None)
        How the latency of the co-located service is seen.
    device : Callable[[Message, Context], Device | None] | None (default: None)
        Where the steps run, for instance `deepedge_flwr.simulation.simulated_device`; None, or
        a None from it, is this machine.

    Examples
    --------
    >>> from flwr.clientapp import ClientApp
    >>> app = ClientApp(mods=[DeepEdgeMod()])
    """

    def __init__(
        self,
        probe: Probe | None = None,
        device: Callable[[Message, Context], Device | None] | None = None,
    ) -> None:
        self._probe, self._device = probe, device

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Run the rest of the app inside a session; Flower calls this.

        Raises
        ------
        TypeError
            If the app returns no message: Flower's node would hang on it for ever.
        """
        plan = get_plan(message.content) if is_train(message) and message.has_content() else None
        if plan is None:
            return _checked(call_next(message, context), message, context)
        plan = _with_policy(plan, context)
        device = self._device(message, context) if self._device is not None else None
        device = device or LocalDevice(self._probe)
        run = LocalRun(plan, Gate.for_plan(plan), device)
        with session(run):
            reply = _checked(call_next(message, context), message, context)
        if reply.has_content() and run.was_started:
            device_id = context.node_config.get(DEVICE_ID, getattr(device, "device_id", ""))
            put_telemetry(reply.content, run.telemetry(str(device_id)))
        return reply


def _checked(reply: Any, message: Message, context: Context) -> Message:
    if not isinstance(reply, Message):
        raise TypeError(
            f"the ClientApp's {message.metadata.message_type} function returned "
            f"{type(reply).__name__} on node {context.node_id}: it must return a Message"
        )
    return reply


def _with_policy(plan: TrainPlan, context: Context) -> TrainPlan:
    """Let the node's own latency budget win over the server's."""
    budget_ms = context.node_config.get(LATENCY_BUDGET_MS)
    if budget_ms is None:
        return plan
    if isinstance(budget_ms, bool | str) or not 0 < budget_ms < math.inf:
        raise ValueError(f"node config {LATENCY_BUDGET_MS} must be a number > 0, got {budget_ms!r}")
    return replace(plan, latency_budget_s=budget_ms / 1000)

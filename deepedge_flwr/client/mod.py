"""The client mod: opens a session around the user's training function and reports what it did."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from ..core.clock import WallClock
from ..core.device import Device
from ..core.gate import Gate
from ..core.local_run import LocalRun
from ..records import closed_error, get_plan, is_train, put_telemetry
from .device import LocalDevice, Probe
from .isolation import is_client_process, isolate
from .policy import NodePolicy
from .session import session
from .threads import limited_threads


class DeepEdgeMod:
    """Follow the server's plan, yield to the latency-critical service, report telemetry.

    Needs `local_steps` in the training loop; needs `DeepEdge` (or another strategy that sends
    plans) on the server. Under another strategy the app trains as ever. What the owner of the
    device allows (`NodePolicy`, the node's `--node-config`) holds under every strategy.

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
        self._probe, self._device, self._clock = probe, device, WallClock()

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Run the rest of the app inside a session; Flower calls this.

        Raises
        ------
        TypeError
            If the app returns no message: Flower's node would hang on it for ever.
        ValueError
            If the node's configuration has a value of ours that is not valid.
        """
        if not is_train(message) or not message.has_content():
            return _checked(call_next(message, context), message, context)
        policy = NodePolicy.of(context.node_config)
        device = self._device(message, context) if self._device is not None else None
        if device is None:
            if (opens_in_s := self._opens_in_s(policy)) > 0:
                return Message(closed_error(opens_in_s), reply_to=message)
            device = LocalDevice(policy.probe or self._probe)
            if is_client_process() if policy.isolation is None else policy.isolation:
                isolate()
        with limited_threads(policy.max_threads):
            return self._train(message, context, call_next, policy, device)

    def _opens_in_s(self, policy: NodePolicy) -> float:
        window = policy.train_window
        return 0.0 if window is None else window.opens_in_s(self._clock.second_of_day())

    @staticmethod
    def _train(
        message: Message,
        context: Context,
        call_next: ClientAppCallable,
        policy: NodePolicy,
        device: Device,
    ) -> Message:
        if (plan := get_plan(message.content)) is None:
            return _checked(call_next(message, context), message, context)
        if policy.latency_budget_s is not None:
            plan = replace(plan, latency_budget_s=policy.latency_budget_s)
        run = LocalRun(plan, Gate.for_plan(plan), device, policy.max_duty or 1.0)
        with session(run):
            reply = _checked(call_next(message, context), message, context)
        if reply.has_content() and run.was_started:
            device_id = policy.device_id or getattr(device, "device_id", "")
            put_telemetry(reply.content, run.telemetry(str(device_id)))
        return reply


def _checked(reply: Any, message: Message, context: Context) -> Message:
    if not isinstance(reply, Message):
        raise TypeError(
            f"the ClientApp's {message.metadata.message_type} function returned "
            f"{type(reply).__name__} on node {context.node_id}: it must return a Message"
        )
    return reply

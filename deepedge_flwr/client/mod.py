"""The client mod: opens a session around the user's training function and reports what it did."""

from collections.abc import Callable
from dataclasses import replace
from logging import WARNING
from typing import Any

from flwr.app import Context, Error, Message
from flwr.clientapp.typing import ClientAppCallable
from flwr.common import log
from flwr.common.constant import ErrorCode

from ..core.clock import WallClock
from ..core.device import Device
from ..core.gate import Gate
from ..core.local_run import LocalRun
from ..core.types import Telemetry, TrainPlan
from ..records import (
    LATENCY_BUDGET_MS,
    closed_error,
    get_gate_memory,
    get_plan,
    is_train,
    put_gate_memory,
    put_telemetry,
)
from .device import LocalDevice
from .free_cores import limited_cores
from .isolation import applied_isolation, is_client_process, isolate
from .policy import ISOLATION, LATENCY_PROBE, NodePolicy
from .probes import Probe, watching
from .session import session
from .threads import limited_threads

#: A stretch without a look at the service that is worth a line in the log.
_LONG_STRETCH_S = 0.1


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
            If the node's configuration has a value of ours that is not valid, or a budget and
            nothing that sees whether it is kept.
        """
        if not is_train(message) or not message.has_content():
            if is_client_process() and context.node_config.get(ISOLATION) != "off":
                isolate()  # evaluation computes, too
            return _checked(call_next(message, context), message, context)
        policy = NodePolicy.of(context.node_config)
        plan = policy.applied_to(get_plan(message.content))
        device = self._device(message, context) if self._device is not None else None
        if device is not None:
            # One core: the result must not depend on which machine simulates.
            with limited_threads(policy.max_threads), limited_cores(1):
                return self._train(message, context, call_next, policy, plan, device)
        if (opens_in_s := self._opens_in_s(policy)) > 0:
            return Message(closed_error(opens_in_s), reply_to=message)
        probe = policy.probe or self._probe
        if probe is None and policy.latency_budget_s is not None:
            raise ValueError(
                f"node config {LATENCY_BUDGET_MS} needs {LATENCY_PROBE}: without it nothing sees "
                "whether the budget is kept"
            )
        with watching(probe, policy.probe_silence_s, gates=_is_gated(plan)) as watched:
            # Only now: what watches the service has the service's priority.
            if is_client_process() if policy.isolation is None else policy.isolation:
                isolate()
            with limited_threads(policy.max_threads), limited_cores(policy.max_threads):
                device = LocalDevice(watched)
                return self._train(message, context, call_next, policy, plan, device)

    def _opens_in_s(self, policy: NodePolicy) -> float:
        window = policy.train_window
        return 0.0 if window is None else window.opens_in_s(self._clock.second_of_day())

    @staticmethod
    def _train(
        message: Message,
        context: Context,
        call_next: ClientAppCallable,
        policy: NodePolicy,
        plan: TrainPlan | None,
        device: Device,
    ) -> Message:
        if plan is None:
            return _checked(call_next(message, context), message, context)
        is_planned = get_plan(message.content) is not None
        gate = Gate.for_plan(plan)
        if gate is not None:
            is_real = isinstance(device, LocalDevice)
            # A simulated device has been told what its last gate knew.
            own = get_gate_memory(context.state) if is_real else getattr(device, "gate_memory", ())
            gate.remember(own)
        run = LocalRun(plan, gate, device, policy.max_duty or 1.0, policy.on_probe_failure)
        with session(run, counts_steps=is_planned):
            reply = _checked(call_next(message, context), message, context)
        told = run.telemetry(policy.device_id or str(getattr(device, "device_id", "")))
        if isinstance(device, LocalDevice):
            told = _of_this_machine(told, policy, device, gate, run)
            put_gate_memory(context.state, [] if gate is None else gate.memory)
        if not reply.has_content() or not run.was_started:
            return reply
        if is_planned:
            put_telemetry(reply.content, told)
        elif told.yielded and told.num_steps == 0:
            # To a strategy without plans a model that has not been trained is as good as any.
            return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, told.trouble), reply_to=message)
        return reply


def _of_this_machine(
    told: Telemetry, policy: NodePolicy, device: LocalDevice, gate: Gate | None, run: LocalRun
) -> Telemetry:
    """Add to a report what only a real device has to say, and log it."""
    if gate is not None and not device.has_probe:
        told = replace(told, trouble="no latency-probe: training goes on unprotected")
    if told.trouble:
        log(WARNING, "The service on this device: %s", told.trouble)
    if gate is not None and run.longest_stretch_s > _LONG_STRETCH_S:
        log(WARNING, "The latency gate had no look at the service for up to %.2f s: a local step "
            "is that long; cut it with micro_batches()", run.longest_stretch_s)  # fmt: skip
    return replace(
        told, isolation=applied_isolation(), latency_quantile=policy.latency_quantile or 0.0
    )


def _is_gated(plan: TrainPlan | None) -> bool:
    return plan is not None and plan.latency_budget_s is not None


def _checked(reply: Any, message: Message, context: Context) -> Message:
    if not isinstance(reply, Message):
        raise TypeError(
            f"the ClientApp's {message.metadata.message_type} function returned "
            f"{type(reply).__name__} on node {context.node_id}: it must return a Message"
        )
    return reply

"""The one gated training loop: live, simulated and predicted."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from .device import Device, ProbeFailed
from .gate import Gate
from .types import Telemetry, TrainPlan

#: What to do when the service is not seen any more.
OnBlind = Literal["stop", "train"]


class LocalRun:
    """Iterate over the local steps that a plan, a gate and a device allow.

    Before each step the gate may pause the run or end it; the run also ends at the plan's number
    of steps or its deadline, but not before one step is done unless the gate says so, or leaves no
    time for one in twice the deadline. What the simulator predicts and what a client reports is the
    same: both exhaust this iterator.

    A gate that cannot see the service any more ends the run, with the work done so far, unless
    `on_blind` says otherwise; the telemetry says why.

    Parameters
    ----------
    plan : TrainPlan
        Upper bound of steps and deadline.
    gate : Gate | None
        The latency gate; None trains ungated.
    device : Device
        Where the steps run.
    max_duty : float (default: 1.0)
        Largest share of the time that is computation, in (0, 1]: after a step of t seconds the run
        rests for t (1 / max_duty - 1) before the next one.
    on_blind : {"stop", "train"} (default: "stop")
        Whether a gate whose probe has failed ends the run or lets it go on unprotected.

    Attributes
    ----------
    was_started : bool
        Whether anybody asked for a step.
    longest_stretch_s : float
        Longest time without a look at the service: of a local step, or of a part of one.
    """

    def __init__(
        self,
        plan: TrainPlan,
        gate: Gate | None,
        device: Device,
        max_duty: float = 1.0,
        on_blind: OnBlind = "stop",
    ) -> None:
        self._plan, self._gate, self._device, self._max_duty = plan, gate, device, max_duty
        self._budget_s = np.inf if gate is None else gate.budget_s
        self._on_blind, self._trouble, self._yielded = on_blind, "", False
        self._rest_s = 0.0
        self._latencies_s: list[float] = []
        self._num_steps, self._busy_s, self._paused_s = 0, 0.0, 0.0
        self._started_at_s, self._is_over = device.now_s(), False
        self._looked_at_s = self._seen_at_s = self._started_at_s
        self.was_started, self.longest_stretch_s = False, 0.0

    def __iter__(self) -> Iterator[int]:
        """Yield the index of each local step; the caller computes it before asking for the next.

        A second iteration goes on where the first one stopped: there is one plan to fulfil.
        """
        if not self.was_started:
            before_s, self._seen_at_s = self._seen(), self._device.now_s()
            if self._gate is not None:
                self._gate.observe(before_s)
        self.was_started = True
        while self._may_proceed():
            begun_at_s, paused_before_s = self._device.now_s(), self._paused_s
            self._looked_at_s = begun_at_s
            yield self._num_steps
            self._device.end_step()
            self._num_steps += 1
            now_s = self._device.now_s()
            self.longest_stretch_s = max(self.longest_stretch_s, now_s - self._looked_at_s)
            step_s = now_s - begun_at_s - (self._paused_s - paused_before_s)
            self._busy_s += step_s
            self._rest_s = step_s * (1 / self._max_duty - 1)
            self._look()

    def may_continue_step(self) -> bool:
        """Yield to the service inside a local step; return False if the step is to end here."""
        now_s = self._device.now_s()
        self.longest_stretch_s = max(self.longest_stretch_s, now_s - self._looked_at_s)
        self._look()
        self._ask_gate()
        self._looked_at_s = self._device.now_s()
        return not self._is_over

    def _may_proceed(self) -> bool:
        """Wait as long as duty and gate ask; return whether there is another step to do."""
        self._is_over = self._is_over or self._num_steps >= self._plan.num_steps
        if not self._is_over and self._rest_s > 0:
            self._pause(self._rest_s)
        self._ask_gate()
        if self._is_late and self._num_steps > 0:
            self._is_over = True
        return not self._is_over

    @property
    def _is_late(self) -> bool:
        """Whether the deadline has passed; before the first step, twice the deadline."""
        if self._plan.deadline_s is None:
            return False
        elapsed_s = self._device.now_s() - self._started_at_s
        return elapsed_s >= self._plan.deadline_s * (1 if self._num_steps else 2)

    def _ask_gate(self) -> None:
        has_paused = False
        while not self._is_over and self._gate is not None:
            decision = self._gate.decide()
            if decision.stop:
                self._yield(decision.reason)
            if decision.stop or decision.pause_s <= 0:
                break
            if has_paused and self._is_late:
                self._is_over = True
                if self._num_steps == 0:
                    self._yield("the service left no time for training")
                break
            self._pause(decision.pause_s)
            has_paused = True

    def _yield(self, trouble: str) -> None:
        self._is_over, self._yielded, self._trouble = True, True, trouble

    def _pause(self, duration_s: float) -> None:
        paused_at_s = self._device.now_s()
        self._device.pause(duration_s)
        self._paused_s += self._device.now_s() - paused_at_s
        self._look()

    def _look(self) -> None:
        latencies_s, now_s = self._seen(), self._device.now_s()
        self._latencies_s.extend(latencies_s)
        if self._gate is not None:
            self._gate.observe(latencies_s, now_s - self._seen_at_s)
        self._seen_at_s = now_s

    def _seen(self) -> Sequence[float]:
        if self._trouble:
            return ()
        try:
            return self._device.service_latencies_s()
        except ProbeFailed as failure:
            self._trouble = str(failure)
        if self._on_blind == "stop" and self._gate is not None:
            self._yield(self._trouble)
        elif self._gate is not None:
            self._gate = None
            self._trouble += "; training goes on unprotected"
        return ()

    @property
    def num_steps(self) -> int:
        """Local steps completed so far."""
        return self._num_steps

    def telemetry(self, device_id: str = "") -> Telemetry:
        """Return the report of the run so far; an ungated run has no budget to violate."""
        latencies_s = np.asarray(self._latencies_s)
        return Telemetry(
            num_steps=self._num_steps,
            busy_s=self._busy_s,
            paused_s=self._paused_s,
            num_requests=len(latencies_s),
            num_violations=int(np.count_nonzero(latencies_s > self._budget_s)),
            service_p99_s=float(np.quantile(latencies_s, 0.99)) if len(latencies_s) else 0.0,
            device_id=device_id,
            trouble=self._trouble,
            yielded=self._yielded,
        )

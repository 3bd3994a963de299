"""Training beside a service in a process of its own: `python -m simulations.colocation.trainer`.

It obeys lines on its standard input: `run SECONDS` trains that long, as a ClientApp would, and
answers with a JSON object, `run SECONDS gated` does so with its gate; `end` ends it.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from deepedge_flwr.client import between_ticks
from deepedge_flwr.client.device import LocalDevice
from deepedge_flwr.client.free_cores import FreeCores
from deepedge_flwr.client.isolation import isolate
from deepedge_flwr.client.probes import Probe, Watched, make_probe, watching
from deepedge_flwr.core.device import ProbeFailed
from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.local_run import LocalRun
from deepedge_flwr.core.types import TrainPlan

from .worker import say

#: The learning rate leaves the weights as they are, or nearly: a step takes what it took at first.
_WIDTH, _BATCH, _LEARNING_RATE = 512, 256, 1e-6
_WARM_UP_STEPS = 3
_SILENCE_S = 5.0
#: Looks for what a probe still has of an earlier run, at most, and the pause between two.
_MOST_LOOKS, _LOOK_EVERY_S = 20, 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a process trains.

    Attributes
    ----------
    step_s : float
        Seconds of a local step on the idle machine.
    threads : int
        Of the numerical library.
    isolation : tuple[str, ...]
        Mechanisms of `isolate` to apply.
    budget_s : float | None
        Budget of the gate; None trains without one.
    quantile : float
        What is to keep it.
    probe : str
        How the gate sees the service.
    size : int
        Of a step that is to be as much work as another training's; 0 is one that fills `step_s`.
    memory_mib : float
        0 is a multilayer perceptron of `size` hidden layers; otherwise a step adds vectors of this
        size, `size` times, and is bound by the memory.
    free_cores : bool
        Whether each core computes a part of the step on its own, with `FreeCores`.
    """

    step_s: float = 0.03
    threads: int = 2
    isolation: tuple[str, ...] = ()
    budget_s: float | None = None
    quantile: float = 0.99
    probe: str = ""
    size: int = 0
    memory_mib: float = 0.0
    free_cores: bool = False


class Step:
    """One local step that takes `step_s` on the idle machine."""

    def __init__(self, training: Training) -> None:
        self._cores: FreeCores | None = None
        self._memory_mib = training.memory_mib
        self._resize(training.size or 1)
        # Twice: the first figures are of cold caches and of a slow clock.
        for _ in range(0 if training.size else 2):
            once_s = sorted(self._timed_s() for _ in range(15))[7] / self.size
            self._resize(max(1, round(training.step_s / once_s)))
        self.warm_up()

    def warm_up(self) -> None:
        """Do some that nobody counts."""
        for _ in range(_WARM_UP_STEPS):
            self()

    def _resize(self, size: int) -> None:
        self.size = size
        if self._memory_mib:
            num_floats = int(self._memory_mib * 2**20 / 4)
            self._vectors = torch.ones(num_floats), torch.ones(num_floats)
            return
        torch.manual_seed(0)
        linear = [nn.Linear(_WIDTH, _WIDTH) for _ in range(size)]
        for layer in linear:
            # With torch's own, the gradients of a hundred layers fade into subnormal numbers, with
            # which arithmetic is many times slower.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        hidden = [layer for one in linear for layer in (one, nn.ReLU())]
        self._model = nn.Sequential(*hidden, nn.Linear(_WIDTH, 10))
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=_LEARNING_RATE)
        self._x, self._y = torch.randn(_BATCH, _WIDTH), torch.randint(0, 10, (_BATCH,))

    def spread(self, cores: FreeCores) -> None:
        """Compute on these cores instead of leaving it to the threads of the numerical library."""
        self._cores = cores
        self.warm_up()

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is trained."""
        return self._model.parameters()

    def __call__(self) -> None:
        """Do it: a batch forward and backward, and an update."""
        if self._memory_mib:
            for _ in range(self.size):
                self._vectors[0].add_(self._vectors[1])
            return
        self._model.zero_grad()
        if self._cores is None:
            self._compute(slice(None))
        else:
            self._cores.map_batch(self._compute, _BATCH)
        self._optimizer.step()

    def _compute(self, part: slice) -> None:
        loss = nn.functional.cross_entropy(
            self._model(self._x[part]), self._y[part], reduction="sum"
        )
        (loss / _BATCH).backward()

    def _timed_s(self) -> float:
        started_s = time.perf_counter()
        self()
        return time.perf_counter() - started_s


def train(step: Step, gate: Gate | None, probe: Probe | None, duration_s: float) -> dict[str, Any]:
    """Train for a while; return what was done."""
    device = LocalDevice(probe)
    begun_s, cpu_s = time.monotonic(), time.process_time()
    run = LocalRun(TrainPlan(num_steps=sys.maxsize, deadline_s=duration_s), gate, device)
    starts_s, ends_s = list[float](), list[float]()
    for _ in run:
        starts_s.append(time.monotonic())
        step()
        ends_s.append(time.monotonic())
    return {
        **asdict(run.telemetry()),
        "starts_s": starts_s,
        "ends_s": ends_s,
        "elapsed_s": time.monotonic() - begun_s,
        "cpu_s": time.process_time() - cpu_s,
    }


def drain(probe: Probe) -> None:
    """Forget what the probe has seen while something else was measured."""
    for _ in range(_MOST_LOOKS):
        try:
            if not probe():
                return
        except ProbeFailed:
            return  # the next look says so too
        time.sleep(_LOOK_EVERY_S)


def _gate(training: Training) -> Gate | None:
    if training.budget_s is None:
        return None
    return Gate(training.budget_s, quantile=training.quantile)


def main() -> None:
    """Obey."""
    training = Training(**json.loads(sys.argv[1]))
    torch.set_num_threads(training.threads)
    step, memory = Step(training), list[float]()
    probe = make_probe(training.probe) if training.probe and training.budget_s else None
    # One probe for all runs, begun before the training steps back.
    with watching(probe, _SILENCE_S, gates=False), contextlib.ExitStack() as cores:
        if training.isolation:
            isolate(training.isolation)
        if training.free_cores:
            step.spread(cores.enter_context(FreeCores(training.threads)))
        between_ticks.rest()
        say(str(step.size))
        for line in sys.stdin:
            command, *rest = line.split()
            if command == "end":
                return
            gate = _gate(training) if "gated" in rest else None
            if gate is not None:
                gate.remember(memory)
            watched = None
            if gate is not None and probe is not None:
                drain(probe)
                watched = Watched(probe, _SILENCE_S)
            # Others are measured while this process does nothing.
            between_ticks.go_on()
            told = train(step, gate, watched, float(rest[0]))
            between_ticks.rest()
            say(json.dumps(told))
            if gate is not None:
                memory = gate.memory


if __name__ == "__main__":
    main()

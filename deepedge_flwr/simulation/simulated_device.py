"""A device in virtual time: the same object predicts a run and lives through it."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from flwr.app import Context, Message
from numpy.typing import NDArray

from ..core.gate import Gate
from ..core.local_run import LocalRun
from ..core.types import Telemetry, TrainPlan
from ..records import SIMULATED_DEVICE, get_config
from .devices import DeviceSpec, LinkSpec
from .service import ServiceSpec, serve

#: Requests before a job that its gate knows of.
_SEEN_PERIODS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStart:
    """Where a simulated device stands when a job starts; with the spec it determines the job.

    Attributes
    ----------
    seed, node_index, job_index : int
        What all noise of the job is a function of.
    time_s : float
        Virtual time.
    contention : float
        Contention left over from the previous job, in [0, 1].
    idle_s : float
        Seconds since the previous job, in which a probe saw the service undisturbed.
    device_id : str
        Stable name that the device reports.
    gate_memory : Sequence[float]
        What the gate of the device's last job knew.
    """

    seed: int
    node_index: int
    job_index: int
    time_s: float
    contention: float = 0.0
    idle_s: float = 0.0
    device_id: str = ""
    gate_memory: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of virtual time that a device spent on one thing (`compute` or `pause`)."""

    kind: str
    start_s: float
    end_s: float


class SimulatedDevice:
    """Implements `Device`: steps and pauses advance virtual time and the co-located service.

    Parameters
    ----------
    spec : DeviceSpec
        The truth about the device.
    start : DeviceStart
        Where it stands.
    """

    def __init__(self, spec: DeviceSpec, start: DeviceStart) -> None:
        self._spec, self._start = spec, start
        self._now_s, self.contention = start.time_s, start.contention
        self._num_steps = 0
        self._pending: list[float] = self._seen_before()
        self._segments: list[Segment] = []
        self._request_times_s: list[NDArray[np.float64]] = []
        self._violated: list[NDArray[np.bool_]] = []

    def _seen_before(self) -> list[float]:
        """Latencies of the last few requests before the job, as a probe would have them."""
        service, start = self._spec.service, self._start
        if service is None:
            return []
        seen_s = min(start.idle_s, _SEEN_PERIODS * service.period_s)
        # Bounded: 0 times infinity is no contention either.
        growth = float(np.exp(min(seen_s / service.contention_s, 700.0)))
        contention = min(1.0, start.contention * growth)
        seed, since_s = (start.seed, start.node_index), start.time_s - seen_s
        served = serve(service, seed, since_s, start.time_s, contention, training=False)
        return [float(latency_s) for latency_s in served.latencies_s]

    @property
    def device_id(self) -> str:
        """The name that the device reports; empty if it has none."""
        return self._start.device_id

    @property
    def gate_memory(self) -> Sequence[float]:
        """What the gate of its last job knew."""
        return self._start.gate_memory

    def now_s(self) -> float:
        """Return the device's virtual time."""
        return self._now_s

    def end_step(self) -> None:
        """Let the time of one local step pass."""
        start = self._start
        noise = _step_noise((start.seed, start.node_index, start.job_index), self._num_steps)
        self._num_steps += 1
        self._advance(self._spec.step_time_s * float(np.exp(self._spec.step_jitter * noise)), True)

    def pause(self, duration_s: float) -> None:
        """Let `duration_s` pass without training."""
        self._advance(duration_s, False)

    def service_latencies_s(self) -> Sequence[float]:
        """Return the latencies since the last call."""
        pending, self._pending = self._pending, []
        return pending

    @property
    def segments(self) -> list[Segment]:
        """What the device did, in order, neighbours of the same kind joined."""
        return list(self._segments)

    def num_requests(self, until_s: float) -> int:
        """Count the service's requests during the job and before `until_s`."""
        return sum(int(np.count_nonzero(times_s < until_s)) for times_s in self._request_times_s)

    def num_violations(self, until_s: float) -> int:
        """Count those of them that took longer than the service's budget."""
        pairs = zip(self._request_times_s, self._violated, strict=True)
        return sum(int(np.count_nonzero(over & (times_s < until_s))) for times_s, over in pairs)

    def _advance(self, duration_s: float, training: bool) -> None:
        end_s = self._now_s + duration_s
        kind = "compute" if training else "pause"
        last = self._segments[-1] if self._segments else None
        begun_s = last.start_s if last is not None and last.kind == kind else self._now_s
        if (service := self._spec.service) is not None:
            seed = (self._start.seed, self._start.node_index)
            served = serve(
                service,
                seed,
                self._now_s,
                end_s,
                self.contention,
                training,
                self._now_s - begun_s if training else 0.0,
            )
            self.contention = served.contention
            if len(served.times_s):
                self._pending.extend(served.latencies_s.tolist())
                self._request_times_s.append(served.times_s)
                self._violated.append(served.latencies_s > service.budget_s)
        if last is not None and last.kind == kind:
            self._segments.pop()
        self._segments.append(Segment(kind, begun_s, end_s))
        self._now_s = end_s


def live(device: SimulatedDevice, plan: TrainPlan, gate: Gate | None) -> Telemetry:
    """Let a device live through a job as its client will, and return what that will report."""
    if gate is not None:
        gate.remember(device.gate_memory)
    run = LocalRun(plan, gate, device)
    for _ in run:
        pass
    return run.telemetry()


def device_to_json(spec: DeviceSpec, start: DeviceStart) -> str:
    """Write down a device so that a client in another process can live through the same job."""
    return f'{{"spec": {_spec_to_json(spec)}, "start": {json.dumps(asdict(start))}}}'


def simulated_device(message: Message, _context: Context) -> SimulatedDevice | None:
    """Return the device that the simulator put into a message; None outside a simulation.

    Pass it to the client's mod, `DeepEdgeMod(device=simulated_device)`: one app then serves in
    simulation, in virtual time, and in deployment.
    """
    if not message.has_content():
        return None
    text = get_config(message.content).get(SIMULATED_DEVICE)
    if text is None:
        return None
    values = json.loads(text)
    spec = values["spec"]
    spec["link"] = LinkSpec(**spec["link"])
    spec["service"] = None if spec["service"] is None else ServiceSpec(**spec["service"])
    return SimulatedDevice(DeviceSpec(**spec), DeviceStart(**values["start"]))


# The truth about a device is the same in every message, and `asdict` is slow.
@functools.lru_cache(maxsize=1024)
def _spec_to_json(spec: DeviceSpec) -> str:
    return json.dumps(asdict(spec))


def _step_noise(seed: tuple[int, int, int], step: int) -> float:
    return float(_step_block(seed, step // 64)[step % 64])


@functools.lru_cache(maxsize=256)
def _step_block(seed: tuple[int, int, int], block: int) -> NDArray[np.float64]:
    return np.random.default_rng((*seed, 3, block)).standard_normal(64)

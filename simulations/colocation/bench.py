"""Services and trainings side by side, one condition after the other, over and over."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from .service import Load
from .trainer import Training
from .worker import Worker

#: What a service's process may use: one core's arithmetic, whatever the machine has.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_WARM_UP_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What trains beside the services, and how.

    Attributes
    ----------
    training : Training | None
        None: nothing does.
    same_session : bool
        Whether it is in the session of the services.
    environment : Mapping[str, str]
        Of the training.
    """

    training: Training | None = None
    same_session: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One condition for a while.

    Attributes
    ----------
    latencies_s, times_s, wakes_s : NDArray[np.float64]
        Of the services' requests: latency and when each was due, and the delays of wake-ups.
    begun_s, duration_s, training_s : float
        Since when, on the machine's clock, how long the services ran, and how long training was to.
    cpu_s, queued_s : float
        Processor time of the services, and how long they were ready and had none.
    num_added : float
        Numbers that the services have added up, which is what they compute.
    stolen_s : float
        Seconds of the machine's cores that its host has kept for others; in ticks of 10 ms.
    trained : Mapping[str, Any]
        What the training tells; empty without one.
    """

    latencies_s: NDArray[np.float64]
    times_s: NDArray[np.float64]
    wakes_s: NDArray[np.float64]
    begun_s: float
    duration_s: float
    training_s: float
    cpu_s: float
    queued_s: float
    num_added: float
    stolen_s: float
    trained: Mapping[str, Any]

    def misses(self, budget_s: float) -> float:
        """Return the share of requests over a budget."""
        return float(np.mean(self.latencies_s > budget_s))

    def quantile_s(self, quantile: float) -> float:
        """Return a quantile of the latency."""
        return float(np.quantile(self.latencies_s, quantile))

    def wake_s(self, quantile: float) -> float:
        """Return a quantile of how late the services woke up; 0 if they never slept."""
        return float(np.quantile(self.wakes_s, quantile)) if len(self.wakes_s) else 0.0

    @property
    def cpu_share(self) -> float:
        """Cores that the services used."""
        return self.cpu_s / self.duration_s

    @property
    def service_pace(self) -> float:
        """Numbers that the services have added up per second of their processes' time."""
        return self.num_added / self.cpu_s

    @property
    def queued_share(self) -> float:
        """Seconds per second in which the services were ready and had no core."""
        return self.queued_s / self.duration_s

    @property
    def stolen_share(self) -> float:
        """Seconds per second of cores that the host has kept for others."""
        return self.stolen_s / self.duration_s

    @property
    def steps_per_s(self) -> float:
        """Local steps per second of the time that training had, even if it ended sooner."""
        if not self.trained:
            return 0.0
        return float(self.trained["num_steps"] / max(self.training_s, self.trained["elapsed_s"]))

    @property
    def trouble(self) -> str:
        """Why training ended before its time; empty if it did not."""
        return str(self.trained.get("trouble", ""))


class Bench:
    """Services that are there all the time, and one training process per condition.

    Parameters
    ----------
    loads : Sequence[Load]
        The services, a process each.
    sockets : Sequence[str]
        Where the services push their latencies.
    """

    def __init__(self, loads: Sequence[Load], sockets: Sequence[str] = ()) -> None:
        self._trainers, self._sizes = dict[str, Worker](), dict[tuple[float, float], int]()
        self._services = [
            Worker(
                "service",
                json.dumps(asdict(load)),
                *sockets,
                same_session=True,
                environment=_ONE_THREAD,
            )
            for load in loads
        ]

    def __enter__(self) -> "Bench":
        """Return this bench."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        for worker in [*self._trainers.values(), *self._services]:
            worker.close()

    def add(self, name: str, condition: Condition) -> None:
        """Start a condition's training, with steps of the same work as others of the same time."""
        if (training := condition.training) is not None:
            training = replace(training, size=training.size or self._size_of(training))
            self._trainers[name] = Worker(
                "trainer",
                json.dumps(asdict(training)),
                same_session=condition.same_session,
                environment=condition.environment,
            )

    def _size_of(self, training: Training) -> int:
        work = training.step_s, training.memory_mib
        if work not in self._sizes:
            # In a process of its own: the memory that it has asked for and given back would make
            # the steps of a training cheaper, that of the others not.
            like_this = replace(training, isolation=(), budget_s=None, free_cores=False)
            sizing = Worker("trainer", json.dumps(asdict(like_this)))
            self._sizes[work] = int(sizing.greeting)
            sizing.close()
        return self._sizes[work]

    def alone(self, name: str, duration_s: float) -> float:
        """Return the steps per second of a training, without its gate, while the services rest."""
        return self.rationed(name, duration_s, 1.0, 0.0)

    def rationed(self, name: str, duration_s: float, period_s: float, share: float) -> float:
        """Return the same of a training that is stopped for a share of every period."""
        trainer = self._trainers[name]
        with trainer.rationed(period_s, share):
            trainer.ask(f"run {duration_s}")
            told = trainer.answer()
        if told["trouble"]:
            raise RuntimeError(f"training without services has ended: {told['trouble']}")
        return float(told["num_steps"] / told["elapsed_s"])

    def block(self, name: str, duration_s: float) -> Block:
        """Run the services for a while beside the training of a condition, if it has one."""
        trainer, stolen_s = self._trainers.get(name), _stolen_s()
        for service in self._services:
            service.ask(f"run {duration_s + _WARM_UP_S}")
        if trainer is not None:
            trainer.ask(f"run {duration_s} gated")
        served = [service.answer() for service in self._services]
        trained = trainer.answer() if trainer is not None else {}
        return Block(
            latencies_s=_joined(served, "latencies_s"),
            times_s=_joined(served, "times_s"),
            wakes_s=_joined(served, "wakes_s"),
            begun_s=served[0]["begun_s"],
            duration_s=duration_s + _WARM_UP_S,
            training_s=duration_s,
            cpu_s=sum(s["cpu_s"] for s in served),
            queued_s=sum(s["queued_s"] for s in served),
            num_added=sum(s["num_added"] for s in served),
            stolen_s=_stolen_s() - stolen_s,
            trained=trained,
        )

    def interleaved(
        self, names: Sequence[str], rounds: int, duration_s: float
    ) -> Iterator[tuple[str, Block]]:
        """Yield blocks A B C A B C: what drifts on the machine drifts for all."""
        for _ in range(rounds):
            for name in names:
                yield name, self.block(name, duration_s)


def _stolen_s() -> float:
    """Return what the host has kept of the cores since the start; 0 where the system cannot say."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def _joined(served: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(s[key], float) for s in served])


def latencies_of(blocks: Sequence[Block]) -> NDArray[np.float64]:
    """Return the latencies of all requests of some blocks."""
    return np.concatenate([block.latencies_s for block in blocks])

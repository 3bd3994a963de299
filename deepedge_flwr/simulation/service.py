"""The latency-critical service that shares a simulated device with training."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
_NONE: NDArray[np.float64] = np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A periodic service whose latency rises while training runs beside it.

    Contention x in [0, 1] is a first-order lag of training (caches, memory bandwidth, queues and
    clock speed follow load with a delay): dx/dt = (1 - x) / contention_s while training, and
    -x / contention_s otherwise. Request k has the latency

        latency_s (1 + (slowdown - 1) x) exp(jitter z_k),   z_k standard normal.

    Besides, one that arrives while the device computes finds its processor taken with probability
    `collision`, and waits `wait_s` for it: a time slice of the operating system's scheduler. In the
    first `settle_s` of a computation, after a pause or at the start of a job, the probability is
    `first_collision`, which is higher beside real training that a gate pauses.

    Attributes
    ----------
    period_s : float
        Seconds between two requests.
    latency_s : float
        Median latency on an otherwise idle device.
    budget_s : float
        Latency above which a request is a violation.
    slowdown : float
        Factor on the latency at full contention, >= 1.
    contention_s : float
        Time constant of contention.
    jitter : float
        Standard deviation of the logarithm of the latency.
    collision : float
        Probability of a wait, in [0, 1].
    wait_s : float
        Length of a wait.
    first_collision : float
        Probability of a wait while a computation begins, in [0, 1].
    settle_s : float
        How long it does; 0 for not at all.
    """

    period_s: float
    latency_s: float
    budget_s: float
    slowdown: float = 1.75
    contention_s: float = 2.0
    jitter: float = 0.1
    collision: float = 0.0
    wait_s: float = 0.0
    first_collision: float = 0.0
    settle_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("period_s", "latency_s", "budget_s", "contention_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"service {name} must be > 0, got {getattr(self, name)}")
        if self.slowdown < 1 or self.jitter < 0:
            raise ValueError(
                f"service needs slowdown >= 1 and jitter >= 0, got {self.slowdown} and "
                f"{self.jitter}"
            )

        for name in ("collision", "first_collision"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"service {name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("wait_s", "settle_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"service {name} must be >= 0, got {getattr(self, name)}")

    def contention(self, initial: float, elapsed_s: float, training: bool) -> float:
        """Return x after `elapsed_s` of training, or of idling, from x = `initial`."""
        decay = math.exp(-elapsed_s / self.contention_s)
        return 1 - (1 - initial) * decay if training else initial * decay


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInterval:
    """The requests of one interval.

    Attributes
    ----------
    times_s, latencies_s : NDArray[np.float64]
        When each request arrived and how long it took, shape [num_requests].
    contention : float
        x at the end of the interval.
    """

    times_s: NDArray[np.float64]
    latencies_s: NDArray[np.float64]
    contention: float


# What a device was predicted to serve, a client lives through a moment later.
@functools.lru_cache(maxsize=1024)
def serve(
    spec: ServiceSpec,
    seed: tuple[int, int],
    start_s: float,
    end_s: float,
    contention: float,
    training: bool,
    trained_s: float = 0.0,
) -> ServiceInterval:
    """Serve the requests that arrive in [start_s, end_s).

    Parameters
    ----------
    spec : ServiceSpec
        The service.
    seed : tuple[int, int]
        (seed, node index): the noise of request k is a function of them and k.
    start_s, end_s : float
        The interval in virtual time.
    contention : float
        x at `start_s`.
    training : bool
        Whether the device trains throughout the interval.
    trained_s : float (default: 0.0)
        For how long it has done so without a pause before.
    """
    phase, at_end = _phase(seed), spec.contention(contention, end_s - start_s, training)
    first = max(0, math.ceil(start_s / spec.period_s - phase))
    stop = math.ceil(end_s / spec.period_s - phase)
    if stop <= first:
        return ServiceInterval(times_s=_NONE, latencies_s=_NONE, contention=at_end)
    times_s = np.asarray((np.arange(first, stop) + phase) * spec.period_s, np.float64)
    decay = np.exp(-(times_s - start_s) / spec.contention_s)
    level = 1 - (1 - contention) * decay if training else contention * decay
    noise = np.exp(spec.jitter * _noise(seed, first, stop))
    latencies_s = spec.latency_s * (1 + (spec.slowdown - 1) * level) * noise
    if training and max(spec.collision, spec.first_collision) > 0:
        is_first = (times_s - start_s + trained_s < spec.settle_s) & (spec.settle_s > 0)
        shares = np.where(is_first, spec.first_collision, spec.collision)
        latencies_s += spec.wait_s * (_chances(seed, first, stop) < shares)
    return ServiceInterval(times_s=times_s, latencies_s=latencies_s, contention=at_end)


@functools.lru_cache(maxsize=4096)
def _phase(seed: tuple[int, int]) -> float:
    """Return where in its period a device's service starts: fleets are not synchronised."""
    return float(_block(seed, -1)[0] % 1.0)


def _noise(seed: tuple[int, int], first: int, stop: int) -> NDArray[np.float64]:
    blocks = range(first // _BLOCK, (stop - 1) // _BLOCK + 1)
    drawn = [_block(seed, block) for block in blocks]
    joined = drawn[0] if len(drawn) == 1 else np.concatenate(drawn)
    start = blocks[0] * _BLOCK
    return joined[first - start : stop - start]


def _chances(seed: tuple[int, int], first: int, stop: int) -> NDArray[np.float64]:
    return np.array([_chance(seed, k) for k in range(first, stop)])


@functools.lru_cache(maxsize=65536)
def _chance(seed: tuple[int, int], request: int) -> float:
    return float(np.random.default_rng((*seed, 5, request)).random())


@functools.lru_cache(maxsize=4096)
def _block(seed: tuple[int, int], block: int) -> NDArray[np.float64]:
    return np.random.default_rng((*seed, block + 1)).standard_normal(_BLOCK)

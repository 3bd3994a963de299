"""Aggregation: staleness-aware, step-normalised, participation-corrected, folded on arrival.

One update costs one vector operation and is then dropped by the buffer: it takes O(model), not
O(replies). What `core.memory` remembers comes on top.
"""

import numpy as np

from .state import Names, State, Stateful
from .types import Vector


def participation_weight(
    rate: float, mean_rate: float, exponent: float = 1.0, bound: float = 20.0
) -> float:
    """Weight r^-exponent of a node that arrives r times as often as the mean node.

    With exponent 1 every node has the same expected total weight per second whatever its speed:
    rate * r^-1 is constant. Without it, a model learns the data of its fast devices. The idea is
    inverse-propensity weighting of clients; see Horvitz and Thompson (1952), sec. 2.

    Parameters
    ----------
    rate : float
        Accepted updates per second of this node, > 0.
    mean_rate : float
        Mean rate over the nodes, > 0.
    exponent : float (default: 1.0)
        gamma; 0 switches the correction off.
    bound : float (default: 20.0)
        r is clipped to [1/bound, bound], so that a mismeasured rate cannot take over.

    Raises
    ------
    ValueError
        If a rate is not > 0 or the bound is below 1.
    """
    if not (rate > 0 and mean_rate > 0):
        raise ValueError(f"rates must be > 0, got {rate} and mean {mean_rate}")
    if bound < 1:
        raise ValueError(f"bound must be >= 1, got {bound}")
    return float(np.clip(rate / mean_rate, 1 / bound, bound) ** -exponent)


def step_weight(num_steps: int, reference_steps: float, exponent: float = 0.5) -> float:
    """Weight (reference_steps / num_steps)^exponent of an update of `num_steps` local steps.

    Exponent 1 is FedNova's normalisation (Wang et al., arXiv:2007.07481, sec. 4), 0 is none.
    Raises ValueError if either count is not > 0.
    """
    if not (num_steps > 0 and reference_steps > 0):
        raise ValueError(f"steps must be > 0, got {num_steps} and reference {reference_steps}")
    return float((reference_steps / num_steps) ** exponent)


def mix(current: Vector, other: Vector, alpha: float) -> Vector:
    """Return (1 - alpha) current + alpha other.

    The rule of FedAsync (arXiv:1903.03934, algorithm 1), and of the running average of the
    server's model, which is what gets evaluated and published. Raises ValueError outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
    return (1 - alpha) * current + alpha * other


class UpdateBuffer(Stateful):
    """The weighted sum of the updates since the last model version.

    Parameters
    ----------
    num_parameters : int
        Length of the model vector.
    """

    STATE: Names = ("_sum_of_squares", "_num_updates")

    def __init__(self, num_parameters: int) -> None:
        self._sum: Vector = np.zeros(num_parameters)
        self._sum_of_squares, self._num_updates = 0.0, 0

    def __len__(self) -> int:
        return self._num_updates

    def add(self, delta: Vector, weight: float) -> None:
        """Fold weight * delta into the buffer."""
        self._sum += weight * delta
        self._sum_of_squares += weight**2 * _square(delta)
        self._num_updates += 1

    def blur(self, noise: Vector) -> None:
        """Add noise to the sum; `squares` still tells about the updates."""
        self._sum += noise

    def absorb(self, other: "UpdateBuffer") -> None:
        """Take over the updates of another buffer, which is empty afterwards."""
        self._num_updates += len(other)
        self._sum_of_squares += other._sum_of_squares
        self._sum += other.take_sum()

    def state(self) -> State:
        """Return the state, with a copy of the sum: `add` changes it in place."""
        return super().state() | {"sum": self._sum.copy() if len(self) else None}

    def restore(self, state: State) -> None:
        """Take over a state."""
        super().restore(state)
        self._sum = np.zeros_like(self._sum) if state["sum"] is None else state["sum"]

    def squares(self) -> tuple[float, float]:
        """Return |sum_i u_i|^2 and sum_i |u_i|^2 of the weighted updates u_i."""
        return _square(self._sum), self._sum_of_squares

    def take_sum(self) -> Vector:
        """Return the sum of the weighted updates and empty the buffer."""
        taken = self._sum
        self._sum = np.zeros_like(taken)
        self._sum_of_squares, self._num_updates = 0.0, 0
        return taken

    def take_mean(self) -> Vector:
        """Return (1 / |B|) sum of the weighted updates and empty the buffer.

        Raises
        ------
        ValueError
            If the buffer is empty.
        """
        if self._num_updates == 0:
            raise ValueError("cannot take the mean of an empty buffer: add an update first")
        num_updates = self._num_updates
        mean: Vector = self.take_sum() / num_updates
        return mean


class NormBound(Stateful):
    """Keep a step from being much longer than the steps before it.

    g <- g min(1, bound m / |g|), where m is a running mean of |g| in which no step counts for
    more than twice the mean so far: after the first, an absurd step cannot move the bound by much.
    A step that was turned by what is remembered is also kept from being longer than it was before.

    Parameters
    ----------
    bound : float | None (default: 1.2)
        Longest step in mean steps, >= 1; None for no bounds.
    memory : float (default: 0.95)
        Weight of the past in the mean.
    """

    STATE: Names = ("_mean",)

    def __init__(self, bound: float | None = 1.2, memory: float = 0.95) -> None:
        if bound is not None and not bound >= 1:
            raise ValueError(f"bound must be >= 1 or None, got {bound}")
        self._bound, self._memory = bound, memory
        self._mean: float | None = None

    def __call__(self, step: Vector, before: Vector | None = None) -> Vector:
        """Return the step, shortened if it is too long; one that is not finite as it is.

        Parameters
        ----------
        step : Vector
            The step.
        before : Vector | None (default: None)
            The step before it was turned, which bounds it, too.
        """
        norm = float(np.sqrt(_square(step)))
        if self._bound is None or not 0 < norm < np.inf:
            return step
        if before is not None and (longest := float(np.sqrt(_square(before)))) < norm:
            step, norm = step * (longest / norm), longest
            if norm == 0:
                return step
        mean = norm if self._mean is None else self._mean
        self._mean = self._memory * mean + (1 - self._memory) * min(norm, 2 * mean)
        return step * min(1.0, self._bound * self._mean / norm)


def _square(vector: Vector) -> float:
    with np.errstate(over="ignore"):
        return float(vector @ vector)

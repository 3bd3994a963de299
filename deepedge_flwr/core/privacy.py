"""Central differential privacy: short updates, a noisy sum per version, participation counted."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from .state import Names, Stateful
from .types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """How much the models may tell about any one node.

    Attributes
    ----------
    clip_norm : float
        S, the longest that an update may be after it was weighted.
    noise_multiplier : float
        z; noise of standard deviation z S per parameter is added to the sum of a version.
    delta : float (default: 1e-5)
        Probability with which epsilon may not hold; well below one over the number of nodes.
    seed : int | None (default: None)
        Of the noise, to repeat an experiment; None draws it from the operating system. Who knows
        it can take the noise away. A run that is taken up again after its server has died draws
        anew in any case, but for one in virtual time.
    """

    clip_norm: float
    noise_multiplier: float
    delta: float = 1e-5
    seed: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.clip_norm < math.inf:
            raise ValueError(f"clip_norm must be finite and > 0, got {self.clip_norm}")
        if not 0 <= self.noise_multiplier < math.inf:
            raise ValueError(
                f"noise_multiplier must be finite and >= 0, got {self.noise_multiplier}"
            )
        if not 0 < self.delta < 1:
            raise ValueError(f"delta must be in (0, 1), got {self.delta}")


class PrivateSums(Stateful):
    """The sums of a run's versions, each told with noise.

    A version tells s + N(0, z^2 S^2 I), where s is a sum of updates of which each is at most S
    long. A node that is in version v with k_v updates changes s by k_v S at the most, so that all
    versions together tell about it as much as one Gaussian mechanism of noise multiplier

        z / sqrt(sum_v k_v^2)

    (adaptive composition of Gaussian mechanisms: Dong, Roth and Su, arXiv:1905.02383, sec. 3.2).
    No amplification by sampling is counted: who arrives when is not random.

    Parameters
    ----------
    privacy : Privacy
        Clip, noise and delta.
    entropy : int
        The noise is a function of it and of the version.
    """

    STATE: Names = ("_entropy", "_in_version", "_squares")

    def __init__(self, privacy: Privacy, entropy: int) -> None:
        self._privacy, self._entropy = privacy, entropy
        self._in_version: Counter[int] = Counter()
        self._squares: Counter[int] = Counter()

    def clipped(self, node_id: int, vector: Vector, weight: float) -> Vector:
        """Take a node's update into account; return it, so short that |weight vector| <= S."""
        self._in_version[node_id] += 1
        length = abs(weight) * float(np.linalg.norm(vector))
        if length <= self._privacy.clip_norm:
            return vector
        # What overflows has no direction that could be kept.
        scale = self._privacy.clip_norm / length if math.isfinite(length) else 0.0
        return vector * scale if scale > 0 else np.zeros_like(vector)

    def noise(self, version: int, num_parameters: int) -> Vector:
        """Return the noise of a version, whose updates are complete with it."""
        for node_id, count in self._in_version.items():
            self._squares[node_id] += count * count
        self._in_version.clear()
        rng = np.random.default_rng((self._entropy, version))
        scale = self._privacy.noise_multiplier * self._privacy.clip_norm
        return scale * rng.standard_normal(num_parameters)

    def renew(self, entropy: int) -> None:
        """Draw all further noise anew.

        A version that is made again from other updates must not have the noise that it had: the
        difference of the two would be free of it.
        """
        self._entropy = entropy

    def renamed(self, old_id: int, new_id: int) -> None:
        """Take two nodes for one, as they are the same device."""
        # Before the first update under the new id is in a version: no square is of both.
        for counter in (self._in_version, self._squares):
            counter[new_id] += counter.pop(old_id, 0)

    @property
    def noise_multiplier(self) -> float:
        """That of the one mechanism which equals all versions so far, for the node seen most."""
        most = max(self._squares.values(), default=0)
        return self._privacy.noise_multiplier / math.sqrt(most) if most else math.inf

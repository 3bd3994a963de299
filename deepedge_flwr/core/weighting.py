"""How much an update weighs: its data, staleness, local steps, and how often its node answers."""

import math
from dataclasses import dataclass

from .aggregation import participation_weight, step_weight
from .staleness import polynomial


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """The exponents of an update's weight.

        N p_i (1 + s)^-a (h_ref / h)^q r_i^-gamma',  gamma' = gamma (1 - aligned / 2)

    Nodes whose updates point the same way have alike data: then it matters less who is heard more
    often, and correcting for it costs variance. Correcting what a memory says instead costs none,
    see `split`, but that is older.

    Attributes
    ----------
    staleness_exponent, step_exponent, participation_exponent : float (default: 0.5, 0.5, 1.0)
        a, q and gamma, each >= 0.
    rate_bound : float (default: 4.0)
        r_i is clipped to [1/bound, bound], >= 1.

    Raises
    ------
    ValueError
        If one is out of range.
    """

    staleness_exponent: float = 0.5
    step_exponent: float = 0.5
    participation_exponent: float = 1.0
    rate_bound: float = 4.0

    def __post_init__(self) -> None:
        for name in ("staleness_exponent", "step_exponent", "participation_exponent"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")
        if not self.rate_bound >= 1:
            raise ValueError(f"rate_bound must be >= 1, got {self.rate_bound}")

    def weigh(
        self,
        *,
        relative_share: float,
        staleness: int,
        num_steps: int | None,
        reference_steps: float,
        rates: tuple[float, float],
        aligned: float = 0.0,
    ) -> float:
        """Return the weight of an update.

        Parameters
        ----------
        relative_share : float
            N p_i.
        staleness : int
            s, versions published since the node's model was sent.
        num_steps : int | None
            h, local steps done; None, unknown, leaves that factor out.
        reference_steps : float
            h_ref.
        rates : tuple[float, float]
            Updates per second of the node, and the mean over the nodes; r_i is their ratio. A
            rate of 0, not measured yet, leaves that factor out.
        aligned : float (default: 0.0)
            How far the nodes' updates point the same way, see `core.agreement`.
        """
        weight = relative_share * polynomial(staleness, self.staleness_exponent)
        if rates[0] > 0:
            weight *= participation_weight(*rates, self._gamma(aligned), self.rate_bound)
        if num_steps is not None:
            weight *= step_weight(num_steps, reference_steps, self.step_exponent)
        return weight

    def split(
        self, share: float, rates: tuple[float, float], aligned: float = 0.0
    ) -> tuple[float, float]:
        """Return the weights u of a node's news, and v of what is remembered of it.

            u (1 - m) r_i + m v = r_i^(1 - gamma'),  u = min(1, r_i^-gamma' / (1 - m)),  v >= 0

        While a node's updates do not change, its news are 1 - m of them, r_i times in a round of
        the fleet, and m v of them count all the time: together they weigh what r_i^-gamma' makes
        of r_i updates. What a slow node says too seldom its memory says for it, without the
        variance of a rare update that weighs much. It holds for r_i within the bound, but for
        staleness, which only news are discounted for, and as long as the node is remembered.

        Parameters
        ----------
        share : float
            m of `core.memory`.
        rates, aligned : tuple[float, float], float
            As in `weigh`.
        """
        if not (share > 0 and rates[0] > 0):
            return 1.0, 1.0
        rate = min(self.rate_bound, max(1 / self.rate_bound, rates[0] / rates[1]))
        due, said = rate ** (1 - self._gamma(aligned)), (1 - share) * rate
        return (1.0, (due - said) / share) if due > said else (due / said, 0.0)

    def _gamma(self, aligned: float) -> float:
        return self.participation_exponent * (1 - aligned / 2)

"""FedAsync [Xie et al., 2019]: every update is mixed into the model as it arrives.

Paper: arXiv:1903.03934, algorithm 1 and sec. 5.2.
"""

from collections.abc import Callable
from functools import partial
from logging import INFO
from typing import Any, Literal

from flwr.common import log

from ..core import staleness as laws
from ..core.types import Update, Vector
from .async_strategy import AsyncStrategy
from .options import require_non_negative

StalenessLaw = Literal["constant", "polynomial", "hinge"]


class FedAsync(AsyncStrategy):
    """Publish a version for every update: w <- (1 - alpha s(tau)) w + alpha s(tau) w_local.

    The paper's clients add the proximal term rho/2 ||w - w_sent||^2, rho = 0.005: send it to yours
    in the `train_config`.

    Parameters
    ----------
    alpha : float (default: 0.6)
        Mixing weight of a fresh update, in (0, 1]; the paper also uses 0.9.
    staleness : {"constant", "polynomial", "hinge"} (default: "polynomial")
        s, see `core.staleness`.
    exponent : float (default: 0.5)
        a of the polynomial law.
    slope, threshold : float (default: 10.0, 4.0)
        a and b of the hinge law.
    **options
        See `BufferedHooks`.

    Raises
    ------
    ValueError
        If an option is out of range or the law is unknown.
    """

    keeps_private = False

    def __init__(
        self,
        *,
        alpha: float = 0.6,
        staleness: StalenessLaw = "polynomial",
        exponent: float = 0.5,
        slope: float = 10.0,
        threshold: float = 4.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_non_negative(exponent=exponent, slope=slope, threshold=threshold)
        if self.combine == "trimmed_mean":
            raise ValueError("combine must not be 'trimmed_mean': a version has one update only")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be in (0, 1], got {alpha}")
        available: dict[str, Callable[[int], float]] = {
            "constant": laws.constant,
            "polynomial": partial(laws.polynomial, exponent=exponent),
            "hinge": partial(laws.hinge, slope=slope, threshold=threshold),
        }
        if staleness not in available:
            raise ValueError(f"staleness must be one of {sorted(available)}, got {staleness!r}")
        self.alpha, self.staleness = alpha, staleness
        self._law = available[staleness]

    def direction(self, update: Update) -> Vector:
        """Return w_local - w, the way from the current model to the local one."""
        return update.base + update.delta - self._model

    def weight(self, update: Update, staleness: int) -> float:
        """Return alpha s(tau)."""
        return self.alpha * self._law(staleness)

    def is_due(self, num_updates: int, now_s: float) -> bool:
        """Return True: every update is a version."""
        return True

    def step(self, model: Vector, mean: Vector) -> Vector:
        """Return w + alpha s(tau) (w_local - w)."""
        return model + mean

    def summary(self) -> None:
        """Log the strategy's settings."""
        log(INFO, "\t├──> FedAsync:")
        log(INFO, "\t│\t├── Alpha: %.3g", self.alpha)
        log(INFO, "\t│\t└── Staleness law: %s", self.staleness)
        super().summary()

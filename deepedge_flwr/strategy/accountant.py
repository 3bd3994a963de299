"""What Gaussian noise is worth, by Google's differential privacy library."""

import importlib.util
import math


def require_accountant() -> None:
    """Raise ValueError if the library is not installed."""
    if importlib.util.find_spec("dp_accounting") is None:
        raise ValueError(
            "privacy needs dp-accounting, which tells what the noise is worth: "
            "pip install 'deepedge-flwr[privacy]'"
        )


def epsilon(noise_multiplier: float, delta: float) -> float:
    """Return the smallest epsilon of a Gaussian mechanism, by Balle and Wang, arXiv:1805.06530.

    Parameters
    ----------
    noise_multiplier : float
        Standard deviation of the noise by the sensitivity; infinite if nothing was told.
    delta : float
        Probability with which epsilon may not hold.
    """
    if noise_multiplier == math.inf:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    # Here, because it imports scipy, which nothing else on a server needs.
    from dp_accounting import get_epsilon_gaussian

    return float(get_epsilon_gaussian(noise_multiplier, delta))

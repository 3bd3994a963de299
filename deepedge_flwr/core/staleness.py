"""Staleness weights: how much an update counts that started from an old model version.

Source: Xie et al., Asynchronous Federated Optimization, arXiv:1903.03934, sec. 5.2.
"""


def _check(staleness: int, **parameters: float) -> None:
    for name, value in {"staleness": staleness, **parameters}.items():
        if value < 0:
            raise ValueError(f"{name} must be >= 0, got {value}")


def constant(staleness: int) -> float:
    """Weight 1 whatever the staleness.

    Parameters
    ----------
    staleness : int
        Versions published since the node's model was sent. Raises ValueError if negative.
    """
    _check(staleness)
    return 1.0


def polynomial(staleness: int, exponent: float = 0.5) -> float:
    """Weight (1 + staleness)^-exponent.

    Parameters
    ----------
    staleness : int
        Versions published since the node's model was sent.
    exponent : float (default: 0.5)
        0 gives 1 for every staleness. Raises ValueError if either is negative.
    """
    _check(staleness, exponent=exponent)
    return float((1 + staleness) ** -exponent)


def hinge(staleness: int, slope: float = 10.0, threshold: float = 4.0) -> float:
    """Weight 1 up to `threshold`, then 1 / (slope * (staleness - threshold) + 1).

    Parameters
    ----------
    staleness : int
        Versions published since the node's model was sent.
    slope : float (default: 10.0)
        How fast the weight falls beyond the threshold.
    threshold : float (default: 4.0)
        Largest staleness with full weight. Raises ValueError if any is negative.
    """
    _check(staleness, slope=slope, threshold=threshold)
    return 1.0 if staleness <= threshold else 1.0 / (slope * (staleness - threshold) + 1)

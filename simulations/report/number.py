"""Numbers as text: a fitting number of digits, thousands apart, the unit behind."""

import math

MB = 1e6


def significant(value: float, digits: int = 3) -> str:
    """Return ``value`` with ``digits`` significant digits, but all those before the point.

    Examples
    --------
    >>> significant(0.012345), significant(12.345), significant(12345.6)
    ('0.0123', '12.3', '12,346')
    """
    rounded = float(f"{value:.{digits - 1}e}")
    if rounded == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{value:,.{decimals}f}"


def floored(value: float, digits: int = 3) -> float:
    """Return a positive ``value`` rounded down to ``digits`` digits: a bound must not grow."""
    step = 10.0 ** (math.floor(math.log10(value)) + 1 - digits)
    return math.floor(value / step + 1e-9) * step


def seconds(value: float) -> str:
    """Return a time with its unit, as in ``1,280 s``."""
    return f"{significant(value)} s"


def megabytes(num_bytes: float) -> str:
    """Return a size with its unit, 1 MB being 10^6 bytes, as in ``12.3 MB``."""
    return f"{significant(num_bytes / MB)} MB"


def percent(fraction: float) -> str:
    """Return a share to a tenth of a per cent, as in ``94.5 %``."""
    return f"{100 * fraction:.1f} %"


def rate(fraction: float) -> str:
    """Return a share that may be tiny, as in ``0.042 %``, ``1.2 %`` and ``10.4 %``."""
    return f"{significant(100 * fraction, 3 if fraction >= 0.0995 else 2)} %"


def target(fraction: float) -> str:
    """Return a target accuracy without trailing zeros, as in ``90 %``."""
    return f"{100 * fraction:.6g} %"


def times(factor: float) -> str:
    """Return a ratio to two significant digits, as in ``3.1×``."""
    return f"{significant(factor, 2)}×"

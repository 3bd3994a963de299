"""Checking constructor arguments, and showing them."""

import math


def require_positive(**values: float | None) -> None:
    """Raise ValueError if a value is neither None nor finite and > 0."""
    for name, value in values.items():
        if value is not None and not (_is_number(value) and 0 < value < math.inf):
            raise ValueError(f"{name} must be > 0 and finite, got {value!r}")


def require_count(**values: int | None) -> None:
    """Raise ValueError if a value is neither None nor an integer >= 1."""
    for name, value in values.items():
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{name} must be an integer >= 1, got {value!r}")


def require_port(**values: int | None) -> None:
    """Raise ValueError if a value is neither None nor the number of a port."""
    for name, value in values.items():
        if value is not None and (type(value) is not int or not 0 < value < 65536):
            raise ValueError(
                f"{name} must be an integer from 1 to 65535, got {value!r}: give another one, or "
                "none"
            )


def require_non_negative(**values: float) -> None:
    """Raise ValueError if a value is not >= 0."""
    for name, value in values.items():
        if not (_is_number(value) and 0 <= value < math.inf):
            raise ValueError(f"{name} must be >= 0 and finite, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def auto(value: float | None) -> str:
    """Return a number for a log line; None is one that the strategy chooses by itself."""
    return "auto" if value is None else f"{value:.3g}"

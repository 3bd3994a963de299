"""Checking constructor arguments, and showing them."""


def require_positive(**values: float | None) -> None:
    """Raise ValueError if a value is neither > 0 nor None."""
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")


def require_non_negative(**values: float) -> None:
    """Raise ValueError if a value is not >= 0."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must be >= 0, got {value}")


def auto(value: float | None) -> str:
    """Return a number for a log line; None is one that the strategy chooses by itself."""
    return "auto" if value is None else f"{value:.3g}"

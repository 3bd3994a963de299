"""Checks of constructor arguments: an error names the argument, the rule and the value."""


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


def require_buffer_fits(buffer_size: int | None, num_nodes: int) -> None:
    """Raise ValueError if a buffer could never be filled by different nodes."""
    if buffer_size is not None and buffer_size > num_nodes:
        raise ValueError(
            f"buffer_size must be at most the number of nodes ({num_nodes}), got {buffer_size}: "
            "lower it or connect more nodes (min_available_nodes)"
        )

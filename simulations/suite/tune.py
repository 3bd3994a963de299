"""Choose the best of a grid's configurations by the tuning seeds alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run of one configuration: None if the target was not reached within the horizon."""

    time_to_target_s: float | None
    horizon_s: float
    final_accuracy: float


def best_choice(trials: Mapping[int, Sequence[Trial]]) -> int:
    """Return the index of the configuration with the smallest mean time to the target.

    A run that did not reach it counts with its horizon. Ties go to the higher mean of the final
    accuracies, then to the lower index.

    Raises
    ------
    ValueError
        If there is no configuration, or one without a run.
    """
    if not trials or not all(trials.values()):
        raise ValueError(f"every configuration must have a run, got {dict(trials)}")
    return min(trials, key=lambda index: (*_rank(trials[index]), index))


def _rank(trials: Sequence[Trial]) -> tuple[float, float]:
    times_s = [
        t.horizon_s if t.time_to_target_s is None else t.time_to_target_s for t in trials
    ]  # fmt: skip
    return mean(times_s), -mean(t.final_accuracy for t in trials)

"""Test accuracy on a fixed grid of virtual instants: the same effort for every strategy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flwr.app import ArrayRecord, MetricRecord

from deepedge_flwr.core.aggregation import mix
from deepedge_flwr.core.types import Vector
from deepedge_flwr.layout import ModelLayout
from deepedge_flwr.simulation import VirtualGrid

WINDOW = 5
Row = tuple[float, int, float]


class TargetReached(Exception):
    """The target accuracy is reached, and nothing else was wanted of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What an evaluator knows before a version."""

    accuracies: tuple[float, ...]
    instants_s: tuple[float, ...]
    average: Vector
    last_accuracy: float
    version: int
    arrays: ArrayRecord
    rows: tuple[Row, ...]


class GridEvaluator:
    """An `evaluate_fn` that measures the newest published model at evenly spaced instants.

    Parameters
    ----------
    grid : VirtualGrid
        Its clock says when a version is published; its ledger takes the accuracies.
    initial_arrays : ArrayRecord
        Version 0 of the model.
    accuracy : Callable[[ArrayRecord], float]
        Test accuracy of a model.
    num_evaluations : int
        Instants, evenly spaced over the grid's horizon.
    averaging : float | None (default: None)
        Memory of a running average of the published models, granted to strategies that do not
        average by themselves; None evaluates the model as it is published.
    stop_at : float | None (default: None)
        Accuracy that ends the run: the first instant at which the mean of five evaluations has
        reached it is the last one measured. None measures up to the horizon.

    Raises
    ------
    ValueError
        If there are fewer evaluations than one mean needs.
    """

    def __init__(
        self,
        grid: VirtualGrid,
        initial_arrays: ArrayRecord,
        accuracy: Callable[[ArrayRecord], float],
        num_evaluations: int,
        averaging: float | None = None,
        stop_at: float | None = None,
    ) -> None:
        if num_evaluations < WINDOW:
            raise ValueError(
                f"num_evaluations must be >= {WINDOW}, got {num_evaluations}: accuracies are "
                f"means of {WINDOW} evaluations"
            )
        self._grid, self._accuracy, self._averaging = grid, accuracy, averaging
        self._stop_at, self._is_reached = stop_at, False
        self._accuracies = list[float]()
        step_s = grid.clock.horizon_s / num_evaluations
        self._instants_s = [step_s * (i + 1) for i in reversed(range(num_evaluations))]
        self._layout = ModelLayout.of(initial_arrays)
        self._average = self._layout.to_vector(initial_arrays)
        self.version, self.arrays = 0, initial_arrays
        self.last_accuracy = 0.0
        #: Of every version, for a server that is to be killed.
        self._before: dict[int, _Moment] | None = None
        self._rewinds, self._rows = False, tuple[Row, ...]()

    def __call__(self, version: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Note a published model; measure its predecessor for the instants that have passed.

        Raises
        ------
        TargetReached
            If the predecessor has reached `stop_at`.
        """
        if self._before is not None:
            self._remember(version)
        self._measure(self._grid.clock.now_s())
        if self._is_reached:
            raise TargetReached
        if version > 0 and self._averaging is not None:
            model = self._layout.to_vector(arrays)
            self._average = mix(self._average, model, 1 - self._averaging)
            arrays = self._layout.to_record(self._average)
        self.version, self.arrays = version, arrays
        return None

    def follow(self, grid: VirtualGrid) -> None:
        """Go on with a grid that has come back to an earlier moment, whichever that is.

        The first version that is published there tells: what had been measured before it, and only
        that, is in the new grid's ledger then. To be called before the first version, too.
        """
        self._grid, self._before = grid, self._before or {}
        self._rewinds = True

    def _remember(self, version: int) -> None:
        """Keep what is known before a version, or return to what was known before it."""
        assert self._before is not None
        if self._rewinds:
            moment = self._before.get(version, self._moment())
            self._accuracies, self._instants_s = list(moment.accuracies), list(moment.instants_s)
            self._average, self.last_accuracy = moment.average, moment.last_accuracy
            self.version, self.arrays, self._rows = moment.version, moment.arrays, moment.rows
            for time_s, measured, value in self._rows:
                self._grid.ledger.add(time_s, "evaluate", version=measured, value=value)
        self._rewinds = False
        self._before[version] = self._moment()

    def _moment(self) -> _Moment:
        return _Moment(
            accuracies=tuple(self._accuracies),
            instants_s=tuple(self._instants_s),
            average=self._average,
            last_accuracy=self.last_accuracy,
            version=self.version,
            arrays=self.arrays,
            rows=self._rows,
        )

    def close(self) -> None:
        """Measure the last model for the instants that are left."""
        self._measure(float("inf"))

    def _measure(self, until_s: float) -> None:
        if not self._instants_s or self._instants_s[-1] >= until_s:
            return
        self.last_accuracy = self._accuracy(self.arrays)
        while self._instants_s and self._instants_s[-1] < until_s:
            row = self._instants_s.pop(), self.version, self.last_accuracy
            self._rows = (*self._rows, row) if self._before is not None else ()
            self._grid.ledger.add(row[0], "evaluate", version=row[1], value=row[2])
            self._accuracies.append(self.last_accuracy)
            if self._stop_at is not None and self._mean() >= self._stop_at:
                self._is_reached = True
                self._instants_s.clear()

    def _mean(self) -> float:
        return max(smoothed(self._accuracies[-WINDOW:]), default=0.0)


def smoothed(accuracies: Sequence[float], window: int = WINDOW) -> list[float]:
    """Return the mean of the last `window` accuracies at each instant from the `window`-th on."""
    count = len(accuracies) - window + 1
    return [sum(accuracies[i : i + window]) / window for i in range(max(0, count))]


def time_to_target_s(
    times_s: Sequence[float], accuracies: Sequence[float], target: float
) -> float | None:
    """Return when the mean of five consecutive evaluations first reaches the target, or None."""
    for time_s, mean in zip(times_s[WINDOW - 1 :], smoothed(accuracies), strict=True):
        if mean >= target:
            return time_s
    return None

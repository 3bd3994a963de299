"""Evaluations lie on a fixed grid of instants and see the model of their instant."""

import math

import numpy as np
import pytest
from flwr.app import ArrayRecord
from flwr.clientapp import ClientApp

from deepedge_flwr.simulation import InProcessGrid, LinkSpec, VirtualGrid, build_fleet
from simulations.evaluator import GridEvaluator, TargetReached, smoothed, time_to_target_s


def model(value: float) -> ArrayRecord:
    return ArrayRecord([np.full(2, value)])


class Accuracy:
    """The model's first weight; counts how often it is asked."""

    def __init__(self) -> None:
        self.num_calls = 0

    def __call__(self, arrays: ArrayRecord) -> float:
        self.num_calls += 1
        return float(arrays.to_numpy_ndarrays()[0][0])


@pytest.fixture
def grid() -> VirtualGrid:
    link = LinkSpec(uplink_bytes_per_s=1e3, downlink_bytes_per_s=1e3)
    return VirtualGrid(InProcessGrid(ClientApp(), 1), build_fleet([0.1], link), horizon_s=10.0)


def publish(grid: VirtualGrid, evaluator: GridEvaluator, times_s: dict[float, float]) -> None:
    """Publish models of the given values at the given times, then end the run."""
    for version, (time_s, value) in enumerate(times_s.items()):
        if time_s > grid.clock.now_s():
            grid.clock.wait(time_s - grid.clock.now_s())
        evaluator(version, model(value))
    evaluator.close()


def rows(grid: VirtualGrid) -> list[tuple[float, int | None, float | None]]:
    return [(row.time_s, row.version, row.value) for row in grid.ledger.of("evaluate")]


def test_an_instant_sees_the_model_published_before_it(grid: VirtualGrid) -> None:
    evaluator = GridEvaluator(grid, model(0.0), Accuracy(), num_evaluations=5)
    publish(grid, evaluator, {0.0: 0.0, 3.0: 0.5, 7.0: 0.75})
    assert rows(grid) == [
        (2.0, 0, 0.0),
        (4.0, 1, 0.5),
        (6.0, 1, 0.5),
        (8.0, 2, 0.75),
        (10.0, 2, 0.75),
    ]
    assert (evaluator.version, evaluator.last_accuracy) == (2, 0.75)


def test_a_model_published_at_an_instant_counts_there(grid: VirtualGrid) -> None:
    accuracy = Accuracy()
    evaluator = GridEvaluator(grid, model(0.0), accuracy, num_evaluations=5)
    publish(grid, evaluator, {0.0: 0.0, 2.0: 0.5})
    assert [value for _, _, value in rows(grid)] == [0.5] * 5
    assert accuracy.num_calls == 1


def test_versions_between_two_instants_cost_no_evaluation(grid: VirtualGrid) -> None:
    accuracy = Accuracy()
    evaluator = GridEvaluator(grid, model(0.0), accuracy, num_evaluations=5)
    publish(grid, evaluator, {0.0: 0.0, 4.25: 0.1, 4.5: 0.2, 4.75: 0.3})
    assert [version for _, version, _ in rows(grid)] == [0, 0, 3, 3, 3]
    assert accuracy.num_calls == 2


def test_averaging_is_a_running_mean_of_the_published_models(grid: VirtualGrid) -> None:
    evaluator = GridEvaluator(grid, model(0.0), Accuracy(), num_evaluations=5, averaging=0.75)
    publish(grid, evaluator, {0.0: 0.0, 3.0: 1.0, 5.0: 1.0})
    # 1 - 0.75, then 1 - 0.75^2
    assert [value for _, _, value in rows(grid)] == [0.0, 0.25, 0.4375, 0.4375, 0.4375]
    assert evaluator.arrays.to_numpy_ndarrays()[0].tolist() == [0.4375, 0.4375]


def test_the_initial_model_is_not_averaged_with_itself(grid: VirtualGrid) -> None:
    evaluator = GridEvaluator(grid, model(0.5), Accuracy(), num_evaluations=5, averaging=0.9)
    publish(grid, evaluator, {0.0: 0.5})
    assert [value for _, _, value in rows(grid)] == [0.5] * 5


def test_closing_twice_changes_nothing(grid: VirtualGrid) -> None:
    evaluator = GridEvaluator(grid, model(0.5), Accuracy(), num_evaluations=5)
    evaluator.close()
    evaluator.close()
    assert len(rows(grid)) == 5


@pytest.mark.parametrize("num_evaluations", [4, 0, -1])
def test_there_are_enough_evaluations_for_one_mean(grid: VirtualGrid, num_evaluations: int) -> None:
    with pytest.raises(ValueError, match=f"num_evaluations must be >= 5, got {num_evaluations}"):
        GridEvaluator(grid, model(0.0), Accuracy(), num_evaluations)


def test_smoothed_is_the_mean_of_a_window() -> None:
    assert smoothed([0.0, 1.0, 2.0, 3.0, 4.0, 9.0]) == [2.0, 3.8]
    assert smoothed([1.0, 3.0, 5.0], window=2) == [2.0, 4.0]
    assert smoothed([1.0] * 4) == []


def test_time_to_target_is_the_end_of_the_first_window_that_reaches_it() -> None:
    times_s = [10.0 * (i + 1) for i in range(7)]
    accuracies = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert time_to_target_s(times_s, accuracies, 0.8) == 50.0
    assert time_to_target_s(times_s, accuracies, math.nextafter(0.8, 1.0)) == 60.0
    assert time_to_target_s(times_s, accuracies, 1.5) is None


def test_one_lucky_evaluation_does_not_reach_the_target() -> None:
    assert time_to_target_s(range(1, 7), [0.1, 0.1, 0.1, 0.1, 1.0, 0.1], 0.9) is None


def test_the_run_ends_at_the_first_instant_that_reaches_the_target(grid: VirtualGrid) -> None:
    """The model of 2 s reaches 0.5 as a mean of five at 6 s, which is known when 7 s publishes."""
    evaluator = GridEvaluator(grid, model(0.0), Accuracy(), num_evaluations=10, stop_at=0.5)
    with pytest.raises(TargetReached):
        publish(grid, evaluator, {0.0: 0.0, 2.0: 0.5, 5.5: 0.75, 7.0: 1.0, 9.0: 1.0})
    evaluator.close()
    times_s = [time_s for time_s, _, _ in rows(grid)]
    assert times_s == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert time_to_target_s(times_s, [value or 0 for _, _, value in rows(grid)], 0.5) == 6.0
    assert (grid.clock.now_s(), evaluator.version) == (7.0, 2)


def test_a_target_reached_by_the_last_model_ends_the_evaluations(grid: VirtualGrid) -> None:
    evaluator = GridEvaluator(grid, model(0.5), Accuracy(), num_evaluations=10, stop_at=0.5)
    evaluator.close()
    assert [time_s for time_s, _, _ in rows(grid)] == [1.0, 2.0, 3.0, 4.0, 5.0]

"""The digits task has the split, the scale and the model that it names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from simulations.tasks import Task
from simulations.tasks.digits import load


def make_task(speed_rank: Sequence[int] = range(8), **changes: Any) -> Task:
    arguments: dict[str, Any] = {"seed": 0, "alpha": 1.0} | changes
    return load(num_nodes=len(speed_rank), speed_rank=speed_rank, **arguments)


def test_a_fifth_of_the_digits_is_the_test_set() -> None:
    task = make_task()
    assert task.test_inputs.shape == (359, 64)
    assert sum(map(len, task.node_labels)) == 1797 - 359
    assert [p.shape for p in task.build_model(0).parameters()] == [(32, 64), (32,), (10, 32), (10,)]


def test_inputs_are_scaled_to_the_unit_interval() -> None:
    inputs = np.concatenate([*make_task().node_inputs, make_task().test_inputs])
    assert (inputs.min(), inputs.max()) == (0, 1)
    assert inputs.dtype == np.float32
    assert make_task().test_labels.dtype == np.int64


def test_the_task_is_a_function_of_the_seed() -> None:
    first, again, other = make_task(), make_task(), make_task(seed=1)
    np.testing.assert_array_equal(first.node_inputs[3], again.node_inputs[3])
    np.testing.assert_array_equal(first.test_inputs, again.test_inputs)
    assert not np.array_equal(first.test_inputs, other.test_inputs)


def test_the_slowest_quarter_alone_holds_eight_and_nine() -> None:
    task = make_task([6, 0, 1, 2, 7, 3, 4, 5], partition="speed_correlated")
    holders = [node for node, labels in enumerate(task.node_labels) if set(labels) & {8, 9}]
    assert holders == [0, 4]
    assert set(task.node_labels[0]) | set(task.node_labels[4]) == {8, 9}


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_nodes=1000 .* use fewer nodes"):
        make_task(range(1000))

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulations.report import Scenario, read_run
from simulations.report.curves import bytes_curve, mean_curve
from simulations.report.timeline import MAX_NODES, drawn, window


def test_mean_curve_holds_each_published_model_until_the_next() -> None:
    x, (mean, low, high) = mean_curve(
        [np.array([[0.0, 0.1], [10.0, 0.5]]), np.array([[5.0, 0.3], [20.0, 0.7]])]
    )
    assert x.tolist() == [5.0, 10.0, 20.0]
    assert mean.tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert (low.tolist(), high.tolist()) == ([0.1, 0.3, 0.5], [0.3, 0.5, 0.7])


def test_bytes_curve_counts_both_directions(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    curve = bytes_curve(read_run(write_run(tmp_path / "a")))
    assert curve.tolist() == [[2_000_000, 0.1], [2_500_000, 0.95]]


def test_timeline_shows_a_tenth_of_the_horizon_or_three_of_the_longest_jobs(
    tmp_path: Path, write_scenario: Callable[..., Scenario]
) -> None:
    assert window(write_scenario(tmp_path / "a", {})) == 100.0
    assert window(write_scenario(tmp_path / "b", {"horizon_s": 100.0})) == 60.0


def test_timeline_spaces_the_nodes_evenly() -> None:
    nodes = drawn(range(1000))
    assert (len(nodes), nodes[0], nodes[-1]) == (MAX_NODES, 0, 999)

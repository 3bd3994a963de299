"""FedAvg with a deadline by hand: who is in time, who is late, and when rounds begin and end."""

import math
from typing import Any

import pytest

from deepedge_flwr import DeadlineFedAvg
from deepedge_flwr.simulation import LinkSpec
from tests.numpy_app import arrays, fleet, follow_target, vector, virtual_grid

AT_ONCE = LinkSpec(uplink_bytes_per_s=math.inf, downlink_bytes_per_s=math.inf, jitter=0.0)


class Recorder:
    """An `evaluate_fn` that keeps the time and the value of every version."""

    def __init__(self, grid: Any) -> None:
        self.grid, self.versions = grid, list[tuple[float, float]]()

    def __call__(self, version: int, record: Any) -> None:
        if version:
            self.versions.append((self.grid.clock.now_s(), vector(record)[0]))


def start(
    targets: list[float], step_times_s: list[float], num_rounds: int, **options: Any
) -> tuple[list[tuple[float, float]], Any, DeadlineFedAvg]:
    """Return the versions with their times, the grid and the strategy."""
    app = follow_target(targets, num_examples=options.pop("num_examples", None))
    grid = virtual_grid(app, fleet(*step_times_s, link=AT_ONCE))
    strategy, recorder = DeadlineFedAvg(**options), Recorder(grid)
    strategy.start(grid, arrays([0.0]), num_rounds=num_rounds, evaluate_fn=recorder)
    return recorder.versions, grid, strategy


def dispatches(grid: Any) -> list[tuple[float, int]]:
    return [(row.time_s, row.node_id) for row in grid.ledger.of("dispatch")]


def towards(model: float, *targets: float) -> float:
    """Half way to the mean of the targets."""
    return model + 0.5 * (sum(targets) / len(targets) - model)


def test_five_rounds_by_hand() -> None:
    """Nodes of 1, 1 and 3 s, a deadline of 2 s.

    Round 1 ends at its deadline. Round 2 begins without node 3, which still works, and ends at 3 s
    when both its nodes have answered; node 3's late reply of that instant is dropped. Round 3 is
    like round 1: from 3 s to its deadline.
    """
    versions, grid, strategy = start([2.0, 6.0, 100.0], [1.0, 1.0, 3.0], 5, deadline_s=2.0)
    expected, model = [], 0.0
    for time_s in (2.0, 3.0, 5.0, 6.0, 8.0):
        model = towards(model, 2.0, 6.0)
        expected.append((time_s, pytest.approx(model)))
    assert versions == expected
    assert dispatches(grid) == [
        *((0.0, 1), (0.0, 2), (0.0, 3)),
        *((2.0, 1), (2.0, 2)),
        *((3.0, 1), (3.0, 2), (3.0, 3)),
        *((5.0, 1), (5.0, 2)),
        *((6.0, 1), (6.0, 2), (6.0, 3)),
    ]
    late = [row for row in grid.ledger.of("reply") if row.node_id == 3]
    assert [row.time_s for row in late] == [3.0, 6.0]
    assert strategy.discarded == {row.message_id for row in late}


def test_late_replies_are_wasted_both_ways() -> None:
    _, grid, strategy = start([2.0, 6.0, 100.0], [1.0, 1.0, 3.0], 3, deadline_s=2.0)
    assert strategy.discarded == {"message-3"}
    rows = [row for row in grid.ledger.rows if row.message_id == "message-3"]
    (down,) = [row.bytes_down for row in rows if row.bytes_down]
    (up,) = [row.bytes_up for row in rows if row.bytes_up]
    assert grid.ledger.wasted_bytes(strategy.discarded) == down + up


def test_all_replies_of_the_instant_of_the_deadline_are_in_time() -> None:
    versions, _, strategy = start([2.0, 6.0, 100.0], [1.0, 1.0, 3.0], 1, deadline_s=1.0)
    assert versions == [(1.0, pytest.approx(towards(0.0, 2.0, 6.0)))]
    assert not strategy.discarded


def test_a_round_without_a_reply_waits_for_the_first() -> None:
    """Nodes of 1 and 2.5 s, a deadline of 0.5 s: node 1 alone makes every version."""
    versions, grid, strategy = start([2.0, 6.0], [1.0, 2.5], 4, deadline_s=0.5)
    assert versions == [(1.0, 1.0), (2.0, 1.5), (3.0, 1.75), (4.0, 1.875)]
    assert dispatches(grid) == [(0.0, 1), (0.0, 2), (1.0, 1), (2.0, 1), (3.0, 1), (3.0, 2)]
    assert strategy.discarded == {"message-2"}


def test_replies_weigh_their_examples_among_those_that_made_it() -> None:
    versions, _, _ = start(
        [2.0, 6.0, 100.0], [1.0, 1.0, 3.0], 1, deadline_s=2.0, num_examples=[3, 1, 50]
    )
    assert versions == [(2.0, pytest.approx(0.5 * (3 * 2 + 1 * 6) / 4))]


@pytest.mark.parametrize(("fraction", "deadline_s"), [(0.75, 3.0), (0.5, 2.0), (0.3, 2.0), (1, 4)])
def test_the_deadline_is_measured_in_a_first_round_that_waits_for_all(
    fraction: float, deadline_s: float
) -> None:
    """Nodes of 1, 2, 3 and 4 s: the second round begins at 4 s and ends at its deadline."""
    versions, _, _ = start([4.0] * 4, [1.0, 2.0, 3.0, 4.0], 2, fraction=fraction)
    assert [time_s for time_s, _ in versions] == [4.0, 4.0 + deadline_s]


def test_a_fleet_of_equal_nodes_loses_nobody() -> None:
    versions, _, strategy = start([1.0, 2.0, 6.0], [1.0] * 3, 4)
    assert [time_s for time_s, _ in versions] == [1.0, 2.0, 3.0, 4.0]
    assert versions[-1][1] == pytest.approx(3 * (1 - 0.5**4))
    assert not strategy.discarded


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"deadline_s": 0.0}, "deadline_s must be > 0 and finite, got 0"),
        ({"fraction": 0.0}, r"fraction must be in \(0, 1\], got 0"),
        ({"fraction": 1.5}, r"fraction must be in \(0, 1\], got 1.5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DeadlineFedAvg(**options)

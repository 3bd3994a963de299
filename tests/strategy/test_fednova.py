"""FedNova by hand: the steps of a common period, and what unequal steps weigh."""

import math
from typing import Any

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

from deepedge_flwr import FedNova
from deepedge_flwr.simulation import LinkSpec
from tests.numpy_app import arrays, deepedge_mod, fleet, follow_target, vector, virtual_grid

#: A round trip of 1 s, whatever the size of the model.
ONE_SECOND = LinkSpec(
    uplink_bytes_per_s=math.inf,
    downlink_bytes_per_s=math.inf,
    uplink_latency_s=0.75,
    downlink_latency_s=0.25,
    jitter=0.0,
)


def start(
    targets: list[float], step_times_s: list[float], num_rounds: int, **options: Any
) -> tuple[list[float], Any]:
    examples = options.pop("num_examples", None)
    app = follow_target(targets, num_examples=examples, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(*step_times_s, link=ONE_SECOND))
    result = FedNova(**options).start(grid, arrays([0.0]), num_rounds=num_rounds)
    return vector(result.arrays), grid


def nova(model: float, targets: list[float], steps: list[int], shares: list[float]) -> float:
    """One round in closed form: a step goes half way to the target."""
    deltas = [(t - model) * (1 - 0.5**e) for t, e in zip(targets, steps, strict=True)]
    normalised = sum(p * d / e for p, d, e in zip(shares, deltas, steps, strict=True))
    return model + sum(p * e for p, e in zip(shares, steps, strict=True)) * normalised


def test_four_rounds_by_hand() -> None:
    """Step times 1, 2 and 8 s, 1 s of links, a period of 5 s: one step each, then 4, 2 and 1."""
    targets, shares = [8.0, -4.0, 1.0], [0.25, 0.5, 0.25]
    got, grid = start(
        targets, [1.0, 2.0, 8.0], 4, period_s=5.0, first_steps=1, num_examples=[5, 10, 5]
    )
    expected = nova(0.0, targets, [1, 1, 1], shares)
    for _ in range(3):
        expected = nova(expected, targets, [4, 2, 1], shares)
    assert got == pytest.approx([expected], rel=1e-12)
    # The slowest node cannot do a step in the period: it is waited for, 1 + 8 s.
    assert sorted({row.time_s for row in grid.ledger.of("dispatch")}) == [0.0, 9.0, 18.0, 27.0]
    assert grid.clock.now_s() == 36.0


def test_the_period_is_that_of_the_median_node_with_its_overhead() -> None:
    """Three local steps of the median node take 1 + 3 * 2 s: 6, 3 and 1 steps."""
    _, grid = start([1.0] * 3, [1.0, 2.0, 4.0], 2, local_steps=3, first_steps=2)
    steps = [int(row.value) for row in sorted(grid.ledger.of("reply"), key=lambda r: r.node_id)]
    assert steps == [2, 6, 2, 3, 2, 1]
    assert [row.time_s for row in grid.ledger.of("reply")] == [3, 5, 9, 14, 16, 16]


@pytest.mark.parametrize("mods", [[deepedge_mod()], []], ids=["planned", "without the mod"])
def test_equal_steps_are_fedavg(mods: list[Any]) -> None:
    targets, examples, initial = [1.0, -2.0, 4.0, 0.5], [1, 2, 3, 4], arrays([0.3, -0.7, 11.0])
    app = follow_target(targets, num_steps=5, num_examples=examples, mods=mods)
    equal = fleet(1, 1, 1, 1, link=ONE_SECOND)
    ours = FedNova(local_steps=5, first_steps=5).start(
        virtual_grid(app, equal, num_steps=5, follows_plans=bool(mods)), initial, num_rounds=6
    )
    stock = FedAvg(fraction_evaluate=0.0, min_train_nodes=4, min_available_nodes=4).start(
        virtual_grid(app, equal, num_steps=5), initial, num_rounds=6
    )
    np.testing.assert_allclose(vector(ours.arrays), vector(stock.arrays), rtol=1e-12)


def test_a_node_without_the_mod_is_told_about_once(caplog: pytest.LogCaptureFixture) -> None:
    grid = virtual_grid(follow_target([1.0] * 2), fleet(1.0, 2.0), follows_plans=False)
    FedNova(local_steps=7).start(grid, arrays([0.0]), num_rounds=3)
    told = [r.getMessage() for r in caplog.records if "sent no telemetry" in r.getMessage()]
    assert len(told) == 1
    assert told[0].endswith("taken to have done 7 local steps")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"period_s": 0.0}, "period_s must be > 0 and finite, got 0"),
        ({"local_steps": 0}, "local_steps must be an integer >= 1, got 0"),
        ({"first_steps": 1.5}, "first_steps must be an integer >= 1, got 1.5"),
        ({"smoothing": 0.0}, r"smoothing must be in \(0, 1\], got 0"),
        ({"patience_cycles": -1}, "patience_cycles must be > 0 and finite, got -1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        FedNova(**options)

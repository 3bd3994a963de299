"""What is told of blocks that were measured."""

from dataclasses import replace

import numpy as np

from simulations.colocation.bench import Block
from simulations.colocation.measured import Measured, budget_of
from simulations.colocation.scenarios import SCENARIOS

ALONE = 0.002 * np.exp(0.1 * np.random.default_rng(7).standard_normal(2000))


def block(latencies_s: np.ndarray, steps: int = 0) -> Block:
    none = np.zeros(0)
    return Block(latencies_s=latencies_s, times_s=none, wakes_s=none, begun_s=0.0, duration_s=10.0,
                 training_s=10.0, cpu_s=1.0, queued_s=0.0, num_added=1.0, stolen_s=0.0,
                 trained={"num_steps": steps, "elapsed_s": 10.0})  # fmt: skip


def test_pace_is_relative_to_the_processor_time_that_the_service_leaves() -> None:
    found = Measured(
        scenario=SCENARIOS[0],
        budget_s=0.004,
        alone={"uncontrolled": 12.0, "protected": 10.0},
        rationed=8.0,
        service_share=0.1,
        blocks={name: [block(ALONE, steps=80)] for name in ("uncontrolled", "protected")},
    )
    assert found.paces("uncontrolled") == [8.0 / (12.0 * 0.9)]
    assert found.paces("protected") == [8.0 / (10.0 * 0.9)]
    assert found.rationed_pace == 8.0 / (10.0 * 0.9)
    assert found.undisturbed_pace("protected") == 10.0 / 12.0


def test_what_services_compute_is_held_against_the_same_round_without_training() -> None:
    off = [replace(block(ALONE), num_added=added) for added in (100.0, 50.0, 80.0)]
    beside = [replace(block(ALONE, steps=80), num_added=added) for added in (90.0, 45.0, 80.0)]
    found = Measured(
        scenario=SCENARIOS[0], budget_s=0.004, alone={}, rationed=0.0, service_share=0.1,
        blocks={"off": off, "protected": beside, "briefly": beside[:1]},
    )  # fmt: skip
    assert found.service_pace("protected") == 0.9
    assert found.service_pace("briefly") == 0.9


def test_rounds_that_the_host_has_disturbed_can_be_left_out() -> None:
    def late(share: float, stolen_s: float) -> Block:
        return replace(block(np.repeat([0.002, 0.006], [int(100 - 100 * share), int(100 * share)])),
                       stolen_s=stolen_s)  # fmt: skip

    off = [late(0.0, 0.0), late(0.02, 0.01), late(0.25, 0.5), late(0.0, 0.01)]
    beside = [late(0.01, 0.01), late(0.0, 0.0), late(0.0, 0.0), late(0.5, 0.2)]
    found = Measured(
        scenario=SCENARIOS[0], budget_s=0.004, alone={}, rationed=0.0, service_share=0.1,
        blocks={"off": off, "protected": beside},
    )  # fmt: skip
    assert found.missed_more() == [0.01, -0.02, -0.25, 0.5]
    assert found.missed_more(0.015) == [0.01, -0.02]


def test_a_moment_of_noise_does_not_move_the_budget() -> None:
    quiet, noisy = block(ALONE), block(20 * ALONE)
    assert budget_of([noisy, quiet, quiet]) == 1.5 * quiet.quantile_s(0.99)

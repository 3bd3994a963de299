"""A simulated service is fitted to what it was made from."""

from dataclasses import replace

import numpy as np
import pytest

from simulations.colocation.calibration import calibrated
from simulations.colocation.scenarios import LIGHT
from tests.simulations.colocation.blocks import ALONE, WAITS, block


def test_what_was_put_in_is_found() -> None:
    service = calibrated(LIGHT[0], 0.004, [block(ALONE)], [block(ALONE + WAITS, steps=1)])
    assert service.latency_s == pytest.approx(0.002, rel=0.01)
    assert service.jitter == pytest.approx(0.1, rel=0.05)
    assert service.collision == pytest.approx(0.2, rel=0.1)
    assert service.wait_s == pytest.approx(0.05, rel=0.02)
    assert service.budget_s == 0.004


def test_requests_that_are_late_without_training_are_not_its_doing() -> None:
    """A tenth is late alone, three tenths beside training, with nothing between."""
    alone, beside = (np.repeat([0.002, 0.006], [10 - late, late]) for late in (1, 3))
    service = calibrated(LIGHT[0], 0.004, [block(alone)], [block(beside, steps=1)])
    assert service.collision == pytest.approx(0.2)
    assert service.wait_s == pytest.approx(0.004)
    assert calibrated(LIGHT[0], 0.004, [block(beside)], [block(alone, steps=1)]).collision == 0.0


def test_what_training_does_while_it_begins_is_found_beside_pauses() -> None:
    """Five steps of 0.2 s and a second of rest, over and over; the first 40 ms collide."""
    starts_s = np.concatenate([2 * k + 0.2 * np.arange(5) for k in range(50)])
    times_s = np.arange(0.005, 100.0, 0.01)
    is_first = times_s % 2.0 < 0.04
    paused = replace(
        block(np.where(is_first, 0.006, 0.002)),
        times_s=times_s,
        begun_s=1000.0,
        trained={"starts_s": list(1000.0 + starts_s), "ends_s": list(1000.2 + starts_s - 1e-4)},
    )
    nothing = replace(paused, trained={"starts_s": [], "ends_s": []})
    service = calibrated(
        LIGHT[0], 0.004, [block(ALONE)], [block(ALONE, steps=1)], [nothing, paused]
    )
    assert service.first_collision == pytest.approx(1.0, abs=1e-6)
    assert service.settle_s == 0.04
    assert service.collision == pytest.approx(0.0, abs=1e-6)
    assert calibrated(LIGHT[0], 0.004, [block(ALONE)], [block(ALONE, steps=1)]).settle_s == 0.0

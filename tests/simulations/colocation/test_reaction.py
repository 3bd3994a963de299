"""What counts as a reaction to a burst."""

import numpy as np

from simulations.colocation.bench import Block
from simulations.colocation.reaction import Reaction, reaction_of

BUDGET_S = 0.01
#: Requests each 0.1 s; those of a burst, the first second of every two, are late from its third on.
TIMES_S = np.arange(0.0, 12.0, 0.1)
LATE = np.where((TIMES_S % 2 > 0.25) & (TIMES_S % 2 < 0.5), 0.02, 0.005)


def reaction(starts_s: list[float], latencies_s: np.ndarray = LATE, trouble: str = "") -> Reaction:
    trained = {"starts_s": starts_s, "ends_s": [s + 0.03 for s in starts_s], "trouble": trouble}
    block = Block(latencies_s=latencies_s, times_s=TIMES_S, wakes_s=np.zeros(0), begun_s=0.0,
                  duration_s=12.0, training_s=12.0, cpu_s=1.0, queued_s=0.0, num_added=1.0,
                  stolen_s=0.0, trained=trained)  # fmt: skip
    return reaction_of(block, BUDGET_S)


def busy(since_s: float, until_s: float) -> list[float]:
    """Steps of 30 ms without a pause."""
    return list(np.arange(since_s, until_s, 0.031))


def test_a_training_that_pauses_at_once() -> None:
    starts_s = [s for burst in range(6) for s in busy(2 * burst + 0.9, 2 * burst + 2.29)]
    found = reaction([*busy(0.0, 0.29), *starts_s])
    assert (found.num_bursts, found.num_quiet, found.num_trained) == (6, 5, 5)
    assert found.most_steps <= 1


def test_a_training_that_does_not_pause() -> None:
    found = reaction(busy(0.0, 12.0))
    assert found.num_bursts == 6
    assert found.mean_steps > 10


def test_a_training_that_is_over_shows_nothing() -> None:
    found = reaction(busy(0.0, 0.29), trouble="saw no request")
    assert (found.num_bursts, found.num_trained, found.trouble) == (1, 0, "saw no request")


def test_a_service_that_nothing_makes_late_shows_nothing() -> None:
    assert reaction(busy(0.0, 12.0), np.full(len(TIMES_S), 0.005)).num_bursts == 0

"""What a trainer does before it trains."""

from collections.abc import Sequence

from deepedge_flwr.core.device import ProbeFailed
from simulations.colocation.trainer import drain


def test_what_was_seen_before_is_forgotten() -> None:
    backlog = [[0.1, 0.2], [0.3], [], [0.4]]
    drain(lambda: backlog.pop(0))
    assert backlog == [[0.4]]


def test_a_service_that_goes_on_talking_is_not_waited_for() -> None:
    drain(lambda: [0.1])


def test_a_probe_that_fails_is_left_to_the_first_look() -> None:
    def fail() -> Sequence[float]:
        raise ProbeFailed("gone")

    drain(fail)

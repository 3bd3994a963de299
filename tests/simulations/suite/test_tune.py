"""The best configuration is the soonest; ties go to the more accurate, then to the first."""

import pytest

from simulations.suite.tune import Trial, best_choice


def trial(time_s: float | None, accuracy: float = 0.9) -> Trial:
    return Trial(time_to_target_s=time_s, horizon_s=100.0, final_accuracy=accuracy)


def test_the_smallest_mean_time_wins() -> None:
    assert best_choice({0: [trial(50), trial(70)], 1: [trial(40), trial(60)]}) == 1


def test_a_run_that_did_not_get_there_counts_with_its_horizon() -> None:
    assert best_choice({0: [trial(10), trial(None)], 1: [trial(50), trial(59)]}) == 1
    assert best_choice({0: [trial(10), trial(None)], 1: [trial(50), trial(61)]}) == 0


def test_ties_go_to_the_accuracy_then_to_the_order() -> None:
    never = [trial(None, 0.8)], [trial(None, 0.85)], [trial(None, 0.85)]
    assert best_choice(dict(enumerate(never))) == 1


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="every configuration must have a run"):
        best_choice({})
    with pytest.raises(ValueError, match="every configuration must have a run"):
        best_choice({0: [trial(1)], 1: []})

"""A killed server loses nothing: see `python -m simulations.verify faults` for all instants."""

import pytest

from simulations.verify.kills import kill_at_every_event, kill_processes
from simulations.verify.small_run import OPTIONS


@pytest.mark.parametrize("name", OPTIONS)
def test_killed_after_any_event_a_run_ends_as_if_it_had_not_been(name: str) -> None:
    report = kill_at_every_event(name, 20)
    assert report.num_kills >= 20
    assert report.num_different == 0


def test_older_checkpoints_do_as_well() -> None:
    report = kill_at_every_event("DeepEdge", 40, checkpoint_every=3)
    assert report.num_kills >= 40
    assert report.num_different == 0


def test_a_process_is_killed_at_random() -> None:
    report = kill_processes(2, num_rounds=100)
    assert report.num_kills >= 2
    assert (report.num_different, report.num_unreadable, report.num_steps_back) == (0, 0, 0)

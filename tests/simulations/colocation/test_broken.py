"""Trainings beside what is broken end with a reason."""

from simulations.colocation.broken import _watcher_killed


def test_a_probe_whose_process_is_killed() -> None:
    ending = _watcher_killed()
    assert ending.trouble == ending.expected
    assert ending.num_steps > 0

"""Hostile updates in a buffer, in closed form."""

import numpy as np
import pytest

from deepedge_flwr.core.aggregation import UpdateBuffer
from deepedge_flwr.core.robust import Consensus, NormClip, TrimmedBuffer


def filled(buffer: UpdateBuffer, *values: float) -> UpdateBuffer:
    for value in values:
        buffer.add(np.array([value, -value]), 2.0)
    return buffer


def test_the_largest_and_the_smallest_are_left_out() -> None:
    buffer = filled(TrimmedBuffer(2), 1.0, 1e30, 2.0, -1e30, 3.0)
    assert len(buffer) == 5
    assert buffer.take_mean() == pytest.approx([4.0, -4.0])
    assert len(buffer) == 0


def test_a_share_is_left_out_at_each_end_and_at_least_one() -> None:
    values = [float(i) for i in range(10)]
    mean = 2 * sum(values[3:7]) / 4
    assert filled(TrimmedBuffer(2, 0.3), *values).take_mean()[0] == pytest.approx(mean)
    assert filled(TrimmedBuffer(2, 0.0), 0.0, 1.0, 50.0).take_mean()[0] == pytest.approx(2.0)


def test_of_two_updates_there_is_nothing_to_leave_out() -> None:
    assert filled(TrimmedBuffer(2), 1.0, 3.0).take_mean()[0] == pytest.approx(4.0)


def test_equal_updates_are_their_mean() -> None:
    trimmed, plain = (filled(b, *[1.5] * 7) for b in (TrimmedBuffer(2), UpdateBuffer(2)))
    assert trimmed.squares() == pytest.approx(plain.squares())
    assert trimmed.take_sum() == pytest.approx(plain.take_sum())


def test_a_buffer_takes_over_another_and_its_state() -> None:
    buffer = filled(TrimmedBuffer(2), 1.0, 100.0)
    buffer.absorb(filled(TrimmedBuffer(2), 2.0, -100.0, 3.0))
    twin = TrimmedBuffer(2)
    twin.restore(buffer.state())
    assert len(twin) == 5
    assert twin.take_mean() == pytest.approx([4.0, -4.0])
    assert buffer.take_mean() == pytest.approx([4.0, -4.0])


def test_updates_are_shortened_to_the_median_length() -> None:
    clip, unit = NormClip(), np.array([0.6, 0.8])
    for length in (1.0, 2.0, 3.0, 4.0, 50.0):
        assert clip(length * unit, 2.0) == pytest.approx(length * unit)
    assert clip(2.9 * unit, 2.0) == pytest.approx(2.9 * unit)
    # Six weighted lengths: 2, 4, 5.8, 6, 8, 100.
    assert clip(-1000 * unit, 2.0) == pytest.approx(-5.9 / 2 * unit)


AHEAD, BACK = np.array([1.0, 0.0]), np.array([-1.0, 0.0])


def test_nobody_is_judged_before_the_model_has_moved() -> None:
    consensus = Consensus()
    assert all(consensus.admits(1, BACK) for _ in range(10))


def test_who_pulls_back_while_the_others_pull_ahead_is_left_out_from_the_third_update_on() -> None:
    consensus = Consensus()
    consensus.moved(AHEAD)
    heard = []
    for _ in range(5):
        assert all(consensus.admits(node_id, AHEAD) for node_id in (1, 2, 3))
        heard.append(consensus.admits(4, BACK))
    assert heard == [True, True, False, False, False]


def test_scores_by_hand() -> None:
    consensus = Consensus()
    consensus.moved(AHEAD)
    consensus.admits(1, AHEAD)
    consensus.admits(2, BACK)
    mean_1 = 0.02
    mean_2 = mean_1 + 0.02 * (-1 - mean_1)
    assert consensus.state()["_score"] == pytest.approx({1: mean_1, 2: -mean_2})


def test_where_all_pull_back_nobody_is_left_out() -> None:
    consensus = Consensus()
    consensus.moved(AHEAD)
    assert all(consensus.admits(node_id, BACK) for _ in range(20) for node_id in (1, 2, 3))


def test_the_way_of_the_model_is_a_sum_that_fades() -> None:
    consensus = Consensus()
    consensus.moved(np.array([1.0, 0.0]))
    consensus.moved(np.array([0.0, 1.0]))
    twin = Consensus()
    twin.restore(consensus.state())
    twin.admits(1, np.array([0.9, 1.0]))
    assert twin.state()["_mean"] == pytest.approx(0.02)


def test_a_node_that_mends_is_heard_again() -> None:
    consensus = Consensus()
    consensus.moved(AHEAD)
    for _ in range(10):
        for node_id in (1, 2, 3):
            consensus.admits(node_id, AHEAD)
        consensus.admits(4, BACK)
    heard = []
    for _ in range(40):
        for node_id in (1, 2, 3):
            consensus.admits(node_id, AHEAD)
        heard.append(consensus.admits(4, AHEAD))
    assert not heard[0] and heard[-1]

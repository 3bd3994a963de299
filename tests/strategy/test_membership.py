import math

from deepedge_flwr.strategy.membership import Membership


def connected(*node_ids: int) -> Membership:
    members = Membership()
    members.update(node_ids)
    return members


def test_newcomers_are_ready_in_ascending_order() -> None:
    assert connected(3, 1, 2).ready(0.0) == [1, 2, 3]


def test_a_node_with_work_is_not_ready_until_released() -> None:
    members = connected(1, 2)
    members.occupy(1)
    assert members.ready(0.0) == [2]
    members.release(1)
    assert members.ready(0.0) == [1, 2]


def test_a_node_that_left_is_not_ready_even_if_released() -> None:
    members = connected(1, 2)
    members.occupy(1)
    members.update([2])
    members.release(1)
    assert members.ready(0.0) == [2]
    assert len(members) == 1


def test_a_node_that_leaves_and_returns_with_work_is_not_ready() -> None:
    members = connected(1, 2)
    members.occupy(1)
    members.update([2])
    members.update([1, 2])
    assert members.ready(0.0) == [2]
    members.release(1)
    assert members.ready(0.0) == [1, 2]


def test_a_node_that_was_released_while_away_is_ready_when_it_returns() -> None:
    members = connected(1, 2)
    members.occupy(1)
    members.update([2])
    members.release(1)
    members.update([1, 2])
    assert members.ready(0.0) == [1, 2]


def test_a_node_that_returns_is_not_blamed_for_having_left() -> None:
    members = connected(1, 2)
    for _ in range(5):
        members.failed(1, 10.0)
    members.update([1, 2])
    assert members.ready(11.0) == [2]
    members.update([2])
    members.update([1, 2])
    assert members.ready(11.0) == [1, 2]


def test_a_list_is_complete_if_nobody_is_missing_from_it() -> None:
    members = connected(1, 2)
    assert members.is_complete
    members.update([2])
    assert not members.is_complete
    members.update([1, 2, 3])
    assert members.is_complete
    assert not connected().is_complete


def test_the_connected_nodes_are_those_of_the_last_refresh() -> None:
    members = connected(1, 2)
    members.occupy(2)
    members.update([2, 3])
    assert members.node_ids == {2, 3}


def test_work_survives_a_refresh_of_the_list() -> None:
    members = connected(1, 2)
    members.occupy(1)
    members.update([1, 2, 3])
    assert members.ready(0.0) == [2, 3]


def test_back_off_doubles_from_1_s_to_60_s_and_one_success_clears_it() -> None:
    members = connected(1)
    waits_s = []
    for _ in range(8):
        members.failed(1, 100.0)
        retry_at_s = members.next_retry_s(100.0)
        assert retry_at_s is not None
        waits_s.append(retry_at_s - 100.0)
    assert waits_s == [1, 2, 4, 8, 16, 32, 60, 60]
    assert members.ready(159.9) == []
    assert members.ready(160.0) == [1]
    members.succeeded(1)
    assert members.next_retry_s(0.0) is None
    assert members.ready(0.0) == [1]


def test_a_busy_node_has_nothing_to_retry() -> None:
    members = connected(1)
    members.failed(1, 0.0)
    members.occupy(1)
    assert members.next_retry_s(0.0) is None


def test_a_back_off_that_is_over_is_nothing_to_wait_for() -> None:
    members = connected(1, 2)
    members.failed(1, 0.0)
    members.failed(2, 5.0)
    assert members.next_retry_s(0.0) == 1.0
    assert members.next_retry_s(1.0) == 6.0
    assert members.next_retry_s(6.0) is None


def test_five_failures_in_a_row_are_a_quarantine_until_the_first_good_reply() -> None:
    members = Membership()
    members.update([1, 2])
    assert [members.failed(1, 0.0) for _ in range(6)] == [False] * 4 + [True, False]
    assert members.quarantined == [1]
    assert members.succeeded(1)
    assert not members.succeeded(1)
    assert members.quarantined == []


def test_a_device_under_a_new_id_keeps_its_record() -> None:
    members = Membership()
    members.update([1])
    for _ in range(5):
        members.failed(1, 0.0)
    members.update([2])
    members.rename(1, 2)
    assert members.quarantined == [2]
    assert members.num_known == 1 and members.is_complete


def test_a_node_left_alone_is_so_whatever_it_delivers_or_fails() -> None:
    members = Membership()
    members.update([1, 2])
    members.leave_alone(1, 100.0)
    members.leave_alone(1, 50.0)  # what comes later does not shorten it
    members.succeeded(1)
    members.failed(1, now_s=0.0)
    members.update([2])
    members.update([1, 2])
    assert members.ready(99.0) == [2]
    assert members.next_retry_s(99.0) == 100.0
    assert members.ready(100.0) == [1, 2]
    assert members.deferred_until_s == -math.inf


def test_it_stays_so_under_another_node_id() -> None:
    members = Membership()
    members.update([1])
    members.leave_alone(1, 100.0)
    members.rename(1, 2)
    members.update([2])
    assert members.ready(99.0) == []

"""A dispatch is settled once: in time, late, or never."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from deepedge_flwr.core.in_flight import InFlight
from deepedge_flwr.core.types import Dispatch


def dispatch(
    message_id: str, node_id: int = 1, version: int = 0, expires_at_s: float = 10.0
) -> Dispatch:
    return Dispatch(
        message_id=message_id,
        node_id=node_id,
        model_version=version,
        index=0,
        sent_at_s=0.0,
        expires_at_s=expires_at_s,
    )


def in_flight_with(*dispatches: Dispatch) -> InFlight:
    in_flight = InFlight()
    for each in dispatches:
        in_flight.add(each)
    return in_flight


def test_a_reply_settles_its_dispatch_exactly_once() -> None:
    sent = dispatch("a")
    in_flight = in_flight_with(sent)
    assert (len(in_flight), in_flight.is_busy(1)) == (1, True)
    assert in_flight.settle("a") is sent
    assert (len(in_flight), in_flight.is_busy(1)) == (0, False)
    assert in_flight.settle("a") is None


def test_a_reply_that_nobody_asked_for_is_none() -> None:
    in_flight = in_flight_with(dispatch("a"))
    assert in_flight.settle("b") is None
    assert len(in_flight) == 1


def test_a_dispatch_expires_at_its_deadline_and_frees_its_node() -> None:
    sent = dispatch("a", expires_at_s=10.0)
    in_flight = in_flight_with(sent)
    assert in_flight.expire(9.999) == []
    assert in_flight.expire(10.0) == [sent]
    assert (len(in_flight), in_flight.is_busy(1)) == (0, False)
    assert in_flight.expire(11.0) == []


def test_dispatches_expire_in_the_order_of_their_deadlines() -> None:
    late, soon, never = (dispatch(i, n, expires_at_s=t) for i, n, t in
                         (("a", 1, 5.0), ("b", 2, 3.0), ("c", 3, 50.0)))  # fmt: skip
    assert in_flight_with(late, soon, never).expire(6.0) == [soon, late]


def test_a_late_reply_is_settled_once() -> None:
    sent = dispatch("a")
    in_flight = in_flight_with(sent)
    in_flight.expire(10.0)
    assert in_flight.message_ids == ["a"]
    assert in_flight.settle("a") is sent
    assert in_flight.settle("a") is None
    assert in_flight.message_ids == []


def test_a_late_reply_leaves_the_node_s_new_dispatch_alone() -> None:
    old, new = dispatch("a", expires_at_s=10.0), dispatch("b", expires_at_s=20.0)
    in_flight = in_flight_with(old)
    in_flight.expire(10.0)
    in_flight.add(new)
    assert in_flight.settle("a") is old
    assert in_flight.is_busy(1)
    assert in_flight.settle("b") is new


def test_a_node_is_remembered_by_its_latest_expired_dispatch_only() -> None:
    in_flight = in_flight_with(dispatch("a", expires_at_s=10.0))
    in_flight.expire(10.0)
    in_flight.add(dispatch("b", expires_at_s=20.0))
    in_flight.expire(20.0)
    assert in_flight.message_ids == ["b"]
    assert in_flight.settle("a") is None


def test_a_model_version_is_needed_as_long_as_a_reply_may_come() -> None:
    in_flight = in_flight_with(dispatch("a", 1, 3), dispatch("b", 2, 5, expires_at_s=20.0))
    in_flight.expire(10.0)
    assert in_flight.model_versions == {3, 5}
    in_flight.settle("a")
    assert in_flight.model_versions == {5}


def test_only_unexpired_dispatches_of_a_version_are_waited_for() -> None:
    in_flight = in_flight_with(
        dispatch("a", 1, 3), dispatch("b", 2, 3, expires_at_s=20.0), dispatch("c", 3, 5)
    )
    assert [in_flight.num_waiting(version) for version in (3, 4, 5)] == [2, 0, 1]
    in_flight.expire(10.0)
    assert [in_flight.num_waiting(version) for version in (3, 5)] == [1, 0]
    in_flight.settle("a")
    assert in_flight.num_waiting(3) == 1
    in_flight.settle("b")
    assert in_flight.num_waiting(3) == 0


def test_the_next_expiry_is_that_of_an_unanswered_dispatch() -> None:
    in_flight = in_flight_with(dispatch("a", 1), dispatch("b", 2, expires_at_s=20.0))
    assert in_flight.next_expiry_s() == 10.0
    in_flight.settle("a")
    assert in_flight.next_expiry_s() == 20.0
    in_flight.expire(20.0)
    assert in_flight.next_expiry_s() is None


def test_messages_are_numbered_per_node_whatever_became_of_them() -> None:
    in_flight = in_flight_with(dispatch("a", 1), dispatch("b", 2))
    in_flight.settle("a")
    in_flight.add(dispatch("c", 1))
    in_flight.expire(10.0)
    assert [in_flight.next_index(node_id) for node_id in (1, 2, 3)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (dispatch("a", 2), "message 'a' is already in flight"),
        (dispatch("b", 1), "node 1 already has 1 in flight"),
    ],
)
def test_a_second_dispatch_under_way_is_an_error(second: Dispatch, message: str) -> None:
    in_flight = in_flight_with(dispatch("a", 1))
    with pytest.raises(ValueError, match=message):
        in_flight.add(second)
    assert (len(in_flight), in_flight.next_index(1), in_flight.next_index(2)) == (1, 1, 0)


NODES = st.integers(0, 3)


class AnyInterleaving(RuleBasedStateMachine):
    """Sends, replies (late and duplicate ones too) and the passing of time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = InFlight()
        self.now_s = 0.0
        self.sent: list[Dispatch] = []
        self.waiting: dict[str, Dispatch] = {}
        self.late: dict[int, Dispatch] = {}
        self.settled: list[Dispatch] = []

    @rule(node_id=NODES, timeout_s=st.integers(1, 8))
    def send(self, node_id: int, timeout_s: int) -> None:
        message = dispatch(f"m{len(self.sent)}", node_id, len(self.sent), self.now_s + timeout_s)
        if any(d.node_id == node_id for d in self.waiting.values()):
            with pytest.raises(ValueError, match=f"node {node_id} already"):
                self.in_flight.add(message)
            return
        self.in_flight.add(message)
        self.sent.append(message)
        self.waiting[message.message_id] = message

    @rule(number=st.integers(0, 40))
    def reply(self, number: int) -> None:
        message_id = f"m{number}"
        expected = self.waiting.pop(message_id, None)
        if expected is None:
            expected = next((d for d in self.late.values() if d.message_id == message_id), None)
            if expected is not None:
                del self.late[expected.node_id]
        assert self.in_flight.settle(message_id) is expected
        if expected is not None:
            self.settled.append(expected)

    @rule(elapsed_s=st.integers(0, 5))
    def pass_time(self, elapsed_s: int) -> None:
        self.now_s += elapsed_s
        overdue = [d for d in self.waiting.values() if d.expires_at_s <= self.now_s]
        got = self.in_flight.expire(self.now_s)
        assert sorted(d.message_id for d in got) == sorted(d.message_id for d in overdue)
        for each in got:
            del self.waiting[each.message_id]
            self.late[each.node_id] = each

    @invariant()
    def every_unanswered_dispatch_is_worth_pulling_and_no_other(self) -> None:
        unanswered = [*self.waiting.values(), *self.late.values()]
        assert sorted(self.in_flight.message_ids) == sorted(d.message_id for d in unanswered)
        assert self.in_flight.model_versions == {d.model_version for d in unanswered}
        assert len(self.in_flight) == len(self.waiting)
        for message in self.sent:
            waiting = [d for d in self.waiting.values() if d.model_version == message.model_version]
            assert self.in_flight.num_waiting(message.model_version) == len(waiting)

    @invariant()
    def no_dispatch_was_settled_twice(self) -> None:
        ids = [d.message_id for d in self.settled]
        assert len(ids) == len(set(ids))
        assert not set(ids) & set(self.in_flight.message_ids)

    @invariant()
    def a_node_is_busy_with_its_one_unexpired_dispatch(self) -> None:
        busy = sorted(d.node_id for d in self.waiting.values())
        assert [n for n in range(4) if self.in_flight.is_busy(n)] == busy
        for node_id in range(4):
            so_far = sum(d.node_id == node_id for d in self.sent)
            assert self.in_flight.next_index(node_id) == so_far

    @invariant()
    def the_next_expiry_is_the_earliest(self) -> None:
        expected = min((d.expires_at_s for d in self.waiting.values()), default=None)
        assert self.in_flight.next_expiry_s() == expected


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_node_may_be_allowed_several() -> None:
    in_flight = InFlight(per_node=2)
    in_flight.add(dispatch("a"))
    assert not in_flight.is_busy(1) and not in_flight.is_idle(1)
    in_flight.add(dispatch("b"))
    assert in_flight.is_busy(1)
    with pytest.raises(ValueError, match="node 1 already has 2 in flight"):
        in_flight.add(dispatch("c"))
    in_flight.settle("a")
    assert not in_flight.is_busy(1) and not in_flight.is_idle(1)
    in_flight.add(dispatch("c"))
    assert [d.message_id for d in in_flight.give_up(1)] == ["b", "c"]
    assert in_flight.is_idle(1) and in_flight.next_index(1) == 3


def test_what_is_abandoned_is_numbered_again() -> None:
    in_flight = InFlight(per_node=2)
    for name in "abc":
        in_flight.add(dispatch(name))
        if name == "a":
            in_flight.settle("a")
    assert in_flight.abandon() == [1]
    assert in_flight.next_index(1) == 1

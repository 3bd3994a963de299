import math
from types import SimpleNamespace
from typing import Any

from deepedge_flwr.strategy.evaluation import EvaluationRounds, evaluators


def reply_to(message_id: str) -> Any:
    """What the bookkeeping reads of a message."""
    return SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id=message_id))


def test_evaluators_take_turns() -> None:
    nodes = [30, 10, 20, 40]
    assert [evaluators(nodes, 0.5, turn) for turn in range(3)] == [[10, 20], [30, 40], [10, 20]]
    assert [evaluators(nodes, 0.75, turn) for turn in range(2)] == [[10, 20, 30], [10, 20, 40]]
    assert evaluators(nodes, 0.01, 5) == [20]
    assert evaluators(nodes, 0.0, 0) == evaluators([], 1.0, 0) == []


def test_a_round_is_handed_out_once_all_its_replies_are_in() -> None:
    rounds = EvaluationRounds()
    rounds.add(10, ["a", "b"], 60.0)
    rounds.add(20, ["c"], 90.0)
    first, other, second = reply_to("a"), reply_to("c"), reply_to("b")
    assert rounds.settle(first) is None
    assert rounds.settle(other) == (20, [other])
    assert rounds.message_ids == ["b"]
    assert rounds.settle(second) == (10, [first, second])
    assert rounds.message_ids == []


def test_giving_up_hands_out_what_there_is_of_overdue_rounds() -> None:
    rounds = EvaluationRounds()
    rounds.add(10, ["a", "b"], 60.0)
    rounds.add(20, ["c"], 90.0)
    first = reply_to("a")
    rounds.settle(first)
    assert rounds.give_up(59.0) == []
    assert rounds.give_up(60.0) == [(10, [first])]
    assert rounds.message_ids == ["c"]
    assert not rounds.owns(reply_to("b"))
    assert rounds.give_up(math.inf) == [(20, [])]
    assert rounds.message_ids == []


def test_a_complete_round_is_not_handed_out_again() -> None:
    rounds = EvaluationRounds()
    rounds.add(10, ["a"], 60.0)
    assert rounds.settle(reply_to("a")) is not None
    assert rounds.give_up(math.inf) == []


def test_it_owns_only_what_it_waits_for() -> None:
    rounds = EvaluationRounds()
    rounds.add(1, ["a"], 60.0)
    assert rounds.owns(reply_to("a"))
    assert not rounds.owns(reply_to("b"))
    rounds.settle(reply_to("a"))
    assert not rounds.owns(reply_to("a"))

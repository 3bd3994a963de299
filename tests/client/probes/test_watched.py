"""A probe that dies, falls silent or lies is told; one that tells the truth is believed."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from deepedge_flwr.client.probes import Watched, watching
from deepedge_flwr.core.device import ProbeFailed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that only sleeping moves."""
    now_s = [100.0]

    def sleep(duration_s: float) -> None:
        now_s[0] += duration_s

    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(time, "sleep", sleep)
    yield now_s


def scripted(*looks: Sequence[Any]) -> Any:
    answers = iter(looks)
    return lambda: next(answers, [])


def test_the_first_look_waits_for_a_request(clock: list[float]) -> None:
    watched = Watched(scripted([], [], [0.5], [0.25]), 1.0)
    assert watched() == [0.5]
    assert clock[0] == pytest.approx(100.0 + 2 * 0.005)
    assert watched() == [0.25]
    assert watched() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (-0.1, "-0.1"), (math.nan, "nan"), (math.inf, "inf"), ("0.1", "'0.1'"),
     (None, "None"), (True, "True")],
)  # fmt: skip
def test_what_is_no_latency_is_a_lie(value: object, text: str) -> None:
    watched = Watched(scripted([0.5, value]), 1.0)
    with pytest.raises(ProbeFailed, match=f"reported {text}: a latency is a finite number"):
        watched()


def test_a_thousand_equal_latencies_are_a_lie_unless_they_are_of_a_histogram() -> None:
    class Histogram:
        repeats = True

        def __call__(self) -> list[float]:
            return [0.5] * 1000

    watched = Watched(lambda: [0.5] * 500, 1.0)
    watched()
    with pytest.raises(ProbeFailed, match=r"reported 0\.5 s 1000 times in a row"):
        watched()
    assert len(Watched(Histogram(), 1.0)()) == 1000


@pytest.mark.parametrize("looks", [[], [[0.5]]], ids=["from the start", "later"])
def test_a_service_that_says_nothing_for_long_has_gone(
    clock: list[float], looks: list[list[float]]
) -> None:
    watched = Watched(scripted(*looks), 2.0)
    with pytest.raises(ProbeFailed, match="saw no request for 2 s"):
        for _ in range(9):
            watched()
            clock[0] += 0.5
    assert 102.0 < clock[0] < 103.0


def test_a_probe_that_raises_is_a_failure_with_its_words() -> None:
    def broken() -> list[float]:
        raise KeyError("latency")

    with pytest.raises(ProbeFailed, match="raised KeyError: 'latency'"):
        Watched(broken, 1.0)()


def test_a_probe_is_begun_and_ended_around_its_use() -> None:
    class Loud:
        def __init__(self) -> None:
            self.log: list[str] = []

        def start(self) -> None:
            self.log.append("start")

        def __call__(self) -> list[float]:
            return [0.5]

        def close(self) -> None:
            self.log.append("close")

    loud = Loud()
    with watching(loud, 1.0, gates=True) as watched:
        assert isinstance(watched, Watched)
        assert loud.log == ["start"]
    assert loud.log == ["start", "close"]


def test_without_a_gate_no_probe_is_waited_for() -> None:
    def silent() -> list[float]:
        return []

    with watching(silent, 1.0, gates=False) as watched:
        assert watched is silent
    with watching(None, 1.0, gates=True) as nothing:
        assert nothing is None

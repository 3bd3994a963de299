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


def test_silence_counts_from_the_first_look(clock: list[float]) -> None:
    watched = Watched(scripted([], [0.5]), 1.0)
    clock[0] += 1e6  # the app loads its data
    assert watched() == [0.5]


def test_without_a_gate_no_probe_is_waited_for_and_none_of_its_failures_is_the_app_s() -> None:
    def broken() -> list[float]:
        raise OSError("no sensor")

    with watching(list, 1.0, gates=False) as watched:
        assert watched is not None and watched() == []
    with watching(broken, 1.0, gates=False) as watched:
        assert watched is not None
        with pytest.raises(ProbeFailed, match="raised OSError: no sensor"):
            watched()
    with watching(None, 1.0, gates=True) as nothing:
        assert nothing is None


def test_a_probe_that_cannot_begin_is_told_at_the_first_look() -> None:
    class Dead:
        def start(self) -> None:
            raise ProbeFailed("no such service")

        def __call__(self) -> list[float]:
            self.start()
            return []

    with watching(Dead(), 1.0, gates=True) as watched:
        assert watched is not None
        with pytest.raises(ProbeFailed, match="no such service"):
            watched()

"""A signal ends a run between two events."""

import os
import signal
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from flwr.app import ArrayRecord
from flwr.supercore.retry import make_simple_http_retry_invoker

from deepedge_flwr import FedBuff
from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.simulation import InProcessGrid
from deepedge_flwr.strategy.stop import StopSignals
from tests.numpy_app import arrays, follow_target, vector


def test_nothing_happens_without_a_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        assert signal.getsignal(signal.SIGTERM) != before
        assert not stop.is_requested
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_held_back_and_then_delivered(number: int) -> None:
    delivered: list[int] = []
    former = signal.signal(number, lambda n, _: delivered.append(n))
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), number)
            assert stop.is_requested and not delivered
        assert delivered == [number]
    finally:
        signal.signal(number, former)


def test_a_second_one_is_delivered_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), StopSignals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")


def test_other_threads_are_left_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), list[Any]()

    def enter() -> None:
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_run_that_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    grid = InProcessGrid(follow_target([1.0, 1.0]), 2)
    versions: list[tuple[int, list[float]]] = []

    def evaluate(version: int, record: ArrayRecord) -> None:
        versions.append((version, vector(record)))
        if version == 3:
            os.kill(os.getpid(), signal.SIGINT)

    def strategy() -> FedBuff:
        return FedBuff(buffer_size=2, checkpoint_dir=tmp_path, checkpoint_every=1000)

    with pytest.raises(KeyboardInterrupt):
        strategy().start(grid, arrays([0.0]), num_rounds=1000, evaluate_fn=evaluate)
    last = versions[-1]
    assert 3 <= last[0] <= 4
    again = strategy()
    result = again.start(grid, arrays([0.0]), num_rounds=last[0])
    assert (again.version, vector(result.arrays)) == last


def test_a_server_that_has_gone_does_not_keep_a_run_from_its_end(tmp_path: Path) -> None:
    """Flower's grid retries for ever; the signal that ends its apps must end that, too."""

    class Gone(InProcessGrid):
        num_left = 6

        def push_messages(self, messages: Any) -> Any:
            self.num_left -= 1
            if self.num_left >= 0:
                return super().push_messages(messages)
            os.kill(os.getpid(), signal.SIGINT)
            return self._retry_invoker.invoke(self._fail)

        def _fail(self) -> Any:
            raise httpx.ConnectError("connection refused")

    grid = Gone(follow_target([1.0, 1.0]), 2)
    grid._retry_invoker = make_simple_http_retry_invoker()  # as HttpGrid has
    strategy = FedBuff(buffer_size=2, checkpoint_dir=tmp_path, checkpoint_every=1000)
    with pytest.raises(KeyboardInterrupt):
        strategy.start(grid, arrays([0.0]), num_rounds=1000)
    saved = CheckpointFolder(tmp_path).read()
    assert saved is not None and saved["run"]["version"] == 3

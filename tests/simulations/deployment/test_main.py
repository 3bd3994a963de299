"""The trial as a command: whatever ends it, nothing that it has started is left."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulations.deployment import __main__ as trial


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A deployment of which only beginning and end are real."""
    seen: list[str] = []

    class Deployment:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> "Deployment":
            seen.append("begun")
            return self

        def __exit__(self, *_: object) -> None:
            seen.append("stopped")

        def run(self, _config: object) -> int:
            return 1

    monkeypatch.setattr(trial, "LocalDeployment", Deployment)
    former = signal.getsignal(signal.SIGTERM)
    yield seen
    signal.signal(signal.SIGTERM, former)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_all(
    events: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, status: int
) -> None:
    monkeypatch.setattr(trial, "_follow", lambda *_: os.kill(os.getpid(), number))
    monkeypatch.setattr(sys, "argv", ["deployment", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        trial.main()
    assert ended.value.code == status
    assert events == ["begun", "stopped"]

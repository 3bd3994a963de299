"""What the process beside the training does with lines that nobody reads."""

import os
from collections.abc import Iterator

import pytest

from deepedge_flwr.client.probes.sampler import Orphaned, Outlet


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read(reading: int) -> list[str]:
    data = b""
    try:
        while chunk := os.read(reading, 65536):
            data += chunk
    except BlockingIOError:
        pass
    return data.decode().splitlines()


def test_what_does_not_fit_is_said_later(pipe: tuple[int, int]) -> None:
    say = Outlet(os.getppid(), pipe[1])
    lines = [str(k) for k in range(50_000)]
    for line in lines:
        say(line)
    assert say.waiting == [pipe[1]]
    seen: list[str] = []
    while found := read(pipe[0]):
        seen += found
        say("")
    assert seen == lines
    assert say.waiting == []


def test_the_oldest_that_wait_are_lost(pipe: tuple[int, int]) -> None:
    say = Outlet(os.getppid(), pipe[1], most_pending=3)
    for k in range(50_000):
        say(str(k))
    seen = read(pipe[0])
    first = len(seen)
    say("")
    seen += read(pipe[0])
    assert first < 20_000
    # One more had begun when the pipe was full.
    assert seen == [str(k) for k in [*range(first + 1), 49_997, 49_998, 49_999]]


def test_it_ends_with_the_process_that_reads(pipe: tuple[int, int]) -> None:
    with pytest.raises(Orphaned):
        Outlet(os.getppid() + 1, pipe[1])("0.25")

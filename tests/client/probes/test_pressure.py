"""Stalled seconds per second, from a file like the kernel's."""

import time
from pathlib import Path

import pytest

from deepedge_flwr.client.probes import PressureProbe
from deepedge_flwr.core.device import ProbeFailed


def write(path: Path, total_us: int) -> None:
    path.write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total_us}\nfull total=0\n")


def test_the_share_of_the_time_since_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [8.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    path = tmp_path / "cpu"
    probe = PressureProbe(path)
    write(path, 1_000_000)
    assert list(probe()) == []
    write(path, 1_500_000)
    assert list(probe()) == []  # no time has passed
    now_s[0] = 10.0
    assert list(probe()) == [0.25]
    now_s[0] = 11.0
    assert list(probe()) == [1e-6]  # no stall is a figure too, and more than nothing


def test_after_a_start_the_first_look_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [8.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    probe = PressureProbe(tmp_path / "cpu")
    write(tmp_path / "cpu", 1_000_000)
    probe.start()
    write(tmp_path / "cpu", 1_500_000)
    now_s[0] = 10.0
    assert list(probe()) == [0.25]


def test_a_start_leaves_it_to_the_first_look_to_fail(tmp_path: Path) -> None:
    probe = PressureProbe(tmp_path / "cpu")
    probe.start()
    with pytest.raises(ProbeFailed, match="no pressure-stall information in"):
        probe()


def test_a_kernel_that_does_not_tell_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ProbeFailed, match="no pressure-stall information in"):
        PressureProbe(tmp_path / "cpu")()
    (tmp_path / "cpu").write_text("nothing\n")
    with pytest.raises(ProbeFailed, match="no pressure-stall information in"):
        PressureProbe(tmp_path / "cpu")()

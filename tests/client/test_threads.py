"""Threads of numerical libraries: how they wait for each other."""

import os
import sys

import pytest

from deepedge_flwr.client.threads import wait_passively


def test_openmp_is_told_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # or what is set below would stay
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert wait_passively() == ""
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert wait_passively() == ""


def test_it_is_too_late_when_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # or what is set below would stay
    monkeypatch.setitem(sys.modules, "torch", sys)
    assert "set OMP_WAIT_POLICY=passive in the environment of the SuperNode" in wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == ""


def test_what_the_environment_says_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert wait_passively() == "OMP_WAIT_POLICY is ACTIVE"
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert wait_passively() == ""

"""What a local step is, and what a trainer does before it trains."""

from collections.abc import Sequence

import pytest
import torch

from deepedge_flwr.client import FreeCores
from deepedge_flwr.core.device import ProbeFailed
from simulations.colocation.trainer import Step, Training, drain


def test_what_was_seen_before_is_forgotten() -> None:
    backlog = [[0.1, 0.2], [0.3], [], [0.4]]
    drain(lambda: backlog.pop(0))
    assert backlog == [[0.4]]


def test_a_service_that_goes_on_talking_is_not_waited_for() -> None:
    drain(lambda: [0.1])


def test_a_probe_that_fails_is_left_to_the_first_look() -> None:
    def fail() -> Sequence[float]:
        raise ProbeFailed("gone")

    drain(fail)


def gradients(step: Step) -> list[torch.Tensor]:
    step()
    return [p.grad.clone() for p in step.parameters() if p.grad is not None]


def test_a_step_is_the_same_work_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulations.colocation.trainer._LEARNING_RATE", 0.1)
    training = Training(step_s=0.0, size=2)
    whole, parts = Step(training), Step(training)
    with FreeCores(2) as cores:
        parts.spread(cores)  # which warms up, as the other did when it was made
        whole.warm_up()
        in_parts = gradients(parts)
    at_once = gradients(whole)
    assert len(at_once) == 6
    for one, other in zip(at_once, in_parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for updated, in_shares in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(updated, in_shares, rtol=1e-4, atol=1e-6)


def test_the_gradients_of_a_long_step_do_not_fade_into_subnormal_numbers() -> None:
    """With those, arithmetic is so slow that a step of 20 ms would be taken for one of 200."""
    found = gradients(Step(Training(step_s=0.0, size=100)))
    assert min(float(gradient.abs().mean()) for gradient in found) > 1e-30

"""`local_steps` follows the session it is called in, and is a plain loop outside one."""

from collections.abc import Iterator

import pytest

from deepedge_flwr.client import LocalDevice, local_steps, micro_batches
from deepedge_flwr.client.session import session
from deepedge_flwr.core.device import ProbeFailed
from deepedge_flwr.core.gate import Gate
from deepedge_flwr.core.local_run import LocalRun
from deepedge_flwr.core.types import TrainPlan


def planned(num_steps: int) -> LocalRun:
    return LocalRun(TrainPlan(num_steps=num_steps), None, LocalDevice())


def one_shot(num_batches: int) -> Iterator[int]:
    yield from range(num_batches)


def test_without_a_session_every_batch_is_yielded_once() -> None:
    assert list(local_steps("abc")) == ["a", "b", "c"]
    assert list(local_steps(one_shot(3))) == [0, 1, 2]
    assert list(local_steps([])) == []


@pytest.mark.parametrize(
    ("num_steps", "batches"), [(1, "a"), (2, "ab"), (3, "abc"), (4, "abca"), (8, "abcabcab")]
)
def test_a_plan_cuts_or_repeats_the_batches(num_steps: int, batches: str) -> None:
    run = planned(num_steps)
    with session(run):
        assert "".join(local_steps("abc")) == batches
    assert run.num_steps == num_steps


def test_a_loader_is_not_asked_for_a_batch_that_no_step_will_use() -> None:
    source = one_shot(5)
    with session(planned(2)):
        assert list(local_steps(source)) == [0, 1]
    assert next(source) == 2


def test_a_generator_ends_the_steps_when_it_is_exhausted() -> None:
    run = planned(5)
    with session(run):
        assert list(local_steps(one_shot(3))) == [0, 1, 2]
    assert run.num_steps == 3


def test_training_data_without_a_batch_is_an_error() -> None:
    run = planned(2)
    with session(run), pytest.raises(ValueError, match="the node's training data is empty"):
        list(local_steps([]))
    assert run.num_steps == 0


def test_a_loop_over_epochs_shares_one_plan() -> None:
    run = planned(5)
    with session(run):
        epochs = [list(local_steps("abc")) for _ in range(3)]
    # The plan counts steps; it is up after the first call.
    assert epochs == [["a", "b", "c", "a", "b"], [], []]
    assert run.num_steps == 5


def test_a_step_that_the_loop_broke_out_of_is_not_counted() -> None:
    run = planned(5)
    with session(run):
        for batch in local_steps("abc"):
            if batch == "c":
                break
    assert run.num_steps == 2


def test_an_inner_session_ends_where_the_outer_goes_on() -> None:
    outer, inner = planned(1), planned(2)
    with session(outer):
        with session(inner):
            assert list(local_steps("abc")) == ["a", "b"]
        assert list(local_steps("abc")) == ["a"]
    assert list(local_steps("abc")) == ["a", "b", "c"]


def test_an_error_in_training_closes_the_session() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), session(planned(1)):
        raise RuntimeError("out of memory")
    assert list(local_steps("abc")) == ["a", "b", "c"]


def test_a_session_that_does_not_count_yields_every_batch_once() -> None:
    run = planned(10**9)
    with session(run, counts_steps=False):
        assert "".join(local_steps("abc")) == "abc"
        assert "".join(local_steps("de")) == "de"
    assert run.num_steps == 5


def test_without_a_session_every_part_of_a_step_is_yielded() -> None:
    assert list(micro_batches(one_shot(3))) == [0, 1, 2]
    assert list(micro_batches([])) == []


def test_the_parts_of_a_step_end_where_the_run_ends() -> None:
    class Blind(LocalDevice):
        looks = 0

        def service_latencies_s(self) -> list[float]:
            self.looks += 1
            if self.looks > 2:
                raise ProbeFailed("gone")
            return [1e-3]

    run = LocalRun(TrainPlan(num_steps=9), Gate(1.0), Blind())
    with session(run):
        parts = [list(micro_batches("abcd")) for _ in local_steps("xyz")]
    # Looks: before the first step, after its first part, and, in vain, after its second.
    assert parts == [["a", "b"]]
    assert run.num_steps == 1

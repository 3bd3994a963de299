"""Each core computes a part of a step from end to end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from deepedge_flwr import FreeCores
from deepedge_flwr.client.free_cores import _cores_of_helpers, limited_cores
from deepedge_flwr.core.batch_shares import BatchShares


def test_results_come_in_the_order_of_the_parts() -> None:
    with FreeCores(3) as cores:
        assert cores.map(lambda part: 10 * part, range(20)) == [10 * part for part in range(20)]
        assert cores.map(str, iter("ab")) == ["a", "b"]
        assert cores.map(str, []) == []


@pytest.mark.parametrize("count", [2, 3])
def test_parts_are_computed_at_the_same_time(count: int) -> None:
    meet = threading.Barrier(count)
    with FreeCores(count) as cores:
        # Nobody gets past the barrier alone.
        places = cores.map(lambda _: meet.wait(10), range(count))
    assert sorted(places) == list(range(count))


def test_a_core_that_is_done_takes_the_next_part() -> None:
    others_done = threading.Event()
    computed_by = dict[int, int]()

    def compute(part: int) -> None:
        computed_by[part] = threading.get_ident()
        if part == 0:
            others_done.wait(10)
        elif part == 4:
            others_done.set()

    with FreeCores(2) as cores:
        cores.map(compute, range(5))
    assert others_done.is_set()
    # The one that took the first part was busy until all others were done.
    assert len({computed_by[part] for part in (1, 2, 3, 4)}) == 1
    assert computed_by[0] != computed_by[1]


def test_one_core_is_the_caller_itself() -> None:
    with FreeCores(1) as cores:
        threads = cores.map(lambda _: threading.get_ident(), range(3))
    assert set(threads) == {threading.get_ident()}


def test_the_first_error_is_raised_and_what_was_not_begun_is_left_out() -> None:
    begun = []

    def compute(part: int) -> int:
        begun.append(part)
        if part == 1:
            raise ArithmeticError(f"part {part}")
        return part

    with FreeCores(1) as cores:
        with pytest.raises(ArithmeticError, match="part 1"):
            cores.map(compute, range(5))
        assert begun == [0, 1]
        assert cores.map(compute, [7]) == [7]


def test_an_error_in_another_thread_is_raised_in_the_caller() -> None:
    caller, meet = threading.get_ident(), threading.Barrier(2)

    def compute(_: int) -> None:
        meet.wait(10)
        if threading.get_ident() != caller:
            raise ArithmeticError("of a helper")

    with FreeCores(2) as cores, pytest.raises(ArithmeticError, match="of a helper"):
        cores.map(compute, range(2))


def test_threads_end_with_the_block_and_map_with_them() -> None:
    before = threading.active_count()
    cores = FreeCores(3)
    with pytest.raises(RuntimeError, match="needs its with block"):
        cores.map(str, "ab")
    for _ in range(2):
        with cores:
            meet = threading.Barrier(3)
            cores.map(lambda _, meet=meet: meet.wait(10), range(3))  # type: ignore[misc]
            assert threading.active_count() == before + 2
        assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="needs its with block"):
        cores.map(str, "ab")


def test_count_must_be_a_core_at_least() -> None:
    with pytest.raises(ValueError, match="count must be >= 1 or None, got 0"):
        FreeCores(0)


def count_of(cores: FreeCores) -> int:
    with cores:
        return cores.count


def test_a_cap_holds_for_what_is_entered_inside_its_block() -> None:
    cores = FreeCores(5)
    with limited_cores(2):
        assert count_of(cores) == 2
        assert count_of(FreeCores(1)) == 1
        with limited_cores(None):
            assert count_of(cores) == 5
    assert count_of(cores) == 5


def test_a_block_in_a_block_of_the_same_is_refused() -> None:
    with FreeCores(2) as cores:
        with pytest.raises(RuntimeError, match="make one for each with block"), cores:
            pass
        assert cores.map(str, [1, 2]) == ["1", "2"]


def test_an_interrupted_caller_waits_for_what_is_begun_and_for_no_more() -> None:
    caller, meet, done = threading.get_ident(), threading.Barrier(2), list[object]()
    first_parts = (0, 1, slice(0, 4), slice(4, 8))

    def compute(part: object) -> None:
        if part in first_parts:
            meet.wait(10)
        if threading.get_ident() == caller:
            raise KeyboardInterrupt
        time.sleep(0.05)
        done.append(part)

    with FreeCores(2) as cores:
        with pytest.raises(KeyboardInterrupt):
            cores.map(compute, range(100))
        num_done = len(done)
        assert 1 <= num_done < 50
        assert cores.map(str, [7]) == ["7"]
        assert len(done) == num_done
        with pytest.raises(KeyboardInterrupt):
            cores.map_batch(compute, 8)
        assert done[num_done:] == [slice(4, 8)]
        assert cores.map_batch(str, 2) == [str(slice(0, 1)), str(slice(1, 2))]
    assert len(done) == num_done + 1


class PartClock:
    """A clock that each part sets to when it was done, as if all had begun at 0."""

    def __init__(self) -> None:
        self.of_thread = threading.local()

    def now_s(self) -> float:
        return float(getattr(self.of_thread, "now_s", 0.0))


def test_a_share_of_the_batch_follows_the_pace_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, caller, expected = PartClock(), threading.get_ident(), BatchShares(2)
    monkeypatch.setattr("deepedge_flwr.client.free_cores.WallClock", lambda: clock)

    def compute(part: slice) -> tuple[slice, bool]:
        is_own = threading.get_ident() == caller
        clock.of_thread.now_s = (part.stop - part.start) / (4.0 if is_own else 1.0)
        return part, is_own

    with FreeCores(2) as cores:
        for _ in range(30):
            clock.of_thread.now_s = 0.0
            parts = expected.cut(1000)
            # The first part is the caller's each time: else its pace would be another's.
            assert cores.map_batch(compute, 1000) == [(parts[0], True), (parts[1], False)]
            own, other = (part.stop - part.start for part in parts)
            expected.learn(parts, [own / 4.0, other / 1.0])
    assert expected.weights[0] > 0.75


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_core_has_a_part_of_the_batch(count: int) -> None:
    meet = threading.Barrier(count)

    def compute(part: slice) -> int:
        meet.wait(10)
        return sum(range(12)[part])

    with FreeCores(count) as cores:
        results = cores.map_batch(compute, 12)
    assert len(results) == count
    assert sum(results) == sum(range(12))


def test_a_batch_of_fewer_samples_than_cores_has_fewer_parts() -> None:
    with FreeCores(3) as cores:
        assert cores.map_batch(lambda part: part, 1) == [slice(0, 1)]
        assert cores.map_batch(lambda part: part, 0) == []


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_a_part_is_raised_when_the_others_are_done(failing: int) -> None:
    meet, failed, done = threading.Barrier(3), threading.Event(), list[int]()

    def compute(part: slice) -> None:
        meet.wait(10)
        if part.start == failing:
            failed.set()
            raise ArithmeticError(f"part {part.start}")
        failed.wait(10)
        time.sleep(0.05)
        done.append(part.start)

    with FreeCores(3) as cores:
        try:
            with pytest.raises(ArithmeticError, match=f"part {failing}"):
                cores.map_batch(compute, 3)
        finally:
            assert sorted(done) == [part for part in range(3) if part != failing]
        assert len(cores.map_batch(str, 3)) == 3


def test_a_batch_needs_the_block_and_a_size() -> None:
    with pytest.raises(RuntimeError, match="map_batch needs its with block"):
        FreeCores(2).map_batch(str, 8)
    with FreeCores(2) as cores, pytest.raises(ValueError, match="num_samples must be >= 0, got -1"):
        cores.map_batch(str, -1)


@pytest.mark.parametrize("call", ["map", "map_batch"])
def test_a_part_that_would_wait_for_itself_is_refused(call: str) -> None:
    with FreeCores(2) as cores:
        with pytest.raises(RuntimeError, match="takes one call at a time, and none by a part"):
            cores.map_batch(lambda _: getattr(cores, call)(str, [] if call == "map" else 4), 4)
        assert cores.map(str, [1, 2]) == ["1", "2"]


BOUND = {**os.environ, "OMP_PROC_BIND": "true", "OMP_PLACES": "threads"}
several_cores = pytest.mark.skipif(
    not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2,
    reason="affinity, as Linux has it, and two cores",
)


@several_cores
def test_where_openmp_binds_its_threads_each_has_a_core_of_its_own() -> None:
    """In a process of its own: OpenMP reads its environment once."""
    code = """
import ctypes, os, threading
import torch
from threadpoolctl import threadpool_info
from deepedge_flwr import FreeCores

(own,), usable = os.sched_getaffinity(0), sorted(os.sched_getaffinity(os.getppid()))
openmp = [ctypes.CDLL(one["filepath"]) for one in threadpool_info() if one["user_api"] == "openmp"]
nothing = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)

def places(cores):
    meet = threading.Barrier(cores.count)

    def place(_):
        meet.wait(10)
        for library in openmp:
            # A parallel region, in which OpenMP binds threads that it meets for the first time.
            if hasattr(library, "GOMP_parallel"):
                library.GOMP_parallel(nothing, None, 1, 0)
        return sorted(os.sched_getaffinity(0))

    return cores.map_batch(place, 10 * cores.count)

with FreeCores() as cores:
    assert places(cores) == [[own], *([core] for core in usable if core != own)]
with FreeCores(2 * len(usable)) as more:
    assert sorted(places(more)) == sorted(2 * [[core] for core in usable])
assert sorted(os.sched_getaffinity(0)) == [own]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=BOUND)


@pytest.mark.parametrize(
    ("own", "usable", "helpers"),
    [
        ([0, 1, 2], [0, 1, 2], [None, None]),
        ([1], [1, 0, 3], [0, 3]),
        ([0, 4], [0, 4, 1, 5], [1, 5, None]),
    ],
)
def test_helpers_have_the_cores_that_the_caller_has_not(
    own: list[int], usable: list[int], helpers: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepedge_flwr.client.threads.own_cores", lambda: own)
    monkeypatch.setattr("deepedge_flwr.client.threads.usable_cores", lambda: usable)
    assert _cores_of_helpers() == helpers
    assert count_of(FreeCores()) == len(usable)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="scheduling classes of Linux")
def test_its_threads_are_isolated_with_the_process() -> None:
    """In a process of its own: it cannot be undone."""
    code = """
import os, threading
from deepedge_flwr import FreeCores
from deepedge_flwr.client.isolation import IDLE_CLASS, isolate

def policies(cores):
    meet = threading.Barrier(2)
    return cores.map(lambda _: (meet.wait(10), os.sched_getscheduler(0))[1], range(2))

with FreeCores(2) as before:
    policies(before)
    isolate([IDLE_CLASS])
    assert policies(before) == [os.SCHED_IDLE] * 2, "open before"
with FreeCores(2) as after:
    assert policies(after) == [os.SCHED_IDLE] * 2, "opened after"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def told_of_mkl() -> str:
    """Return what torch says of its threads, as if of MKL where it is built without."""
    told = torch.__config__.parallel_info()
    return (
        told
        if "mkl_get_max_threads" in told
        else f"mkl_get_max_threads() : {torch.get_num_threads()}\n"
    )


@pytest.mark.usefixtures("three_threads")
def test_torch_has_one_thread_in_each_of_them_and_its_own_afterwards() -> None:
    meet = threading.Barrier(2)

    def threads(_: int) -> int:
        meet.wait(10)
        # The first operation of a thread sets its number.
        torch.ones(10) + 1
        return torch.get_num_threads()

    with FreeCores(2) as cores:
        assert cores.map(threads, range(2)) == [1, 1]
        assert torch.get_num_threads() == 1
        assert "mkl_get_max_threads() : 1\n" in told_of_mkl()
    assert torch.get_num_threads() == 3
    assert "mkl_get_max_threads() : 3\n" in told_of_mkl()
    with ThreadPoolExecutor(1) as others:
        meet = threading.Barrier(1)
        assert others.submit(threads, 0).result() == 3


def gradients(model: nn.Module, x: torch.Tensor, y: torch.Tensor, parts: int) -> list[torch.Tensor]:
    """Return the gradients of a mean loss, computed in parts."""
    model.zero_grad()

    def compute(part: slice) -> None:
        loss = nn.functional.cross_entropy(model(x[part]), y[part], reduction="sum")
        (loss / len(x)).backward()

    with FreeCores(parts) as cores:
        cores.map_batch(compute, len(x))
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_the_parts_gradients_add_up_to_the_batchs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    x, y = torch.randn(64, 8, dtype=torch.double), torch.randint(0, 3, (64,))
    whole = gradients(model, x, y, 1)
    for _ in range(50):
        for parts in (2, 4):
            for one, other in zip(whole, gradients(model, x, y, parts), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_two_parts_give_the_same_bits_in_any_order() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))
    first = gradients(model, x, y, 2)
    for _ in range(50):
        assert all(map(torch.equal, first, gradients(model, x, y, 2)))

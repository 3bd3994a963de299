import itertools
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, Context, Message
from flwr.clientapp.typing import ClientAppCallable

from deepedge_flwr import CA2FL, DeepEdge, Privacy
from deepedge_flwr.core.fleet import FleetOptions
from deepedge_flwr.core.types import Update
from deepedge_flwr.core.weighting import Weighting
from deepedge_flwr.simulation import InProcessGrid, ServiceSpec, VirtualGrid
from tests.numpy_app import (
    INSTANT,
    arrays,
    deepedge_mod,
    fleet,
    follow_target,
    vector,
    virtual_grid,
)

#: Factor on the server's step when all updates are the same: agreement 1.
ALIKE = 1 / (1 + 1 / 0.12)


def planned_steps(grid: Any) -> dict[int, list[int]]:
    """Local steps of each node's replies, in order."""
    steps: dict[int, list[int]] = {}
    for row in grid.ledger.of("reply"):
        steps.setdefault(row.node_id, []).append(int(row.value))
    return steps


def test_one_update_by_hand() -> None:
    """One node: every factor of the weight is 1, eta is given, nothing is averaged."""
    grid = virtual_grid(follow_target([8.0], mods=[deepedge_mod()]), fleet(1.0))
    strategy = DeepEdge(
        min_available_nodes=1, buffer_size=1, server_learning_rate=0.25, averaging=0, first_steps=2
    )
    result = strategy.start(grid, arrays([0.0]), num_rounds=1)
    assert vector(result.arrays) == pytest.approx([0.25 * 8 * (1 - 0.5**2)])
    assert grid.clock.now_s() == pytest.approx(2.0, abs=1e-6)


def test_the_average_is_published_and_the_live_model_trains_on() -> None:
    grid = virtual_grid(follow_target([8.0], mods=[deepedge_mod()]), fleet(1.0))
    strategy = DeepEdge(
        min_available_nodes=1, server_learning_rate=1.0, averaging=0.5, max_steps=1, memory=0
    )
    result = strategy.start(grid, arrays([0.0]), num_rounds=2)
    live = [4.0, 6.0]
    assert vector(result.arrays) == pytest.approx([0.25 * 0 + 0.25 * live[0] + 0.5 * live[1]])


def test_steps_follow_measured_speed() -> None:
    """The first job measures; then D = 2 * 8 steps of the fastest node: 8, 8, 4, 2 steps."""
    grid = virtual_grid(follow_target([1.0] * 4, mods=[deepedge_mod()]), fleet(1.0, 2.0, 4.0, 8.0))
    strategy = DeepEdge(max_steps=8, compute_spread=2, first_steps=1, adaptive=False)
    strategy.start(grid, arrays([0.0]), num_rounds=40)
    steps = planned_steps(grid)
    assert {node: taken[0] for node, taken in steps.items()} == {1: 1, 2: 1, 3: 1, 4: 1}
    assert {node: taken[-1] for node, taken in steps.items()} == {1: 8, 2: 8, 3: 4, 4: 2}


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("num_fast", [5, 2])
def test_participation_correction_removes_the_bias_to_fast_nodes(
    memory: float, num_fast: int
) -> None:
    """Two kinds of nodes with opposite data: the answer is their mean, whatever their speed."""
    num_slow = 10 - num_fast
    app = follow_target([1.0] * num_fast + [-1.0] * num_slow, num_steps=1)

    def answer(participation_exponent: float) -> float:
        grid = virtual_grid(app, fleet(*[1.0] * num_fast, *[10.3] * num_slow), follows_plans=False)
        strategy = DeepEdge(
            participation_exponent=participation_exponent, staleness_exponent=0, averaging=0.99,
            server_learning_rate=0.05, buffer_size=2, adaptive=False, norm_bound=None,
            rate_bound=20.0, memory=memory,
        )  # fmt: skip
        return vector(strategy.start(grid, arrays([0.0]), num_rounds=700).arrays)[0]

    said = num_fast - num_slow / 10.3
    assert answer(0.0) == pytest.approx(said / (num_fast + num_slow / 10.3), abs=0.08)
    assert answer(1.0) == pytest.approx((num_fast - num_slow) / 10, abs=0.08)


ZERO = np.zeros(1)
#: CA2FL's rule: nothing but the memory.
AS_CA2FL: dict[str, Any] = {
    "memory": 1.0, "buffer_size": 2, "server_learning_rate": 1.0, "averaging": 0.0,
    "staleness_exponent": 0.0, "step_exponent": 0.0, "norm_bound": None, "adaptive": False,
    "patience_cycles": 100.0,
}  # fmt: skip


def calibrated(strategy: Any, num_rounds: int, *step_times_s: float) -> float:
    """Return the model of nodes that answer, after the first, at times that differ."""
    app = follow_target([1.0, 3.0, 10.0], num_steps=1)
    grid = virtual_grid(app, fleet(*step_times_s), follows_plans=False)
    return vector(strategy.start(grid, arrays([0.0]), num_rounds=num_rounds).arrays)[0]


def test_with_nothing_but_its_memory_it_is_ca2fl() -> None:
    ours = DeepEdge(**AS_CA2FL, rate_bound=1)
    theirs = CA2FL(buffer_size=2, min_available_nodes=3)
    for num_rounds in (1, 2, 3, 8):
        expected = calibrated(theirs, num_rounds, 1.0, 1.0, 2.5)
        assert calibrated(ours, num_rounds, 1.0, 1.0, 2.5) == pytest.approx(expected, rel=1e-12)


def test_the_news_of_who_is_remembered_are_not_corrected_for_but_what_is_remembered() -> None:
    def weights(memory: float) -> list[float]:
        strategy = DeepEdge(**AS_CA2FL | {"memory": memory})
        calibrated(strategy, 30, 1.0, 1.0, 2.5)
        update = Update(node_id=1, base=ZERO, delta=ZERO, num_examples=1, base_version=30)
        remembered = strategy._memory._updates.get(1)
        return [strategy.weight(update, staleness=0), remembered[1] if remembered else 0.0]

    rate = 3 / (1 + 1 + 0.4)
    assert weights(0.0) == pytest.approx([1 / rate, 0.0], rel=0.05)
    assert weights(0.5) == pytest.approx([1.0, (1 - 0.5 * rate) / 0.5], rel=0.05)
    assert weights(0.1) == pytest.approx([1 / (0.9 * rate), 0.0], rel=0.05)


def test_a_memory_does_not_make_a_step_longer() -> None:
    """One node says 4, then 2: the news are 2 - 0.5 * 4 = 0, and 0.5 * 4 would come on top."""

    def live(norm_bound: float | None) -> float:
        grid = virtual_grid(follow_target([8.0]), fleet(1.0), follows_plans=False)
        strategy = DeepEdge(
            min_available_nodes=1, averaging=0, server_learning_rate=1.0, norm_bound=norm_bound
        )
        return vector(strategy.start(grid, arrays([0.0]), num_rounds=2).arrays)[0]

    assert live(1.2) == 4.0
    assert live(None) == 6.0


def test_no_update_is_remembered_that_is_far_longer_than_others() -> None:
    """The sixth is 90 times as long as the five before; lengths up to then are 1."""
    replies = itertools.count()

    def reply(message: Message, content: Any) -> Message:
        length = 90.0 if next(replies) == 5 else 1.0
        received = message.content["arrays"]["w"].numpy()
        content["arrays"]["w"] = Array(received + length)
        return Message(content, reply_to=message)

    grid = virtual_grid(follow_target([1.0], reply=reply), fleet(1.0), follows_plans=False)
    strategy = DeepEdge(min_available_nodes=1)
    strategy.start(grid, arrays([0.0]), num_rounds=6)
    # It counts as 2 in the mean: 0.95 + 0.05 * 2.
    assert strategy._memory._updates[1][0] == pytest.approx([5 * 1.05])


def test_there_is_a_memory_unless_updates_must_not_be_kept() -> None:
    assert DeepEdge().memory == 0.5
    assert DeepEdge(combine="consensus").memory == 0.0
    assert DeepEdge(privacy=Privacy(clip_norm=1.0, noise_multiplier=1.0)).memory == 0.0


@pytest.mark.parametrize(("num_rounds", "is_known"), [(20, 0), (21, 1), (30, 1), (31, 0)])
def test_who_has_not_answered_for_long_is_forgotten(num_rounds: int, is_known: bool) -> None:
    """Node 3 is in version 21; a fleet of three answers six times in nine versions of two."""
    strategy = DeepEdge(**AS_CA2FL)
    calibrated(strategy, num_rounds, 1.0, 1.0, 20.5)
    assert 1 in strategy._memory
    assert (3 in strategy._memory) == is_known


def test_a_memory_too_small_for_one_update_remembers_nobody_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    small = calibrated(DeepEdge(**AS_CA2FL, memory_bytes=7), 8, 1.0, 1.0, 2.5)
    assert "memory_bytes: holds the last updates of 0 nodes" in caplog.text
    assert small == calibrated(DeepEdge(**AS_CA2FL | {"memory": 0.0}), 8, 1.0, 1.0, 2.5)


def test_an_update_that_breaks_the_model_is_not_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Node 2 sends a huge update once: the version is dropped, and the next ones are finite."""
    sent = itertools.count()

    def once(message: Message, content: Any) -> Message:
        if message.metadata.dst_node_id == 2 and next(sent) == 1:
            content["arrays"]["w"] = Array(np.array([1e300]))
        return Message(content, reply_to=message)

    app = follow_target([1.0] * 3, reply=once)
    grid = virtual_grid(app, fleet(1.0, 1.0, 1.0), follows_plans=False)
    options = AS_CA2FL | {"server_learning_rate": 1e10}
    strategy = DeepEdge(**options, update_norm_bound=None)
    strategy.start(grid, arrays([0.0]), num_rounds=5)
    assert caplog.text.count("would not be finite") == 1
    assert np.all(np.abs(strategy._memory.state()["_sum"]) < 1e100)


def test_memory_is_bounded() -> None:
    strategy = DeepEdge(**AS_CA2FL, memory_bytes=2 * 8)
    calibrated(strategy, 8, 1.0, 1.0, 2.5)
    assert [node_id in strategy._memory for node_id in (1, 2, 3)] == [True, True, False]


def test_no_step_is_sent_beyond_max_steps_not_even_the_first() -> None:
    app = follow_target([1.0] * 3, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(1.0, 2.0, 4.0))
    DeepEdge(max_steps=1).start(grid, arrays([0.0]), num_rounds=5)
    assert {steps for taken in planned_steps(grid).values() for steps in taken} == {1}


def test_a_modless_node_is_not_waited_for() -> None:
    """The mod tells of four equal nodes; the fifth is 16 times slower."""
    mod = deepedge_mod()

    def all_but_node_5(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        if context.node_id == 5:
            return call_next(message, context)
        return mod(message, context, call_next)

    app = follow_target([1.0] * 5, mods=[all_but_node_5])
    grid = virtual_grid(app, fleet(1.0, 1.0, 1.0, 1.0, 16.0), follows_plans=False)
    DeepEdge(max_steps=1).start(grid, arrays([0.0]), num_rounds=60)
    assert {row.node_id for row in grid.ledger.of("reply")} == {1, 2, 3, 4, 5}
    fast = [row for row in grid.ledger.of("compute") if row.node_id == 1]
    gaps = [b.time_s - (a.time_s + a.value) for a, b in itertools.pairwise(fast)]
    assert max(gaps) < 1e-6


class Shrinking(VirtualGrid):
    """A grid of which only two nodes are left after 20 s."""

    def get_node_ids(self) -> Iterable[int]:
        nodes = list(super().get_node_ids())
        return nodes if self.clock.now_s() < 20 else nodes[:2]


def test_a_buffer_larger_than_what_is_left_of_the_fleet_is_as_large_as_that() -> None:
    app = follow_target([1.0] * 6, mods=[deepedge_mod()])
    grid = Shrinking(InProcessGrid(app, 6), fleet(*[1.0] * 6))
    strategy = DeepEdge(buffer_size=6, max_steps=1)
    result = strategy.start(grid, arrays([0.0]), num_rounds=60, timeout=100)
    updates = [result.train_metrics_clientapp[v]["num-updates"] for v in range(1, 61)]
    assert (updates[0], updates[-1]) == (6, 2)
    assert vector(result.arrays) == pytest.approx([1.0], abs=0.01)
    # 20 s of rounds of 1 s, until 25 s before the list of nodes is refreshed, and rounds again.
    assert grid.clock.now_s() < 70


def test_unequal_fleet_never_waits() -> None:
    grid = virtual_grid(
        follow_target([1.0] * 5, mods=[deepedge_mod()]), fleet(1.0, 1.0, 1.0, 1.0, 16.0)
    )
    DeepEdge(max_steps=1, first_steps=1).start(grid, arrays([0.0]), num_rounds=60)
    fast = [row for row in grid.ledger.of("compute") if row.node_id == 1]
    gaps = [b.time_s - (a.time_s + a.value) for a, b in itertools.pairwise(fast)]
    assert max(gaps) < 1e-6


def test_default_buffer_is_a_fifth_of_the_fleet_and_eta_follows_it() -> None:
    grid = virtual_grid(follow_target([1.0] * 10), fleet(*[1.0] * 10), follows_plans=False)
    strategy = DeepEdge(averaging=0)
    result = strategy.start(grid, arrays([0.0]), num_rounds=1)
    assert result.train_metrics_clientapp[1]["num-updates"] == 2
    # Nobody told its steps: they may be 30. The two updates are the same.
    assert vector(result.arrays) == pytest.approx([14 * math.sqrt(0.2 / 30) * ALIKE * 0.5])


@pytest.mark.parametrize("num_nodes", [1, 2, 3, 5])
@pytest.mark.parametrize("max_steps", [1, 4, None])
def test_small_fleets_of_alike_nodes_do_not_overshoot(
    num_nodes: int, max_steps: int | None
) -> None:
    app = follow_target([1.0] * num_nodes, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(*[1.0 + i for i in range(num_nodes)]))
    strategy = DeepEdge(min_available_nodes=1, max_steps=max_steps)
    # The memory of nodes that say the same again and again halves their news, and with it the step.
    result = strategy.start(grid, arrays([0.0]), num_rounds=100)
    assert vector(result.arrays) == pytest.approx([1.0], abs=0.05)


def first_version(targets: list[float], **options: Any) -> float:
    """The model after the first two updates, each half the way from 0 to a target."""
    grid = virtual_grid(follow_target(targets), fleet(*[1.0] * 2), follows_plans=False)
    strategy = DeepEdge(averaging=0, buffer_size=2, **options)
    return vector(strategy.start(grid, arrays([0.0]), num_rounds=1).arrays)[0]


def test_aligned_updates_shorten_the_step_also_a_given_one_unless_it_is_not_to_adapt() -> None:
    given = {"server_learning_rate": 0.5}
    assert first_version([1.0, 1.0], **given) == pytest.approx(0.5 * ALIKE * 0.5)
    assert first_version([1.0, 1.0], **given, adaptive=False) == pytest.approx(0.5 * 0.5)
    # Opposed updates leave it alone.
    assert first_version([3.0, -1.0], **given) == pytest.approx(0.5 * 0.5)


@pytest.mark.parametrize(("adaptive", "num_steps"), [(True, 4), (False, 3)])
def test_aligned_updates_give_slow_nodes_half_as_much_time_again(
    adaptive: bool, num_steps: int
) -> None:
    """D is 11 * 6 steps of 1 s, or 99 s; the slow node does one in 20 s."""
    app = follow_target([1.0] * 4, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(1.0, 1.0, 1.0, 20.0))
    DeepEdge(adaptive=adaptive).start(grid, arrays([0.0]), num_rounds=60)
    assert {node: taken[-1] for node, taken in planned_steps(grid).items()} == {
        1: 6, 2: 6, 3: 6, 4: num_steps
    }  # fmt: skip


@pytest.mark.parametrize(("adaptive", "num_steps"), [(True, 20), (False, 10)])
def test_aligned_updates_get_the_long_jobs_that_long_links_ask_for(
    adaptive: bool, num_steps: int
) -> None:
    """0.2 * 100 / 1 steps; updates that are not looked at count as orthogonal."""
    links = replace(INSTANT, uplink_latency_s=50.0, downlink_latency_s=50.0)
    app = follow_target([1.0] * 4, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(*[1.0] * 4, link=links))
    DeepEdge(adaptive=adaptive).start(grid, arrays([0.0]), num_rounds=60)
    assert {taken[-1] for taken in planned_steps(grid).values()} == {num_steps}


@pytest.mark.parametrize(("adaptive", "ratio"), [(True, 0.5), (False, 0.25)])
def test_aligned_updates_halve_the_correction_for_participation(
    adaptive: bool, ratio: float
) -> None:
    """Node 1 answers four times as often as node 2: 4^-0.5, or 4^-1."""
    grid = virtual_grid(follow_target([1.0] * 2), fleet(1.0, 4.0), follows_plans=False)
    strategy = DeepEdge(adaptive=adaptive, memory=0)
    strategy.start(grid, arrays([0.0]), num_rounds=40)
    zero = np.zeros(1)
    fast, slow = (
        strategy.weight(Update(node_id=n, base_version=0, base=zero, delta=zero, num_examples=1), 0)
        for n in (1, 2)
    )
    assert fast / slow == pytest.approx(ratio)


def test_a_run_knows_nothing_of_the_one_before() -> None:
    """Neither that its updates were aligned nor how short its steps were."""
    options = {"averaging": 0, "buffer_size": 2, "server_learning_rate": 0.5}
    strategy = DeepEdge(**options, update_norm_bound=None)

    def first_step(targets: list[float]) -> float:
        grid = virtual_grid(follow_target(targets), fleet(1.0, 1.0), follows_plans=False)
        return vector(strategy.start(grid, arrays([0.0]), num_rounds=1).arrays)[0]

    assert first_step([1000.0, 1000.0]) == pytest.approx(0.5 * ALIKE * 500)
    assert first_step([3.0, -1.0]) == pytest.approx(0.5 * 0.5)
    assert first_step([3e6, -1e6]) == pytest.approx(0.5 * 5e5)


def test_defaults_are_those_of_the_parts() -> None:
    assert DeepEdge().fleet_options == FleetOptions()
    assert DeepEdge().weighting == Weighting()


@pytest.mark.parametrize(("adaptive", "num_steps"), [(True, 3), (False, 6)])
def test_opposed_updates_halve_the_jobs(adaptive: bool, num_steps: int) -> None:
    app = follow_target([1.0, -1.0] * 5, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(*[1.0] * 10))
    DeepEdge(adaptive=adaptive, buffer_size=2).start(grid, arrays([0.0]), num_rounds=60)
    assert {taken[-1] for taken in planned_steps(grid).values()} == {num_steps}


def test_a_step_far_beyond_those_before_it_is_cut() -> None:
    """One node; its target jumps from 1 to 1001: 1.2 of the mean step, which counts 2 of it."""

    def live(norm_bound: float | None) -> float:
        calls = itertools.count()

        def jump(message: Message, content: Any) -> Message:
            if next(calls) == 1:
                content["arrays"]["w"] = Array(content["arrays"]["w"].numpy() + 1000.0)
            return Message(content, reply_to=message)

        grid = virtual_grid(follow_target([1.0], reply=jump), fleet(1.0), follows_plans=False)
        strategy = DeepEdge(
            min_available_nodes=1, averaging=0, server_learning_rate=1.0, norm_bound=norm_bound
        )
        return vector(strategy.start(grid, arrays([0.0]), num_rounds=2).arrays)[0]

    assert live(None) == pytest.approx(0.5 + 0.25 + 1000)
    assert live(1.2) == pytest.approx(0.5 + 1.2 * (0.95 * 0.5 + 0.05 * 2 * 0.5))


def test_a_modless_app_runs_and_is_told_about_once(caplog: pytest.LogCaptureFixture) -> None:
    grid = virtual_grid(follow_target([1.0] * 4), fleet(1.0, 2.0, 4.0, 8.0), follows_plans=False)
    result = DeepEdge().start(grid, arrays([0.0]), num_rounds=100)
    assert vector(result.arrays) == pytest.approx([1.0], abs=0.1)
    told = [r for r in caplog.records if "sent no telemetry" in r.getMessage()]
    assert len(told) == 1


def test_a_node_that_cannot_train_beside_its_service_is_left_alone_for_longer_every_time() -> None:
    # 0.5 s a request however little the first node trains.
    hopeless = ServiceSpec(period_s=0.1, latency_s=0.5, budget_s=0.02, jitter=0.0)
    devices = fleet(1.0, 1.0)
    first = replace(devices.devices[0], service=hopeless)
    app = follow_target([1.0] * 2, mods=[deepedge_mod()])
    grid = virtual_grid(app, replace(devices, devices=(first, devices.devices[1])))
    strategy = DeepEdge(latency_budget_s=0.02, buffer_size=1)
    strategy.start(grid, arrays([0.0]), num_rounds=30)
    sent_s = [row.time_s for row in grid.ledger.of("dispatch") if row.node_id == 1]
    # A job ends after 251 pauses of two budgets, 10.04 s; then 10 s, 20 s, 40 s without one. The
    # first job does a step, of 1 s, before it has seen a request.
    gaps_s = [later - sooner for sooner, later in itertools.pairwise(sent_s)]
    assert gaps_s[:3] == pytest.approx([21.04, 30.04, 50.04], abs=0.05)
    assert {row.node_id for row in grid.ledger.of("server-yielded")} == {1}


def test_a_run_in_which_all_nodes_yield_ends_with_its_timeout() -> None:
    hopeless = ServiceSpec(period_s=0.1, latency_s=0.5, budget_s=0.02, jitter=0.0)
    app = follow_target([1.0] * 2, mods=[deepedge_mod()])
    grid = virtual_grid(app, fleet(1.0, 1.0, service=hopeless))
    strategy = DeepEdge(latency_budget_s=0.02, buffer_size=2)
    strategy.start(grid, arrays([0.0]), num_rounds=30, timeout=300.0)
    # Each node does one step, before it has seen a request, and none after that.
    assert strategy.version == 1
    assert 300.0 < grid.clock.now_s() < 330.0


def test_the_budget_gates_training() -> None:
    service = ServiceSpec(
        period_s=0.1, latency_s=0.01, budget_s=0.014, slowdown=2.0, contention_s=2.0, jitter=0.0
    )

    def violations(budget_s: float | None) -> tuple[int, int]:
        app = follow_target([1.0] * 2, mods=[deepedge_mod()])
        grid = virtual_grid(app, fleet(0.2, 0.2, service=service))
        DeepEdge(latency_budget_s=budget_s, max_steps=20, first_steps=20).start(
            grid, arrays([0.0]), num_rounds=5
        )
        return int(grid.ledger.total("num_violations")), grid.ledger.count("pause")

    assert violations(None)[0] > 50
    assert violations(None)[1] == 0
    assert violations(0.014)[0] == 0
    assert violations(0.014)[1] > 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"latency_budget_s": -0.02}, r"latency_budget_s must be > 0 and finite, got -0.02"),
        ({"buffer_size": 0}, "buffer_size must be an integer >= 1, got 0"),
        ({"buffer_size": 2.5}, "buffer_size must be an integer >= 1, got 2.5"),
        ({"buffer_size": math.inf}, "buffer_size must be an integer >= 1, got inf"),
        ({"averaging": 1.0}, r"averaging must be in \[0, 1\)"),
        ({"participation_exponent": -1}, "participation_exponent must be >= 0 and finite, got -1"),
        ({"staleness_exponent": math.inf}, "staleness_exponent must be >= 0 and finite, got inf"),
        ({"rate_bound": 0.5}, "rate_bound must be >= 1"),
        ({"memory": 1.1}, r"memory must be in \[0, 1\] or None, got 1.1"),
        ({"memory": 1}, "memory=1 leaves no news .* take less, or norm_bound=None"),
        ({"memory": 0.3, "combine": "consensus"}, "memory > 0 keeps .* combine='mean' only"),
        ({"memory_bytes": 0}, "memory_bytes must be an integer >= 1, got 0"),
        ({"max_steps": 0}, "max_steps must be an integer >= 1, got 0"),
        ({"first_steps": 0}, "first_steps must be an integer >= 1, got 0"),
        ({"first_steps": 2.5}, "first_steps must be an integer >= 1, got 2.5"),
        ({"smoothing": 0.0}, r"smoothing must be in \(0, 1\]"),
        ({"rate_smoothing": 1.5}, r"rate_smoothing must be in \(0, 1\]"),
        ({"norm_bound": 0.9}, r"bound must be >= 1 or None, got 0\.9"),
        ({"compute_spread": 0}, "compute_spread > 0"),
        ({"patience_cycles": 0}, "patience_cycles must be > 0 and finite, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DeepEdge(**options)


def test_buffer_larger_than_the_fleet_is_refused() -> None:
    grid = virtual_grid(follow_target([1.0] * 3), fleet(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"buffer_size must be at most .* \(3\), got 7"):
        DeepEdge(buffer_size=7).start(grid, arrays([0.0]), timeout=30)

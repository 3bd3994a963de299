"""The paper's figures end to end, models by hand, and nodes that fail.

By hand: node 1 does a step in 1 s and has 1 example, node 2 in 3 s and has 3; a step goes half way;
1 to 3 steps. First updates at 1 and 3 s; node 1 has a group until 4 s (4.6 s at the latest), and
then joins that of node 2, until 6 s (6.6 s).
"""

import logging
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from deepedge_flwr import FedCompass
from deepedge_flwr.core.types import Telemetry
from deepedge_flwr.records import get_plan, put_telemetry
from deepedge_flwr.simulation import Fleet, InProcessGrid, LinkSpec, VirtualGrid
from tests.numpy_app import arrays, deepedge_mod, fleet, follow_target, vector, virtual_grid

#: No link time at all: a group's time is exact.
NO_LINK = LinkSpec(uplink_bytes_per_s=math.inf, downlink_bytes_per_s=math.inf, jitter=0.0)
FIGURE_1 = (6.0, 12.0, 15.0, 24.0, 30.0)
TARGETS, EXAMPLES = (1.0, 10.0), (1, 3)


class Held(VirtualGrid):
    """A grid that hands out what a node answers between two times at the second of them."""

    def __init__(self, app: ClientApp, devices: Fleet, node_id: int = 0, from_s: float = 0.0,
                 until_s: float = math.inf, **options: Any) -> None:  # fmt: skip
        super().__init__(InProcessGrid(app, len(devices)), devices, **options)
        self._node_id, self._from_s, self._until_s = node_id, from_s, until_s
        self._held: list[Message] = []
        self.sent: list[tuple[float, int, int, int]] = []
        if until_s < math.inf:
            self.clock.at(until_s, lambda: None)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        messages = list(messages)
        for message in messages:
            plan = get_plan(message.content)
            assert plan is not None
            node_id = message.metadata.dst_node_id
            self.sent.append((self.clock.now_s(), node_id, plan.num_steps, plan.model_version))
        return super().push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = [*self._held, *super().pull_messages(message_ids)]
        is_held = self._from_s <= self.clock.now_s() < self._until_s
        self._held = [r for r in replies if is_held and r.metadata.src_node_id == self._node_id]
        return [reply for reply in replies if reply not in self._held]

    def sent_at(self, *times_s: float) -> list[tuple[int, int]]:
        """The nodes that were sent messages at these times, and their steps."""
        return [(n, q) for t, n, q, _ in self.sent if any(abs(t - s) < 1e-6 for s in times_s)]


def figure(**held: Any) -> tuple[Held, Any]:
    app = follow_target([1.0] * 5, mods=[deepedge_mod()])
    grid = Held(app, fleet(*FIGURE_1, link=NO_LINK), **held)
    strategy = FedCompass(min_steps=20, max_steps=100, speed_momentum=1.0)
    return grid, strategy


def test_figure_1_end_to_end() -> None:
    grid, strategy = figure()
    result = strategy.start(grid, arrays([0.0]), num_rounds=8)
    assert grid.sent_at(0) == [(n, 20) for n in (1, 2, 3, 4, 5)]
    minutes = [60.0 * m for m in (2, 4, 5, 8, 10, 12, 22)]
    assert {t for t, *_ in grid.sent} == {0.0, *minutes}
    assert grid.sent_at(*minutes[:5]) == [(1, 100), (2, 40), (3, 28), (4, 35), (5, 24)]
    assert grid.sent_at(minutes[5]) == [(1, 100), (2, 50), (3, 40)]
    assert grid.sent_at(minutes[6]) == [(1, 100), (2, 50), (3, 40), (4, 25), (5, 20)]
    assert grid.clock.now_s() == 60.0 * 32
    assert [version for *_, version in grid.sent[5:]] == [1, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7, 7, 7]
    updates = [result.train_metrics_clientapp[v]["num-updates"] for v in range(1, 9)]
    assert updates == [1, 1, 1, 1, 1, 3, 5, 5]


def test_figure_21_end_to_end() -> None:
    grid, strategy = figure(node_id=3, from_s=700, until_s=804)
    strategy.start(grid, arrays([0.0]), num_rounds=7)
    assert grid.sent_at(804) == [(1, 86), (2, 43), (3, 28)]
    assert grid.sent_at(720) == []


def test_figure_22_end_to_end() -> None:
    """Sent versions 4, 5, 6, 6 and 3: the late update counts at 22:00."""
    grid, strategy = figure(node_id=3, from_s=700, until_s=912)
    result = strategy.start(grid, arrays([0.0]), num_rounds=7)
    assert grid.sent_at(720) == []
    assert grid.sent_at(840) == [(1, 80), (2, 40)]
    assert grid.sent_at(912) == [(3, 46)]
    assert grid.clock.now_s() == 60.0 * 22
    metrics = result.train_metrics_clientapp
    assert (metrics[6]["num-updates"], metrics[7]["num-updates"]) == (2, 5)
    assert metrics[7]["mean-staleness"] == (2 + 1 + 0 + 0 + 3) / 5


def run(num_rounds: int, reply: Any = None, **held: Any) -> tuple[float, Held]:
    app = follow_target(TARGETS, num_examples=EXAMPLES, mods=[deepedge_mod()], reply=reply)
    grid = Held(app, fleet(1.0, 3.0, link=NO_LINK), **held)
    strategy = FedCompass(min_steps=1, max_steps=3)
    result = strategy.start(grid, arrays([0.0]), num_rounds=num_rounds, timeout=100)
    return vector(result.arrays)[0], grid


def gain(node: int, share: float, staleness: int, num_steps: int, base: float) -> float:
    """What an update adds to the model: 0.9 (1 + tau)^-0.5 p delta."""
    delta = (1 - 0.5**num_steps) * (TARGETS[node - 1] - base)
    return 0.9 * (1 + staleness) ** -0.5 * share * delta


W1 = gain(1, 0.5, 0, 1, 0.0)  # the other node is taken to have as many examples
W2 = W1 + gain(2, 0.75, 1, 1, 0.0)
W3 = W2 + gain(1, 0.25, 1, 3, W1)


def test_four_versions_by_hand() -> None:
    w4 = W3 + gain(1, 0.25, 0, 2, W3) + gain(2, 0.75, 1, 1, W2)
    assert [run(n)[0] for n in (1, 2, 3, 4)] == pytest.approx([W1, W2, W3, w4], rel=1e-12)
    _, grid = run(5)
    assert grid.sent == [
        (0.0, 1, 1, 0), (0.0, 2, 1, 0), (1.0, 1, 3, 1), (3.0, 2, 1, 2), (4.0, 1, 2, 3),
        (6.0, 1, 3, 4), (6.0, 2, 1, 4),
    ]  # fmt: skip


def test_a_late_update_counts_with_the_next_group_by_hand() -> None:
    """Node 2 answers at 6.7 s, 0.1 s too late; at 9.6 s node 1's group is complete without it."""
    w4 = W3 + gain(1, 0.25, 0, 2, W3)
    late = gain(2, 0.75, 2, 1, W2)
    w5 = w4 + gain(1, 0.25, 0, 3, w4) + late
    held = {"node_id": 2, "from_s": 5.0, "until_s": 6.7}
    assert [run(n, **held)[0] for n in (4, 5)] == pytest.approx([w4, w5], rel=1e-12)
    _, grid = run(6, **held)
    assert grid.sent_at(6.6) == [(1, 3)]
    assert grid.sent_at(6.7) == [(2, 1)]
    assert grid.sent_at(9.6)[0][0] == 1


def test_with_constant_weights_an_equal_fleet_does_fedavg() -> None:
    """All first updates come at once: four versions that are one round."""
    targets, start = [1.0, -2.0, 4.0, 0.5], arrays([0.3, -0.7, 11.0])
    app = follow_target(targets, num_steps=2, mods=[deepedge_mod()])
    ours = FedCompass(min_steps=2, max_steps=2, alpha=1.0, staleness_exponent=0.0).start(
        virtual_grid(app, fleet(1, 1, 1, 1, link=NO_LINK)), start, num_rounds=4 + 6
    )
    stock = FedAvg(fraction_evaluate=0.0, min_train_nodes=4, min_available_nodes=4).start(
        virtual_grid(app, fleet(1, 1, 1, 1, link=NO_LINK), num_steps=2), start, num_rounds=7
    )
    np.testing.assert_allclose(vector(ours.arrays), vector(stock.arrays), rtol=1e-12)


def spoil_node_2_from_the_second_message(message: Message, content: RecordDict) -> Message:
    config = message.content["config"]
    if message.metadata.dst_node_id == 2 and config["deepedge.dispatch-index"] >= 1:
        return Message(Error(2, "boom"), reply_to=message)
    return Message(content, reply_to=message)


def test_a_node_that_errs_is_not_waited_for() -> None:
    w4, grid = run(4, reply=spoil_node_2_from_the_second_message)
    assert w4 == pytest.approx(W3 + gain(1, 0.25, 0, 2, W3), rel=1e-12)
    assert grid.clock.now_s() == 6.0
    _, grid = run(7, reply=spoil_node_2_from_the_second_message)
    # It is sent work again after a second: no step fits until 9 s, when node 1 is due.
    assert grid.sent_at(6.0) == [(1, 3)]
    assert grid.sent_at(7.0) == [(2, 1)]


def test_a_node_that_never_answers_is_waited_for_until_the_latest_time() -> None:
    w4, grid = run(4, node_id=2, from_s=5.0)
    assert w4 == pytest.approx(W3 + gain(1, 0.25, 0, 2, W3), rel=1e-12)
    assert grid.clock.now_s() == pytest.approx(6.6, abs=1e-9)
    _, grid = run(9, node_id=2, from_s=5.0)
    # Node 1 goes on alone, 3 steps at a time. Node 2 is given up on after 3 times 3 s.
    assert grid.sent_at(6.6, 9.6, 12.6, 15.6) == [(1, 3)] * 4
    assert grid.sent_at(13.0) == [(2, 1)]


def test_a_reply_that_was_given_up_on_still_counts_and_takes_nobody_s_place() -> None:
    """Node 2's answer of 6 s comes at 14.5 s, when it is busy with the message of 13 s."""
    w4 = W3 + gain(1, 0.25, 0, 2, W3)
    w5 = w4 + gain(1, 0.25, 0, 3, w4)
    w6 = w5 + gain(1, 0.25, 0, 3, w5)
    w7 = w6 + gain(1, 0.25, 0, 3, w6) + gain(2, 0.75, 4, 1, W2)
    w8 = w7 + gain(2, 0.75, 1, 1, w6)
    held = {"node_id": 2, "from_s": 5.0, "until_s": 14.5}
    assert [run(n, **held)[0] for n in (6, 7, 8)] == pytest.approx([w6, w7, w8], rel=1e-12)
    _, grid = run(8, **held)
    assert grid.sent_at(13.0) == [(2, 1)]
    assert grid.clock.now_s() == pytest.approx(16.0, abs=1e-9)


class Gathering(Held):
    """A grid to which node 3 connects at 10 s."""

    def get_node_ids(self) -> Iterable[int]:
        nodes = list(super().get_node_ids())
        return nodes if self.clock.now_s() >= 10 else nodes[:2]


def test_a_node_that_joins_late_is_measured_first() -> None:
    app = follow_target([1.0] * 3, mods=[deepedge_mod()])
    grid = Gathering(app, fleet(1.0, 1.0, 2.0, link=NO_LINK))
    result = FedCompass(min_steps=2, max_steps=10).start(grid, arrays([0.0]), num_rounds=6)
    # Nodes 1 and 2 in groups of 10 s from 2 s on; node 3 is seen when the nodes are listed again.
    first = next(entry for entry in grid.sent if entry[1] == 3)
    assert (first[0], first[2]) == (12.0, 2)
    assert grid.sent_at(16.0) == [(3, 3)]
    updates = [result.train_metrics_clientapp[v]["num-updates"] for v in range(1, 7)]
    assert updates == [1, 1, 2, 1, 3, 3]


def test_a_modless_app_runs_and_is_told_about_once(caplog: pytest.LogCaptureFixture) -> None:
    grid = virtual_grid(follow_target([1.0] * 4), fleet(1.0, 2.0, 4.0, 8.0), follows_plans=False)
    result = FedCompass(min_steps=2, max_steps=10).start(grid, arrays([0.0]), num_rounds=60)
    assert vector(result.arrays) == pytest.approx([1.0], abs=0.1)
    assert {row.node_id for row in grid.ledger.of("reply")[-20:]} == {1, 2, 3, 4}
    told = [r for r in caplog.records if "sent no telemetry" in r.getMessage()]
    assert len(told) == 1
    assert told[0].levelno == logging.WARNING


def test_a_node_that_yields_to_its_service_holds_up_nobody() -> None:
    """Node 2 does no step from its second message on; its groups are complete all the same."""

    def yielding(message: Message, content: RecordDict) -> Message:
        config = message.content["config"]
        is_yielding = message.metadata.dst_node_id == 2 and config["deepedge.dispatch-index"] >= 1
        put_telemetry(content, Telemetry(num_steps=0 if is_yielding else 1, busy_s=1.0))
        return Message(content, reply_to=message)

    app = follow_target([1.0, 1.0], reply=yielding)
    grid = Held(app, fleet(1.0, 1.0, link=NO_LINK), follows_plans=False, num_steps=1)
    strategy = FedCompass(min_steps=1, max_steps=1)
    result = strategy.start(grid, arrays([0.0]), num_rounds=6, timeout=100)
    assert [result.train_metrics_clientapp[v]["num-updates"] for v in range(1, 7)] == [1] * 6
    assert {t for t, *_ in grid.sent} == {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"min_steps": 0}, "min_steps must be an integer >= 1, got 0"),
        ({"min_steps": 300}, "min_steps must be at most max_steps, got 300 and 200"),
        ({"alpha": 0.0}, r"alpha must be in \(0, 1\], got 0.0"),
        ({"staleness_exponent": -1.0}, "staleness_exponent must be >= 0 and finite, got -1.0"),
        ({"patience_cycles": 0}, "patience_cycles must be > 0 and finite, got 0"),
        ({"latest_time_factor": 0.5}, "latest_time_factor must be >= 1 and finite, got 0.5"),
        ({"speed_momentum": 1.5}, r"speed_momentum must be in \(0, 1\], got 1.5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        FedCompass(**options)

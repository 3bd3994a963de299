"""A run is taken up where it was, by a run of the same kind only."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

import deepedge_flwr
from deepedge_flwr import DeepEdge, FedBuff, FedCompass, FedNova
from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.core.state import pack
from deepedge_flwr.records import DISPATCH_INDEX, get_config
from deepedge_flwr.simulation import (
    NO_FAULTS,
    Fault,
    FaultPlan,
    HorizonReached,
    InProcessGrid,
    VirtualGrid,
)
from deepedge_flwr.strategy import AsyncStrategy
from tests.numpy_app import arrays, deepedge_mod, fleet, follow_target, vector, virtual_grid

TARGETS = [1.0, 2.0, 3.0, 4.0]
#: What a run is given, and what `_begin` or the next message makes anew.
GIVEN = {
    "_layout",
    "_clock",
    "_timeout_s",
    "_live",
    "_writer",
    "_saved_version",
    "_stop",
    "_per_node",
    "_monitors",
    "_puller",
    "_is_deployed",
    "_arrival",
    "_law",
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "DeepEdge": {"memory": 0.3},
    "FedAsync": {},
    "FedBuff": {"buffer_size": 2},
    "CA2FL": {"buffer_size": 2},
    "FedCompass": {"min_steps": 1, "max_steps": 4},
    "FedNova": {},
    "DeadlineFedAvg": {},
}


def grid(horizon_s: float = float("inf")) -> VirtualGrid:
    app = follow_target(TARGETS, mods=[deepedge_mod()], num_steps=2)
    return virtual_grid(app, fleet(1.0, 2.0, 3.0, 4.0), horizon_s=horizon_s)


class Live(VirtualGrid):
    """A grid that does not come back, as Flower's own: what was under way is lost."""

    restore = None  # type: ignore[assignment]
    state = None  # type: ignore[assignment]

    def __init__(self, **options: Any) -> None:
        twin = grid(**options)
        self.__dict__.update(twin.__dict__)
        self.sent: list[tuple[int, int]] = []

    def push_messages(self, messages: Any) -> Any:
        messages = list(messages)
        self.sent += [
            (m.metadata.dst_node_id, int(get_config(m.content)[DISPATCH_INDEX])) for m in messages
        ]
        return super().push_messages(messages)


@pytest.mark.parametrize("name", STRATEGIES)
def test_everything_that_a_strategy_keeps_is_in_its_state(name: str) -> None:
    """An attribute that is in no STATE would be forgotten with the server."""
    strategy: AsyncStrategy = getattr(deepedge_flwr, name)(**STRATEGIES[name])
    with pytest.raises(HorizonReached):
        strategy.start(grid(12.0), arrays([0.0]), num_rounds=1000)
    kept = {key for key in vars(strategy) if key.startswith("_")} - GIVEN
    assert kept - {"_groups"} <= set(strategy._names())
    assert "_groups" not in kept or "groups" in strategy.state()


def test_a_finished_run_returns_at_once(tmp_path: Path) -> None:
    first = FedBuff(buffer_size=2, checkpoint_dir=tmp_path)
    done = first.start(grid(), arrays([0.0]), num_rounds=3)
    again = grid()
    result = FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(
        again, arrays([0.0]), num_rounds=3
    )
    assert vector(result.arrays) == vector(done.arrays)


def test_more_rounds_go_on(tmp_path: Path) -> None:
    whole = FedBuff(buffer_size=2).start(grid(), arrays([0.0]), num_rounds=6)
    FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=3)
    result = FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(
        grid(), arrays([0.0]), num_rounds=6
    )
    assert vector(result.arrays) == vector(whole.arrays)


@pytest.mark.parametrize(
    ("other", "model", "named"),
    [
        (FedBuff(buffer_size=3), arrays([0.0]), "its options differ in 'buffer_size', 2 there"),
        (DeepEdge(buffer_size=2), arrays([0.0]), "the strategy differ in 'class', FedBuff there"),
        (FedBuff(buffer_size=2), arrays([0.0, 0.0]), r"model's arrays differ in 'w', float64\[1\]"),
        (
            FedBuff(buffer_size=2),
            ArrayRecord({"v": Array(np.zeros(1))}),
            "model's arrays differ in 'w'",
        ),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, other: AsyncStrategy, model: ArrayRecord, named: str
) -> None:
    FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=1)
    other.checkpoint_dir = tmp_path
    with pytest.raises(ValueError, match=named):
        other.start(grid(), model, num_rounds=2)


@pytest.mark.parametrize(
    ("spread", "plan"),
    [((1.0, 2.0, 3.0, 5.0), NO_FAULTS), ((1.0, 2.0, 3.0), NO_FAULTS),
     ((1.0, 2.0, 3.0, 4.0), FaultPlan((Fault(kind="hang", node=1),)))],
)  # fmt: skip
def test_a_checkpoint_of_another_fleet_is_refused(
    tmp_path: Path, spread: tuple[float, ...], plan: FaultPlan
) -> None:
    FedBuff(buffer_size=4, checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=2)
    app = follow_target(TARGETS[: len(spread)], mods=[deepedge_mod()], num_steps=2)
    other = VirtualGrid(InProcessGrid(app, len(spread)), fleet(*spread), num_steps=1, faults=plan)
    with pytest.raises(ValueError, match="the checkpoint is of a run on another fleet: it took"):
        FedBuff(buffer_size=4, checkpoint_dir=tmp_path).start(other, arrays([0.0]), num_rounds=4)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=3)
    folder = CheckpointFolder(tmp_path)
    state = folder.read()
    assert state is not None
    del state["run"]["_last_update_s"]
    folder.write(pack(state))
    with pytest.raises(ValueError, match=r"another version .* kept no '_last_update_s': give"):
        FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=6)


def test_the_time_of_a_run_is_counted_on_the_clock_it_has_now(tmp_path: Path) -> None:
    with pytest.raises(HorizonReached):
        FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(
            Live(horizon_s=20.0), arrays([0.0]), num_rounds=999
        )
    strategy = FedBuff(buffer_size=2, checkpoint_dir=tmp_path)
    with pytest.raises(HorizonReached):
        strategy.start(Live(horizon_s=3.0), arrays([0.0]), num_rounds=999)
    assert -20 <= strategy._started_at_s < 0


def test_how_it_is_evaluated_and_written_may_change(tmp_path: Path) -> None:
    FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=1)
    other = FedBuff(
        buffer_size=2, checkpoint_dir=tmp_path, checkpoint_every=5, fraction_evaluate=0.5
    )
    other.start(grid(), arrays([0.0]), num_rounds=2)
    assert other.version == 2


def test_what_the_memory_may_take_may_change(tmp_path: Path) -> None:
    DeepEdge(checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=1)
    less = DeepEdge(checkpoint_dir=tmp_path, memory_bytes=8)
    less.start(grid(), arrays([0.0]), num_rounds=2)
    assert less.version == 2


def test_where_messages_are_lost_the_same_work_is_sent_again_without_blame(tmp_path: Path) -> None:
    """Six seconds in, all nodes are at work; the second server asks for the same jobs."""
    before = Live(horizon_s=6.5)
    with pytest.raises(HorizonReached):
        DeepEdge(buffer_size=1, checkpoint_dir=tmp_path).start(
            before, arrays([0.0]), num_rounds=1000
        )
    under_way = dict(before.sent)
    after, strategy = Live(horizon_s=0.5), DeepEdge(buffer_size=1, checkpoint_dir=tmp_path)
    with pytest.raises(HorizonReached):
        strategy.start(after, arrays([0.0]), num_rounds=1000)
    assert strategy.version > 0
    assert dict(after.sent) == under_way
    assert strategy._exchange.num_failures == 0
    assert strategy._fleet.profile(1).num_observations > 0


def test_the_time_without_a_server_is_not_the_nodes_time(tmp_path: Path) -> None:
    with pytest.raises(HorizonReached):
        DeepEdge(checkpoint_dir=tmp_path).start(Live(horizon_s=20.0), arrays([0.0]), num_rounds=999)
    strategy = DeepEdge(checkpoint_dir=tmp_path)
    with pytest.raises(HorizonReached):
        strategy.start(Live(horizon_s=3.0), arrays([0.0]), num_rounds=999)
    last_s = strategy._fleet._last_reply_s
    assert last_s and all(-20 < time_s <= 3 for time_s in last_s.values())


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_goes_on_where_messages_are_lost(tmp_path: Path, name: str) -> None:
    make = getattr(deepedge_flwr, name)
    with pytest.raises(HorizonReached):
        make(**STRATEGIES[name], checkpoint_dir=tmp_path).start(
            Live(horizon_s=14.0), arrays([0.0]), num_rounds=999
        )
    strategy = make(**STRATEGIES[name], checkpoint_dir=tmp_path)
    result = strategy.start(Live(), arrays([0.0]), num_rounds=30, timeout=100)
    assert strategy.version == 30
    assert 1 <= vector(result.arrays)[0] <= 4


def test_damage_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FedBuff(buffer_size=2, checkpoint_dir=tmp_path).start(grid(), arrays([0.0]), num_rounds=9)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    strategy = FedBuff(buffer_size=2, checkpoint_dir=tmp_path)
    strategy.start(grid(), arrays([0.0]), num_rounds=9)
    assert strategy.version == 9
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert newest.name in record.getMessage() and "damaged" in record.getMessage()


def test_the_state_of_flower_s_simulation_runtime_is_not_the_run_s(tmp_path: Path) -> None:
    class InMemory(InProcessGrid):
        state = object()  # a LinkState, in Flower's InMemoryGrid

    for num_rounds in (3, 5):
        strategy = FedBuff(buffer_size=2, checkpoint_dir=tmp_path)
        grid = InMemory(follow_target([1.0, 1.0]), 2)
        strategy.start(grid, arrays([0.0]), num_rounds=num_rounds)
        saved = CheckpointFolder(tmp_path).read()
        assert saved is not None and saved["world"] is None
        assert saved["run"]["version"] == num_rounds


class Dies(InProcessGrid):
    """A SuperLink in real time that is gone after some messages."""

    def __init__(self, num_messages: int) -> None:
        super().__init__(follow_target([1.0, 1.0]), 2)
        self._num_left = num_messages

    def push_messages(self, messages: Any) -> Any:
        if not self._num_left:
            raise ConnectionError("the SuperLink is down")
        self._num_left -= 1
        return super().push_messages(messages)


def test_an_error_of_the_grid_comes_after_a_last_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flwr")
    strategy = FedBuff(buffer_size=2, checkpoint_dir=tmp_path, checkpoint_every=1000)
    with pytest.raises(ConnectionError, match="SuperLink is down"):
        strategy.start(Dies(6), arrays([0.0]), num_rounds=1000)
    saved = CheckpointFolder(tmp_path).read()
    assert saved is not None and saved["run"]["version"] == strategy.version == 3
    assert any("3 versions in" in record.getMessage() for record in caplog.records)


def test_the_error_is_told_even_if_nothing_can_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise TypeError("a state cannot hold that")

    monkeypatch.setattr("deepedge_flwr.strategy.resumable.pack", fail)
    strategy = FedBuff(buffer_size=2, checkpoint_dir=tmp_path, checkpoint_every=1000)
    with pytest.raises(ConnectionError, match="SuperLink is down"):
        strategy.start(Dies(6), arrays([0.0]), num_rounds=1000)
    assert "No last checkpoint: a state cannot hold that" in [
        r.getMessage() for r in caplog.records
    ]


def test_options() -> None:
    with pytest.raises(ValueError, match="checkpoint_every must be an integer >= 1, got 0"):
        FedNova(checkpoint_every=0)
    with pytest.raises(ValueError, match="combine must be one of"):
        FedNova(combine="median")
    with pytest.raises(ValueError, match="trim must be in"):
        FedCompass(trim=0.5)

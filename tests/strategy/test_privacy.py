"""Runs whose models tell little about any one node."""

import math
import shutil
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord

import deepedge_flwr
from deepedge_flwr import CA2FL, DeepEdge, FedAsync, FedBuff, FedCompass, Privacy
from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.simulation import HorizonReached, InProcessGrid, VirtualGrid
from deepedge_flwr.strategy.accountant import epsilon
from tests.numpy_app import arrays, deepedge_mod, fleet, follow_target, vector, virtual_grid

TARGETS = [1.0, 2.0, 3.0, 4.0]
QUIET = Privacy(clip_norm=1e9, noise_multiplier=0.0)
NOISY = Privacy(clip_norm=0.1, noise_multiplier=0.5, seed=5)


def run(strategy: Any, num_rounds: int = 8, **options: Any) -> tuple[Any, Any]:
    app = follow_target(TARGETS, mods=[deepedge_mod()], num_steps=2, **options)
    grid = virtual_grid(app, fleet(1.0, 2.0, 3.0, 4.0))
    return strategy.start(grid, arrays([0.0]), num_rounds=num_rounds), grid


def test_epsilon_is_that_of_the_gaussian_mechanism() -> None:
    phi = NormalDist().cdf
    for sigma in (0.5, 1.0, 5.0):
        found, mu = epsilon(sigma, 1e-5), 1 / sigma
        delta = phi(-found / mu + mu / 2) - math.exp(found) * phi(-found / mu - mu / 2)
        assert delta == pytest.approx(1e-5, rel=1e-3)
    assert (epsilon(math.inf, 1e-5), epsilon(0.0, 1e-5)) == (0.0, math.inf)


@pytest.mark.parametrize("name", ["FedBuff", "FedNova", "DeadlineFedAvg"])
def test_without_noise_and_clip_a_run_is_as_ever(name: str) -> None:
    options = {"buffer_size": 2} if name == "FedBuff" else {}
    make = getattr(deepedge_flwr, name)
    private, _ = run(make(**options, privacy=QUIET))
    plain, _ = run(make(**options))
    assert vector(private.arrays) == vector(plain.arrays)


def test_without_noise_and_clip_deepedge_is_the_one_that_neither_adapts_nor_remembers() -> None:
    private, _ = run(DeepEdge(privacy=QUIET))
    plain, _ = run(DeepEdge(adaptive=False, memory=0))
    assert vector(private.arrays) == vector(plain.arrays)


def test_how_many_examples_a_node_has_does_not_matter() -> None:
    results = [run(DeepEdge(privacy=NOISY), num_examples=n)[0] for n in ([1] * 4, [1, 9, 3, 50])]
    assert vector(results[0].arrays) == vector(results[1].arrays)


def test_a_node_moves_a_version_by_its_clip_at_most() -> None:
    results = []
    for last in (4.0, -1e6):
        app = follow_target([1.0, 2.0, 3.0, last], num_steps=1)
        grid = virtual_grid(app, fleet(1.0, 1.0, 1.0, 1.0))
        strategy = FedBuff(buffer_size=4, privacy=Privacy(clip_norm=0.1, noise_multiplier=0.0))
        results.append(strategy.start(grid, arrays([0.0]), num_rounds=1))
    moved = [vector(result.arrays)[0] for result in results]
    assert moved == pytest.approx([0.1, (3 * 0.1 - 0.1) / 4])


def test_the_noise_of_a_version_is_added_once_to_its_sum() -> None:
    models = {}
    for z in (0.0, 0.5):
        privacy = Privacy(clip_norm=0.1, noise_multiplier=z, seed=5)
        models[z] = vector(run(FedBuff(buffer_size=2, privacy=privacy), 1)[0].arrays)[0]
    noise = 0.5 * 0.1 * np.random.default_rng((5, 0)).standard_normal(1)[0]
    assert models[0.5] - models[0.0] == pytest.approx(noise / 2)


def test_the_loss_is_that_of_the_node_seen_most() -> None:
    result, grid = run(FedBuff(buffer_size=1, privacy=NOISY), 6)
    counts = [sum(row.node_id == n for row in grid.ledger.of("reply")) for n in (1, 2, 3, 4)]
    metrics = result.train_metrics_clientapp[6]
    assert metrics["privacy-epsilon"] == pytest.approx(epsilon(0.5 / math.sqrt(max(counts)), 1e-5))
    assert metrics["privacy-delta"] == 1e-5
    assert "loss" not in metrics  # the clients' own metrics have no noise
    spent = [m["privacy-epsilon"] for _, m in sorted(result.train_metrics_clientapp.items())]
    assert spent == sorted(spent)


def test_an_interrupted_run_has_the_same_noise_and_the_same_loss(tmp_path: Path) -> None:
    secret = Privacy(clip_norm=0.1, noise_multiplier=0.5)
    app = follow_target(TARGETS, mods=[deepedge_mod()], num_steps=2)

    def grid(horizon_s: float = math.inf) -> Any:
        return virtual_grid(app, fleet(1.0, 2.0, 3.0, 4.0), horizon_s=horizon_s)

    def strategy() -> FedBuff:
        return FedBuff(buffer_size=2, privacy=secret, checkpoint_dir=tmp_path)

    with pytest.raises(HorizonReached):
        strategy().start(grid(20.0), arrays([0.0]), num_rounds=99)
    results = [strategy().start(grid(), arrays([0.0]), num_rounds=n) for n in (30, 30)]
    models = [vector(result.arrays) for result in results]
    assert models[0] == models[1]
    other = FedBuff(buffer_size=2, privacy=secret).start(grid(), arrays([0.0]), num_rounds=30)
    assert vector(other.arrays) != models[0]  # another run, another secret


class Live(VirtualGrid):
    """A grid whose messages are lost with the server, as Flower's own."""

    restore = None  # type: ignore[assignment]
    state = None  # type: ignore[assignment]

    def __init__(self, horizon_s: float = math.inf) -> None:
        app = follow_target(TARGETS, mods=[deepedge_mod()], num_steps=2)
        specs = fleet(1.0, 2.0, 3.0, 4.0)
        super().__init__(InProcessGrid(app, 4), specs, num_steps=1, horizon_s=horizon_s)


def counted(**options: Any) -> FedBuff:
    return FedBuff(buffer_size=2, privacy=NOISY, **options)


def test_a_version_that_is_made_again_has_other_noise(tmp_path: Path) -> None:
    """Of a seed, too: what the version is made of is another time's."""
    noise = []
    for _ in range(2):
        strategy = counted(checkpoint_dir=tmp_path / "state")
        with pytest.raises(HorizonReached):
            strategy.start(Live(6.0), arrays([0.0]), num_rounds=999)
        # What the next version would be told with, were the server to die now or never.
        noise.append(strategy._combiner._private.noise(strategy.version, 1)[0])
        shutil.copytree(tmp_path / "state", tmp_path / "twin", dirs_exist_ok=True)
    twin = counted(checkpoint_dir=tmp_path / "twin")
    with pytest.raises(HorizonReached):
        twin.start(Live(0.1), arrays([0.0]), num_rounds=999)
    assert twin.version == strategy.version
    noise.append(twin._combiner._private.noise(strategy.version, 1)[0])
    assert len(set(noise)) == 3


def test_a_version_is_counted_on_the_disk_before_anybody_sees_it(tmp_path: Path) -> None:
    seen: list[int] = []
    strategy = counted(checkpoint_dir=tmp_path, checkpoint_every=1000)

    def evaluate(version: int, _: ArrayRecord) -> None:
        saved = CheckpointFolder(tmp_path).read()
        if version:
            assert saved is not None and saved["run"]["version"] == version
            squares = saved["run"]["_combiner"]["_private"]["_squares"]
            assert squares == strategy._combiner._private._squares
            seen.append(version)

    strategy.start(Live(), arrays([0.0]), num_rounds=5, evaluate_fn=evaluate)
    assert seen == [1, 2, 3, 4, 5]


def test_a_version_that_cannot_be_counted_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    seen: list[int] = []
    monkeypatch.setattr(CheckpointFolder, "write", full)
    with pytest.raises(RuntimeError, match=r"no space left.*version 1 is not published"):
        counted(checkpoint_dir=tmp_path).start(
            Live(), arrays([0.0]), num_rounds=5, evaluate_fn=lambda version, _: seen.append(version)
        )
    assert seen == [0]


def test_what_was_told_is_not_forgotten_with_a_damaged_checkpoint(tmp_path: Path) -> None:
    counted(checkpoint_dir=tmp_path).start(Live(), arrays([0.0]), num_rounds=3)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"{newest.name} is damaged"):
            counted(checkpoint_dir=tmp_path).start(Live(), arrays([0.0]), num_rounds=4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CA2FL(privacy=NOISY), "CA2FL remembers updates of nodes: it has no privacy"),
        (lambda: DeepEdge(memory=0.3, privacy=NOISY), "memory > 0 keeps .* with privacy=None"),
        (lambda: FedAsync(privacy=NOISY), "FedAsync remembers"),
        (lambda: FedCompass(min_steps=1, max_steps=2, privacy=NOISY), "FedCompass remembers"),
        (lambda: FedBuff(combine="consensus", privacy=NOISY), "with privacy combine must be"),
    ],
)
def test_what_does_not_go_together_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

"""What the README promises is complete, and what it shows runs as it stands."""

import re
from pathlib import Path

from flwr.serverapp.strategy import FedAvg, Strategy

from deepedge_flwr import DeepEdge
from tests.numpy_app import arrays, deepedge_mod, follow_target

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def code_after(heading: str) -> str:
    """Return the first Python block after a heading."""
    block = re.search(r"```python\n(.*?)```", README.partition(f"\n{heading}\n")[2], re.DOTALL)
    assert block is not None
    return block[1]


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README


def simulate(strategy: Strategy, path: Path) -> None:
    """Run the example with a client app and a model of ours."""
    names = {
        "client_app": follow_target([1.0] * 30, num_steps=10, mods=[deepedge_mod()]),
        "arrays": arrays([0.0]),
        "strategy": strategy,
        "path": path,
    }
    exec(compile(code_after("## Simulate a fleet"), "README.md", "exec"), names)


def test_the_fleet_is_simulated_as_shown(tmp_path: Path) -> None:
    simulate(DeepEdge(), tmp_path / "x.csv")
    kinds = {line.split(",")[1] for line in (tmp_path / "x.csv").read_text().splitlines()[1:]}
    assert {"dispatch", "compute", "reply", "idle"} <= kinds


def test_a_stock_strategy_runs_on_the_same_fleet(tmp_path: Path) -> None:
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=30, min_available_nodes=30)
    simulate(strategy, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().count(",reply,") == 30 * 100

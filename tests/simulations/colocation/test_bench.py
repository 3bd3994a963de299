"""Real processes side by side: what they tell, and that none of them stays."""

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from deepedge_flwr.client.isolation import AUTOGROUP, IDLE_CLASS
from simulations.colocation.bench import Bench, Condition
from simulations.colocation.service import Load
from simulations.colocation.trainer import Training

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_a_gated_and_isolated_training_sees_its_service_and_nothing_stays(tmp_path: Path) -> None:
    path = str(tmp_path / "service.sock")
    training = Training(
        step_s=0.002, threads=1, isolation=(IDLE_CLASS, AUTOGROUP), budget_s=60.0,
        probe=f"unix:{path}",
    )  # fmt: skip
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with Bench([Load(period_s=0.01, work_s=0.0005, over_http=True)], [path]) as bench:
        bench.add("protected", Condition(training=training))
        off = bench.block("off", 0.2)
        block = bench.block("protected", 0.5)
    assert not off.trained
    assert len(block.latencies_s) == 80  # 0.3 s more than the training
    assert block.trained["num_steps"] > 0
    assert block.trained["num_requests"] > 0
    assert block.trouble == ""
    assert block.misses(60.0) == 0.0
    assert block.steps_per_s > 0
    after = {child.pid for child in psutil.Process().children(recursive=True)}
    assert after <= before
    assert not Path(path).exists()


def test_what_the_host_keeps_while_a_block_runs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stolen_s = iter([7.0, 7.5])
    monkeypatch.setattr(
        "simulations.colocation.bench.psutil.cpu_times",
        lambda: SimpleNamespace(steal=next(stolen_s)),
    )
    with Bench([Load(period_s=0.01, work_s=0.0005)]) as bench:
        block = bench.block("off", 0.2)
    assert block.stolen_s == 0.5
    assert block.stolen_share == 0.5 / block.duration_s == 1.0

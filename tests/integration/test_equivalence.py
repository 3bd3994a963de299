"""The same run on every engine, and today as tomorrow."""

from pathlib import Path

import pytest

from simulations.configuration import compose_config
from simulations.experiment import run_experiment

SMALL = ["num_nodes=4", "horizon_s=8", "num_evaluations=8", "service=control_loop", "seed=7"]


@pytest.mark.ray
def test_in_process_equals_flowers_simulation_engine(tmp_path: Path) -> None:
    in_process = run_experiment(compose_config(SMALL), tmp_path / "in_process")
    ray = run_experiment(compose_config([*SMALL, "engine=ray"]), tmp_path / "ray")
    assert ray.num_updates == in_process.num_updates > 5
    assert ray.model_sha256 == in_process.model_sha256
    assert ray.event_log_sha256 == in_process.event_log_sha256

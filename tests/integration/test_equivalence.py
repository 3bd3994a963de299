"""The same run on every engine, and today as tomorrow."""

from pathlib import Path

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

from deepedge_flwr import FedBuff
from deepedge_flwr.core.aggregation import mix
from simulations.configuration import compose_config
from simulations.experiment import run_experiment
from tests.numpy_app import arrays, fleet, follow_target, vector, virtual_grid

SMALL = ["num_nodes=4", "horizon_s=10", "num_evaluations=8", "service=control_loop", "seed=7"]
UNRELIABLE = [
    "fleet=dropouts",
    "fleet.build.notice_s=1",
    "fleet.build.presence.job_loss=0.2",
    "fleet.build.presence.mean_absence_s=1",
]


@pytest.mark.ray
def test_in_process_equals_flowers_simulation_engine(tmp_path: Path) -> None:
    small = [*SMALL, *UNRELIABLE]
    in_process = run_experiment(compose_config(small), tmp_path / "in_process")
    ray = run_experiment(compose_config([*small, "engine=ray"]), tmp_path / "ray")
    assert ray.bytes_wasted == in_process.bytes_wasted > 0
    assert ray.num_updates == in_process.num_updates > 5
    assert ray.model_sha256 == in_process.model_sha256
    assert ray.event_log_sha256 == in_process.event_log_sha256


def test_a_buffer_of_one_and_full_mixing_are_fedavg_of_one() -> None:
    start = arrays([0.3, -0.7])
    one = FedBuff(buffer_size=1, min_available_nodes=1).start(
        virtual_grid(follow_target([2.0]), fleet(1.0)), start, num_rounds=5
    )
    stock = FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1).start(
        virtual_grid(follow_target([2.0]), fleet(1.0)), start, num_rounds=5
    )
    np.testing.assert_allclose(vector(one.arrays), vector(stock.arrays), rtol=1e-12)
    current, local = np.array([0.3, -0.7]), np.array([2.0, 1.0])
    np.testing.assert_array_equal(mix(current, local, 1.0), local)

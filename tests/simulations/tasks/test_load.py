"""A configuration is checked key by key, and every file of conf/task is a valid one."""

import json
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from simulations.tasks import load_task
from simulations.tasks.load import LOADERS, NOT_IN_CONFIG, cached_task

FILES = sorted((Path(__file__).parents[3] / "conf" / "task").glob("*.yaml"))
DIGITS: dict[str, object] = {
    "name": "digits",
    "partition": "dirichlet",
    "alpha": 0.5,
    "min_examples": 10,
    "learning_rate": 0.4,
    "batch_size": 16,
    "target_accuracy": 0.945,
}
SYNTHETIC: dict[str, object] = {
    "name": "synthetic",
    "partition": "own",
    "alpha": 0.5,
    "beta": 0.5,
    "max_examples": 100,
    "learning_rate": 0.03,
    "batch_size": 10,
    "target_accuracy": 0.82,
}


def read(path: Path) -> dict[str, Any]:
    config = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def parameters_of(name: str) -> dict[str, Parameter]:
    parameters = signature(LOADERS[name]).parameters
    return {key: value for key, value in parameters.items() if key not in NOT_IN_CONFIG}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_gives_what_its_task_takes(path: Path) -> None:
    config = read(path)
    assert set(config) - {"name"} == set(parameters_of(config["name"]))


@pytest.mark.parametrize("name", LOADERS)
def test_the_file_of_a_task_holds_its_defaults(name: str) -> None:
    (path,) = (path for path in FILES if path.stem == name)
    parameters = parameters_of(name)
    assert read(path) == {"name": name} | {key: p.default for key, p in parameters.items()}


def test_every_task_has_a_file_of_its_name() -> None:
    assert set(LOADERS) <= {path.stem for path in FILES}


def test_the_configured_values_reach_the_task() -> None:
    task = load_task(DIGITS, num_nodes=6, seed=0, speed_rank=range(6))
    assert (task.name, len(task.node_labels)) == ("digits", 6)
    assert (task.learning_rate, task.batch_size, task.target_accuracy) == (0.4, 16, 0.945)


def test_a_whole_number_is_a_number() -> None:
    load_task(DIGITS | {"alpha": 1}, num_nodes=6, seed=0, speed_rank=range(6))


def test_a_worker_builds_the_task_once() -> None:
    arguments: dict[str, Any] = {"num_nodes": 3, "seed": 0, "speed_rank": (0, 1, 2)}
    task = cached_task(json.dumps(SYNTHETIC), **arguments)
    assert cached_task(json.dumps(SYNTHETIC), **arguments) is task
    expected = load_task(SYNTHETIC, **arguments)
    np.testing.assert_array_equal(task.test_inputs, expected.test_inputs)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            DIGITS | {"name": "digit"},
            r"^unknown task 'digit': did you mean 'digits'\? valid: digits, fashion_mnist, synth",
        ),
        ({}, r"^unknown task None: .*valid: digits, fashion_mnist, synthetic$"),
        (
            DIGITS | {"batchsize": 3},
            r"^task digits: unknown key 'batchsize': did you mean 'batch_size'\? valid: alpha,",
        ),
        (DIGITS | {"beta": 1.0}, r"^task digits: unknown key 'beta': .*valid: alpha, batch_size"),
        (DIGITS | {"seed": 1}, r"^task digits: unknown key 'seed'"),
        (DIGITS | {"partition": "dirichlt"}, r"^unknown partition 'dirichlt': valid: dirichlet"),
        (SYNTHETIC | {"partition": "dirichlet"}, r"partition must be 'own', got 'dirichlet'"),
        (DIGITS | {"alpha": "big"}, r"alpha must be of type float, got 'big': set task\.alpha="),
        (DIGITS | {"alpha": None}, r"alpha must be of type float, got None"),
        (DIGITS | {"batch_size": 1.5}, r"batch_size must be of type int, got 1\.5"),
        (DIGITS | {"batch_size": True}, r"batch_size must be of type int, got True"),
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_task(config, num_nodes=4, seed=0, speed_rank=range(4))


@pytest.mark.parametrize(("num_nodes", "num_ranks"), [(3, 4), (0, 0)])
def test_every_node_needs_a_rank(num_nodes: int, num_ranks: int) -> None:
    message = f"one rank per node, got num_nodes={num_nodes} and {num_ranks} ranks"
    with pytest.raises(ValueError, match=message):
        load_task(DIGITS, num_nodes=num_nodes, seed=0, speed_rank=range(num_ranks))

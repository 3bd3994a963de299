"""Load the task that a configuration names, once per process if asked to."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from inspect import signature
from typing import Any

from simulations.tasks import digits, fashion_mnist, synthetic
from simulations.tasks.task import Task

LOADERS: dict[str, Callable[..., Task]] = {
    "digits": digits.load,
    "fashion_mnist": fashion_mnist.load,
    "synthetic": synthetic.load,
}
NOT_IN_CONFIG = {"num_nodes", "seed", "speed_rank"}


def load_task(
    config: Mapping[str, object], *, num_nodes: int, seed: int, speed_rank: Sequence[int]
) -> Task:
    """Return the task that `config` describes.

    Parameters
    ----------
    config : Mapping[str, object]
        ``name`` is digits, fashion_mnist or synthetic; the other keys are keyword arguments of
        the ``load`` function in the module of that name, which has their meaning and defaults.
    num_nodes : int
        Number of nodes, >= 1.
    seed : int
        Seed of everything random in the task.
    speed_rank : Sequence[int]
        Rank of every node by speed, where 0 is the fastest.

    Raises
    ------
    ValueError
        If the name or a key is unknown, or a value breaks its rule.
    FileNotFoundError
        If the task's files are missing.
    """
    if num_nodes < 1 or len(speed_rank) != num_nodes:
        raise ValueError(
            "num_nodes must be >= 1 and speed_rank hold one rank per node, "
            f"got num_nodes={num_nodes} and {len(speed_rank)} ranks"
        )
    name = config.get("name")
    if name not in LOADERS:
        raise ValueError(f"unknown task {name!r}: {_nearest(str(name), LOADERS)}")
    load = LOADERS[str(name)]
    options = _checked_options(str(name), load, config)
    return load(num_nodes=num_nodes, seed=seed, speed_rank=speed_rank, **options)


@lru_cache(maxsize=8)
def cached_task(config_json: str, num_nodes: int, seed: int, speed_rank: tuple[int, ...]) -> Task:
    """Return `load_task` of the JSON object `config_json`, loaded once per process."""
    return load_task(json.loads(config_json), num_nodes=num_nodes, seed=seed, speed_rank=speed_rank)


def _checked_options(
    name: str, load: Callable[..., Task], config: Mapping[str, object]
) -> dict[str, Any]:
    kinds = {
        key: parameter.annotation
        for key, parameter in signature(load).parameters.items()
        if key not in NOT_IN_CONFIG
    }
    options = {key: value for key, value in config.items() if key != "name"}
    for key, value in options.items():
        if key not in kinds:
            raise ValueError(f"task {name}: unknown key {key!r}: {_nearest(key, kinds)}")
        accepted = (int, float) if kinds[key] is float else kinds[key]
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise ValueError(
                f"task {name}: {key} must be of type {kinds[key].__name__}, got {value!r}: "
                f"set task.{key}="
            )
    return options


def _nearest(name: str, valid: Collection[str]) -> str:
    matches = get_close_matches(name, valid, n=1)
    suggestion = f"did you mean {matches[0]!r}? " if matches else ""
    return f"{suggestion}valid: {', '.join(sorted(valid))}"

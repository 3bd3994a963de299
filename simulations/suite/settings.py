"""From `conf/suite.yaml` to the settings of a suite, every name checked before anything runs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..configuration import CONF_DIR
from ..overrides import check_overrides, nearest
from ..sweep import Overrides
from .folders import Reuse
from .plan import Reference, Suite

CONFIG_NAME = "suite"


def compose_suite(argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return the configuration that `python -m simulations.suite ARGV` would use.

    Raises
    ------
    ValueError
        If an override names nothing.
    """
    check_overrides(argv, CONF_DIR, CONFIG_NAME)
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose(CONFIG_NAME, overrides=list(argv))
        values = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(" ".join(str(error).split())) from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def read_suite(config: Mapping[str, Any]) -> Suite:
    """Return the suite of a configuration.

    Raises
    ------
    ValueError
        If a task, fleet or arm is in no catalogue, if one of its overrides names nothing, or if
        the settings contradict each other.
    """
    chosen = config["suite"]
    for key in ("seeds", "tuning_seeds", "marks"):
        if not isinstance(chosen[key], list) or not all(_is_number(x) for x in chosen[key]):
            raise ValueError(f"suite.{key} must be a list of numbers, got {chosen[key]!r}")
    suite = Suite(
        name=chosen["name"],
        subject=chosen["subject"],
        oracle=chosen["oracle"],
        bounds=tuple(arm for arm in chosen["bounds"] if arm in chosen["arms"]),
        tasks=_overrides(config, "tasks"),
        fleets={name: _fleet(name, fleet) for name, fleet in _pick(config, "fleets").items()},
        arms=_overrides(config, "arms"),
        grids={
            arm: tuple(map(tuple, grid))
            for arm, grid in _pick(config, "grids", "tuned").items()
            if arm in chosen["arms"]
        },
        seeds=tuple(chosen["seeds"]),
        tuning_seeds=tuple(chosen["tuning_seeds"]),
        marks=tuple(chosen["marks"]),
        reference=Reference(
            arms={name: tuple(arm) for name, arm in chosen["reference"]["arms"].items()},
            overrides=_fleet("reference", chosen["reference"]),
        ),
        common=tuple(chosen["common"]),
        tuning=tuple(chosen["tuning"]),
        reported=tuple(chosen["reported"]),
    )
    for name, overrides in _lines(suite):
        _check(name, overrides)
    return suite


def num_processes(config: Mapping[str, Any]) -> int:
    """Return how many runs go on at a time; null is one per core.

    Raises
    ------
    ValueError
        If it is not a count.
    """
    value = config["processes"]
    if value is None:
        return os.cpu_count() or 1
    if type(value) is not int or value < 1:
        raise ValueError(f"processes must be null or an integer >= 1, got {value!r}")
    return value


def read_reuse(config: Mapping[str, Any]) -> Reuse:
    """Return which finished runs count.

    Raises
    ------
    ValueError
        If it is neither source nor config.
    """
    value = config["reuse"]
    if value not in ("source", "config"):
        raise ValueError(f"reuse must be source or config, got {value!r}")
    return "config" if value == "config" else "source"


def _pick(config: Mapping[str, Any], catalogue: str, key: str = "") -> dict[str, Any]:
    """Return the entries of a catalogue that the suite names."""
    entries, names = config[catalogue], config["suite"][key or catalogue]
    if not isinstance(names, list):
        raise ValueError(
            f"suite.{key or catalogue} must be a list of names, got {names!r}: write [a,b]"
        )
    for name in names:
        if name not in entries:
            raise ValueError(
                f"unknown name {name!r} in suite.{key or catalogue}: "
                f"{nearest(str(name), entries)}valid: {', '.join(entries)}"
            )
    return {name: entries[name] for name in names}


def _overrides(config: Mapping[str, Any], catalogue: str) -> dict[str, Overrides]:
    return {name: tuple(entry) for name, entry in _pick(config, catalogue).items()}


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _fleet(name: str, fleet: Any) -> Overrides:
    if not isinstance(fleet, dict) or not {"overrides", "horizon_s"} <= fleet.keys():
        raise ValueError(
            f"fleet {name!r} must be {{overrides: [...], horizon_s: ...}}, got {fleet!r}"
        )
    return *fleet["overrides"], f"horizon_s={fleet['horizon_s']}"


def _lines(suite: Suite) -> Iterator[tuple[str, Overrides]]:
    """Yield the overrides that occur, each at least once, with the name of where they are from."""
    task, fleet = next(iter(suite.tasks.values())), next(iter(suite.fleets.values()))
    extra = (*suite.common, *suite.tuning, *suite.reported)
    yield "suite.common, tuning, reported", extra
    yield from ((f"tasks.{name}", overrides) for name, overrides in suite.tasks.items())
    yield from ((f"fleets.{name}", overrides) for name, overrides in suite.fleets.items())
    for name, overrides in suite.arms.items():
        yield f"arms.{name}", (*task, *fleet, *overrides)
        for index, choice in enumerate(suite.grids.get(name, ())):
            yield f"grids.{name}.{index}", (*task, *fleet, *overrides, *choice)
    for name, overrides in suite.reference.arms.items():
        line = (*suite.reference.overrides, *overrides)
        yield f"suite.reference.arms.{name}", line


def _check(name: str, overrides: Overrides) -> None:
    try:
        check_overrides(overrides, CONF_DIR)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error

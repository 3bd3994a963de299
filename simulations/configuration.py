"""Composing configurations from `conf/` in code, and checking their values."""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from .evaluator import WINDOW

CONF_DIR = Path(__file__).resolve().parents[1] / "conf"

Rule = Callable[[Any], bool]


def _integer(at_least: int) -> Rule:
    return lambda value: type(value) is int and value >= at_least


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _positive_or_none(value: Any) -> bool:
    return value is None or _positive(value)


def _share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _memory(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value < 1)


_RULES: tuple[tuple[str, str, Rule], ...] = (
    ("seed", "an integer >= 0", _integer(0)),
    ("num_nodes", "an integer >= 1", _integer(1)),
    ("horizon_s", "a finite number > 0", _positive),
    ("num_evaluations", f"an integer >= {WINDOW} (so many are averaged)", _integer(WINDOW)),
    ("service_share", "a number in [0, 1]", _share),
    ("gate", "true or false", _truth),
    ("stop_at_target", "true or false", _truth),
    ("write_ledger", "true or false", _truth),
    ("verbose", "true or false", _truth),
    ("engine.name", "inprocess or ray", ("inprocess", "ray").__contains__),
    (
        "engine.num_cpus_per_client",
        f"an integer from 1 to {os.cpu_count()}, the processors here",
        lambda value: value is None or (_integer(1)(value) and value <= (os.cpu_count() or 1)),
    ),
    ("strategy.world", "fleet, ideal or cloud", ("fleet", "ideal", "cloud").__contains__),
    ("strategy.step_time_s", "null or a finite number > 0", _positive_or_none),
    ("strategy.local_steps", "an integer >= 1", _integer(1)),
    ("strategy.averaging", "null or a number in [0, 1)", _memory),
)


def compose_config(overrides: Sequence[str] = ()) -> DictConfig:
    """Return the configuration that `python -m simulations.run OVERRIDES` would use."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [override for override in parsed if _is_value(override)]
    chosen = tuple(str(override.input_line) for override in parsed if override not in values)
    config = deepcopy(_composed(chosen))
    for override in values:
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
    return config


def _is_value(override: Override) -> bool:
    """Return whether hydra would set the value after it has put the files together."""
    key = override.key_or_group
    is_hydras = key.split(".")[0].split("/")[0] == "hydra"
    return override.type is OverrideType.CHANGE and not is_hydras and not (CONF_DIR / key).is_dir()


# Putting the files together takes as long as a short run; a suite needs few of their choices.
@lru_cache(maxsize=1024)
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def check_config(config: DictConfig) -> None:
    """Check the values that no constructor checks, before anything is started.

    Raises
    ------
    ValueError
        Naming the key, the rule and the value.
    """
    for key, value in config.fleet.items():
        if key.endswith("path") and value is None:
            raise ValueError(f"fleet.{key} must be the path of a trace file, give fleet.{key}=FILE")
    for key, rule, holds in _RULES:
        value = OmegaConf.select(config, key)
        if not holds(value):
            raise ValueError(f"{key} must be {rule}, got {value!r}")

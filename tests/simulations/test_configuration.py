"""Every configuration of `conf/` composes, and overrides win."""

from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from simulations.configuration import CONF_DIR, check_config, compose_config

GROUPS = ("strategy", "fleet", "service", "task", "engine")


def options() -> list[str]:
    return [f"{group}={path.stem}" for group in GROUPS for path in (CONF_DIR / group).glob("*")]


def test_the_defaults() -> None:
    config = compose_config()
    chosen = [config[group].name for group in GROUPS]
    assert chosen == ["deepedge", "x16", "none", "digits", "inprocess"]
    assert (config.seed, config.num_nodes, config.gate) == (0, 30, True)


def test_overrides_win() -> None:
    config = compose_config(["strategy=fedbuff", "num_nodes=12", "strategy.build.buffer_size=3"])
    assert config.strategy.build.buffer_size == 3
    assert config.fleet.build.step_times_s.num_nodes == 12


@pytest.mark.parametrize("option", sorted(options()))
def test_every_option_composes_and_resolves(option: str) -> None:
    group = option.partition("=")[0]
    resolved = OmegaConf.to_container(compose_config([option]), resolve=True)
    assert isinstance(resolved, dict)
    assert resolved[group]["name"]


def test_every_strategy_says_what_it_is_and_how_it_is_evaluated() -> None:
    for path in (CONF_DIR / "strategy").glob("*.yaml"):
        strategy = compose_config([f"strategy={path.stem}"]).strategy
        assert strategy.name == path.stem
        assert strategy.label
        assert strategy.averaging is None or 0 <= strategy.averaging < 1
        assert strategy.local_steps >= 1


def test_an_unknown_option_is_hydras_error() -> None:
    with pytest.raises(HydraException, match="fedsgd"):
        compose_config(["strategy=fedsgd"])


def test_the_folder_is_that_of_the_repository() -> None:
    assert Path(__file__).parents[2] / "conf" == CONF_DIR


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("seed=-1", "seed must be an integer >= 0, got -1"),
        ("seed=abc", "seed must be an integer >= 0, got 'abc'"),
        ("num_nodes=0", "num_nodes must be an integer >= 1, got 0"),
        ("num_nodes=2.5", "num_nodes must be an integer >= 1, got 2.5"),
        ("horizon_s=-1", "horizon_s must be a finite number > 0, got -1"),
        ("horizon_s=abc", "horizon_s must be a finite number > 0, got 'abc'"),
        ("horizon_s=inf", "horizon_s must be a finite number > 0, got inf"),
        ("num_evaluations=4", r"num_evaluations must be an integer >= 5 .*, got 4"),
        ("gate=maybe", "gate must be true or false, got 'maybe'"),
        ("engine.name=foo", "engine.name must be inprocess or ray, got 'foo'"),
        ("strategy.local_steps=0", "strategy.local_steps must be an integer >= 1, got 0"),
        ("strategy.averaging=1", r"strategy.averaging must be null or a number in \[0, 1\), got 1"),
    ],
)
def test_values_are_checked_before_anything_starts(override: str, text: str) -> None:
    check_config(compose_config())
    with pytest.raises(ValueError, match=text):
        check_config(compose_config([override]))

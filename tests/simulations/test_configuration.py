"""Every configuration of `conf/` composes, and overrides win."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
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


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["num_nodes=7", "strategy=fedbuff", "strategy.local_steps=3", "fleet=tail"],
        ["fleet=x4", "fleet=equal", "seed=2", "seed=3"],
        ["++strategy.build.fraction_train=0.5", "strategy=fedavg", "~task.alpha"],
        ["task={name: synthetic}", "fleet.build.link.jitter=0.5", "strategy.averaging=null"],
    ],
)
def test_a_configuration_is_that_of_hydra(overrides: list[str]) -> None:
    for _ in range(2):  # made, then remembered
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            hydras = compose("config", overrides=overrides)
        assert compose_config(overrides) == hydras


def test_a_configuration_is_the_callers_own() -> None:
    compose_config().strategy.local_steps = 99
    assert compose_config().strategy.local_steps == 10


def test_an_unknown_option_is_hydras_error() -> None:
    with pytest.raises(HydraException, match="fedsgd"):
        compose_config(["strategy=fedsgd"])


@pytest.fixture
def folder_of() -> Iterator[Callable[..., str]]:
    """How hydra would call the folder of a run with these overrides."""
    hydra_config = HydraConfig.instance()
    before = hydra_config.cfg

    def folder(*overrides: str) -> str:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("config", overrides=list(overrides), return_hydra_config=True)
        hydra_config.set_config(config)
        run, sweep = str(config.hydra.run.dir), str(config.hydra.sweep.subdir)
        assert run == f"runs/{sweep}"
        return os.path.normpath(run)

    yield folder
    hydra_config.cfg = before


def test_a_runs_folder_is_called_by_its_choices_and_seed(folder_of: Callable[..., str]) -> None:
    assert folder_of() == "runs/deepedge_digits_x16_none/seed0"
    chosen = ["strategy=fedbuff", "task=synthetic", "fleet=tail", "service=control_loop", "seed=3"]
    assert folder_of(*chosen) == "runs/fedbuff_synthetic_tail_control_loop/seed3"


@pytest.mark.parametrize("group", ["strategy", "task", "fleet", "service"])
def test_options_that_share_a_name_do_not_share_a_folder(
    folder_of: Callable[..., str], group: str
) -> None:
    paths = (CONF_DIR / group).glob("*.yaml")
    folders = [folder_of(f"{group}={path.stem}") for path in paths]
    assert len(folders) == len(set(folders)) > 1


@pytest.mark.parametrize(
    "override",
    [
        "num_nodes=12",
        "horizon_s=60",
        "num_evaluations=20",
        "gate=false",
        "verbose=true",
        "engine=ray",
        "strategy.local_steps=3",
        "strategy.build.buffer_size=3",
        "++strategy.build.fraction_evaluate=0.5",
        "task.alpha=0.1",
        "fleet.build.step_jitter=0.2",
    ],
)
def test_every_other_override_has_a_folder_of_its_own(
    folder_of: Callable[..., str], override: str
) -> None:
    assert folder_of(override, "seed=3") == f"runs/deepedge_digits_x16_none/{override}/seed3"


def test_the_order_of_overrides_does_not_matter(folder_of: Callable[..., str]) -> None:
    assert folder_of("num_nodes=12", "gate=false") == folder_of("gate=false", "num_nodes=12")


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
        ("fleet=trace_fedscale", r"fleet\.path must be the path .* give fleet\.path=FILE"),
        ("num_evaluations=4", r"num_evaluations must be an integer >= 5 .*, got 4"),
        ("gate=maybe", "gate must be true or false, got 'maybe'"),
        ("stop_at_target=1", "stop_at_target must be true or false, got 1"),
        ("write_ledger=null", "write_ledger must be true or false, got None"),
        ("engine.name=foo", "engine.name must be inprocess or ray, got 'foo'"),
        ("strategy.world=moon", "strategy.world must be fleet, ideal or cloud, got 'moon'"),
        ("+strategy.step_time_s=-1", "strategy.step_time_s must be null or a finite .*, got -1"),
        ("strategy.local_steps=0", "strategy.local_steps must be an integer >= 1, got 0"),
        ("strategy.averaging=1", r"strategy.averaging must be null or a number in \[0, 1\), got 1"),
    ],
)
def test_values_are_checked_before_anything_starts(override: str, text: str) -> None:
    check_config(compose_config())
    check_config(compose_config(["engine=ray"]))
    with pytest.raises(ValueError, match=text):
        check_config(compose_config([override]))


@pytest.mark.parametrize("value", [0, 1.5, 64 + (os.cpu_count() or 1)])
def test_a_client_cannot_have_more_processors_than_there_are(value: float) -> None:
    config = compose_config(["engine=ray", f"engine.num_cpus_per_client={value}"])
    text = f"engine.num_cpus_per_client must be an integer from 1 to {os.cpu_count()}, .* got "
    with pytest.raises(ValueError, match=f"{text}{value}"):
        check_config(config)

"""The nearest valid name is offered for what the command line misspells."""

from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from simulations.overrides import check_overrides

CONF = {
    "config.yaml": (
        "defaults:\n  - _self_\n  - strategy: fedavg\n  - task: digits\n"
        "seed: 0\nrounds: 3\nfleet: {size: 4, cores: [1, 2]}\nout: ???\n"
    ),
    "strategy/fedavg.yaml": "name: fedavg\n",
    "strategy/fedbuff.yaml": "name: fedbuff\nbuffer_size: 10\n",
    "task/digits.yaml": "model: mlp\n",
}


@pytest.fixture
def conf_dir(tmp_path: Path) -> Path:
    for name, text in CONF.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["strategy=fedbuff"],
        ["strategy=null"],
        ["-m", "strategy=fedavg,fedbuff", "seed=0,1"],
        ["-m", "strategy=glob(fed*)"],
        ["strategy=fedbuff", "strategy.buffer_size=20"],
        ["strategy.buffer_size=20", "strategy=fedbuff"],
        ["-m", "seed=range(0,3)", "fleet.size=choice(1,2)"],
        ["out=/tmp/x", "fleet.cores.0=3", "fleet={size: 3}"],
        ["+extra=1", "++extra=1", "~rounds"],
        ["hydra.run.dir=x", "hydra/launcher=y", "--config-name", "other", "--multirun"],
    ],
)
def test_valid_command_lines_pass(argv: list[str], conf_dir: Path) -> None:
    check_overrides(argv, conf_dir)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["strategy=fedbuf"],
            "unknown strategy 'fedbuf': did you mean 'fedbuff'? valid: fedavg, fedbuff",
        ),
        (["strategy=zzz"], "unknown strategy 'zzz': valid: fedavg, fedbuff"),
        (
            ["-m", "strategy=fedavg,fedbuf"],
            "unknown strategy 'fedbuf': did you mean 'fedbuff'? valid: fedavg, fedbuff",
        ),
        (["+task=digit"], "unknown task 'digit': did you mean 'digits'? valid: digits"),
        (["stragety=fedbuff"], "unknown config key 'stragety': did you mean 'strategy'?"),
        (["fleet.sise=3"], "unknown config key 'fleet.sise': did you mean 'fleet.size'?"),
        (
            ["strategy=fedbuff", "buffer_size=3"],
            "unknown config key 'buffer_size' (with strategy=fedbuff): "
            "did you mean 'strategy.buffer_size'?",
        ),
    ],
)
def test_misspelling_names_the_nearest(argv: list[str], message: str, conf_dir: Path) -> None:
    with pytest.raises(ValueError) as caught:
        check_overrides(argv, conf_dir)
    assert str(caught.value) == message


@pytest.mark.parametrize("argument", ["fedbuff", "seed", "fleet={size", "=3", ""])
def test_what_hydra_cannot_read_is_named(argument: str, conf_dir: Path) -> None:
    with pytest.raises(ValueError, match=f"^cannot read override '{argument}': .*write key=value"):
        check_overrides([argument], conf_dir)


def test_a_key_must_exist_under_every_swept_option(conf_dir: Path) -> None:
    argv = ["-m", "strategy=fedbuff,fedavg", "strategy.buffer_size=20"]
    with pytest.raises(ValueError, match=r"'strategy\.buffer_size' \(with strategy=fedavg\)"):
        check_overrides(argv, conf_dir)


def test_a_key_without_a_near_name_lists_the_valid_ones(conf_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown config key 'qqq': valid: fleet, .*, task.model"):
        check_overrides(["qqq=1"], conf_dir)


def test_hydra_can_still_start(conf_dir: Path) -> None:
    check_overrides(["seed=1"], conf_dir)
    assert not GlobalHydra.instance().is_initialized()


def test_a_broken_configuration_is_left_to_hydra(conf_dir: Path) -> None:
    (conf_dir / "config.yaml").write_text("defaults:\n  - absent: option\n")
    check_overrides(["seed=1"], conf_dir)

"""Every suite of `conf/suite` is readable, every name in it exists, and a wrong one is named."""

import pytest

from simulations.configuration import CONF_DIR
from simulations.suite.settings import compose_suite, num_processes, read_suite

NAMES = sorted(path.stem for path in (CONF_DIR / "suite").glob("*.yaml"))
FEW = ("suite.tasks=[digits]", "suite.fleets=[x16]", "suite.arms=[deepedge,fedbuff,oracle]")


def test_the_suites() -> None:
    assert NAMES == ["ablation", "fedcompass", "quick", "tuned", "untuned"]


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_is_called_by_its_file_and_names_what_exists(name: str) -> None:
    suite = read_suite(compose_suite([f"suite={name}"]))
    assert suite.name == name
    assert suite.baselines


def test_the_catalogue_names_only_what_exists() -> None:
    config = compose_suite()
    everything = {key: list(config[key]) for key in ("tasks", "fleets", "arms")}
    config["suite"] |= everything | {"tuned": list(config["grids"])}
    assert len(read_suite(config).scenarios) == len(config["tasks"]) * len(config["fleets"])


def test_untuned_tunes_the_oracle_alone_and_tuned_every_competitor() -> None:
    assert list(read_suite(compose_suite(["suite=untuned"])).grids) == ["oracle"]
    tuned = read_suite(compose_suite(["suite=tuned"]))
    assert set(tuned.grids) == {tuned.subject, tuned.oracle, *tuned.baselines}
    assert {len(grid) for arm, grid in tuned.grids.items() if arm != "oracle"} == {8}
    assert "stop_at_target=true" in tuned.tuning
    assert "stop_at_target=true" in tuned.reported


def test_overrides_win() -> None:
    mine = "+arms.mine=['strategy=fedbuff','strategy.local_steps=3']"
    argv = [*FEW[:2], mine, "suite.arms=[deepedge,mine,oracle]", "suite.seeds=[7]"]
    suite = read_suite(compose_suite(argv))
    assert (list(suite.tasks), list(suite.fleets), suite.seeds) == (["digits"], ["x16"], (7,))
    assert suite.arms["mine"] == ("strategy=fedbuff", "strategy.local_steps=3")
    assert suite.fleets["x16"] == ("fleet=x16", "horizon_s=600")


def test_a_fleet_without_a_horizon_is_one_clear_line() -> None:
    argv = [*FEW[::2], "+fleets.mine=['fleet=x16']", "suite.fleets=[mine]"]
    with pytest.raises(ValueError, match=r"fleet 'mine' must be \{overrides: .*, got \['fleet=x16"):
        read_suite(compose_suite(argv))


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("suite=tunned", "unknown suite 'tunned': did you mean 'tuned'?"),
        ("suite.seds=[1]", "unknown config key 'suite.seds': did you mean 'suite.seeds'?"),
        ("task=digits", "Could not override 'task'."),
        ("suite.arms=[deepegde]", "unknown name 'deepegde' in suite.arms: .* 'deepedge'"),
        ("suite.tuned=[fedprx]", "unknown name 'fedprx' in suite.tuned: did you mean 'fedprox'"),
        ("suite.seeds=5", "suite.seeds must be a list of numbers, got 5"),
        ("suite.marks=[a]", r"suite.marks must be a list of numbers, got \['a'\]"),
        ("suite.fleets=x16", r"suite.fleets must be a list of names, got 'x16': write \[a,b\]"),
        ("arms.fedbuff=['strategy=fedbuf']", "arms.fedbuff: unknown strategy 'fedbuf': did you"),
        ("suite.common=['gaet=true']", "suite.common, tuning, reported: unknown config key 'gaet'"),
        (
            "grids.oracle=[['strategy.local_stps=1']]",
            "grids.oracle.0: unknown config key 'strategy.local_stps'",
        ),
    ],
)
def test_a_wrong_name_is_one_clear_line(argument: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        read_suite(compose_suite([*FEW, argument]))
    assert "\n" not in str(caught.value)


def test_processes() -> None:
    assert num_processes({"processes": 3}) == 3
    assert num_processes({"processes": None}) >= 1
    with pytest.raises(ValueError, match="processes must be null or an integer >= 1, got 0"):
        num_processes({"processes": 0})

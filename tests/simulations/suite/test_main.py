"""The command line: help that helps, and one line for what is wrong."""

import pytest

from simulations.suite.__main__ import main


def test_help_names_suites_examples_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("untuned", "tuned", "ablation", "quick"):
        assert f"\n  {name} " in text
    for key in ("suite.seeds=", "processes:", "tuning_seeds:", "reuse:"):
        assert key in text


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("suite=quik", "error: unknown suite 'quik': did you mean 'quick'?"),
        ("suite.seds=[1]", "error: unknown config key 'suite.seds': did you mean 'suite.seeds'?"),
        ("processes=0", "error: processes must be null or an integer >= 1, got 0"),
        ("reuse=always", "error: reuse must be source or config, got 'always'"),
        ("seeds", "error: cannot read override 'seeds': write key=value"),
    ],
)
def test_what_is_wrong_is_one_line(
    argument: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["suite.tasks=[digits]", "suite.fleets=[x16]", "suite.arms=[deepedge,fedbuff,oracle]"]
    assert main([*few, argument]) == 1
    error = capsys.readouterr().err
    assert error.startswith(text)
    assert error.count("\n") == 1

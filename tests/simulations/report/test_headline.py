from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulations.report import Scenario
from simulations.report.headline import headlines

FEDAVG = {"strategy": "fedavg", "label": "FedAvg, 10 local steps"}
NEVER = {"time_to_target_s": None, "bytes_to_target": None}
WriteScenario = Callable[..., Scenario]
SLOW = FEDAVG | {
    "time_to_target_s": 330.0,
    "bytes_to_target": 6_000_000,
    "violation_rate": 0.12,
}
TWO_BY_TWO: tuple[dict[str, Any], ...] = (
    {"seed": 0},
    {"seed": 1, "time_to_target_s": 120.0, "bytes_to_target": 3_000_000},
    SLOW | {"seed": 0},
    SLOW | {"seed": 1},
)


def test_headline_compares_time_bytes_and_violations(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    assert headlines(write_scenario(tmp_path, *TWO_BY_TWO)) == [
        "DeepEdge reached 90 % accuracy in 110 s against 330 s for FedAvg (10 local steps), "
        "3.0× sooner, with 3.0× fewer bytes to get there (2.00 MB against 6.00 MB) and "
        "12× fewer latency violations per request (1.0 % against 12.0 %)."
    ]


def test_a_lone_strategy_is_stated_without_comparison(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    assert headlines(write_scenario(tmp_path, {})) == ["DeepEdge reached 90 % accuracy in 100 s."]


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({"time_to_target_s": 500.0}, {}, "taking 5.0× as long"),
        ({}, {}, "about as soon"),
        (
            {},
            NEVER,
            "against more than 1,000 s for FedAvg (10 local steps), which got there in 0 of",
        ),
        (NEVER, {}, "DeepEdge did not reach 90 % accuracy within 1,000 s (0 of 1 seed), while"),
        ({"violation_rate": 0.0}, {}, "no latency violations (against 1.0 % of the requests)"),
        ({"violation_rate": 0.02}, {}, "2.0× as many latency violations per request"),
    ],
)
def test_headline_is_neutral_where_it_is_not_better(
    tmp_path: Path,
    write_scenario: WriteScenario,
    ours: dict[str, Any],
    theirs: dict[str, Any],
    words: str,
) -> None:
    assert words in headlines(write_scenario(tmp_path, ours, FEDAVG | theirs))[0]


def test_headline_takes_the_strongest_setting_of_a_rival(
    tmp_path: Path, write_scenario: WriteScenario
) -> None:
    weak = {"strategy": "fedavg", "label": "weak", "time_to_target_s": 900.0}
    strong = {"strategy": "fedavg", "label": "strong", "time_to_target_s": 200.0}
    (sentence,) = headlines(write_scenario(tmp_path, {}, weak, strong))
    assert "200 s for strong, 2.0× sooner" in sentence


def test_overlapping_ranges_are_said(tmp_path: Path, write_scenario: WriteScenario) -> None:
    runs = (*TWO_BY_TWO[:3], TWO_BY_TWO[3] | {"time_to_target_s": 105.0})
    sentence = headlines(write_scenario(tmp_path, *runs))[0]
    assert "(the ranges over the seeds overlap)" in sentence

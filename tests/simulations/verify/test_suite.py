"""Claims hold what is known: a bound in the wrong direction proves nothing."""

from collections.abc import Callable
from math import inf

import pytest

from simulations.suite.comparison import Comparison, Ratio
from simulations.suite.index import Results
from simulations.verify.claims import Claim
from simulations.verify.suite import tuned_claims, untuned_claims, upper

MakeResults = Callable[..., Results]


@pytest.fixture
def results_of(
    comparison: Callable[..., Comparison], results: Callable[..., Results]
) -> MakeResults:
    """Results of scenarios, each an arm's time by its name."""
    return lambda *arms: results(*(comparison(f"t{i}", times) for i, times in enumerate(arms)))


def figures(claims: list[Claim]) -> list[float | str]:
    return [claim.measured for claim in claims]


def test_what_is_only_known_to_be_at_least_is_not_at_most_anything() -> None:
    assert upper(Ratio(value=1.1)) == upper(Ratio(value=1.1, at_most=True)) == 1.1
    assert upper(Ratio(value=1.1, at_least=True)) == upper(None) == inf


def test_untuned_claims(results_of: MakeResults) -> None:
    found = results_of(
        {"ours": 20.0, "a": 16.0, "oracle": 10.0},
        {"ours": 5.0, "a": None, "oracle": 10.0},
    )
    claims = untuned_claims(found)
    assert figures(claims) == [2, pytest.approx(1.0), pytest.approx(1.25)]
    assert [claim.met for claim in claims] == [True, True, False]
    assert "t0 · x16 1.25, t1 · x16 ≤ 0.05" in claims[2].how


def test_a_subject_that_does_not_get_there_proves_nothing(results_of: MakeResults) -> None:
    never = results_of({"ours": None, "a": None, "oracle": 99.0})
    assert figures(untuned_claims(never)) == [0, inf, inf]
    assert figures(tuned_claims(never)) == [0.0, 0.0]
    missing = results_of({"a": 10.0, "oracle": 9.0})
    assert figures(untuned_claims(missing)) == [0, inf, inf]
    assert figures(tuned_claims(missing)) == [0.0, 0.0]


def test_tuned_claims_are_the_best_baselines_time_relative_to_ours(results_of: MakeResults) -> None:
    found = results_of(
        {"ours": 10.0, "a": 20.0, "oracle": 9.0},
        {"ours": 10.0, "a": 8.0, "b": 9.0, "oracle": 9.0},
    )
    assert figures(tuned_claims(found)) == pytest.approx([1.6**0.5, 0.8])

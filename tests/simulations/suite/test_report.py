"""A page and its files from real runs: complete, self-contained, the same every time."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from simulations.suite.comparison import Comparison
from simulations.suite.index import Results
from simulations.suite.page import findings, page
from simulations.suite.plot import dot_plot
from simulations.suite.report import main

Make = Callable[..., Comparison]
MakeResults = Callable[..., Results]
PNG = b"\x89PNG"


class _Balance(HTMLParser):
    """Checks that every element is closed by its own end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def lost(comparison: Make, results: MakeResults) -> Results:
    """One scenario won, and one lost."""
    return results(
        comparison("won", {"ours": 10.0, "a": [30.0, None], "cloud": 1.0, "oracle": 10.0}),
        comparison("lost", {"ours": 20.0, "a": 16.0, "oracle": 10.0}),
    )


def test_the_page_is_one_well_formed_file(lost: Results) -> None:
    text = page(lost, PNG)
    parser = _Balance()
    parser.feed(text)
    assert parser.open == []
    assert "http" not in text.replace("data:image", "")
    assert "<script" not in text
    assert text == page(lost, PNG)


def test_the_page_says_where_the_subject_loses(
    lost: Results, comparison: Make, results: MakeResults
) -> None:
    section = page(lost, PNG).partition('<section id="losses">')[2].partition("</section>")[0]
    assert "lost · x16" in section
    assert "won · x16" not in section
    fine = results(comparison("t", {"ours": 10.0, "a": 20.0, "oracle": 10.0}))
    assert "In no scenario is a baseline ahead" in page(fine, PNG)


def test_findings_are_sentences(lost: Results) -> None:
    assert findings(lost) == [
        "Ours reached 98 % of the reference accuracy with every seed in 2 of 2 scenarios and was "
        "the soonest in 1.",
        "Its time is 1.41 times the oracle’s in geometric mean and 2.00 times at worst.",
        "It is ≤ 0.439 times the best baseline’s of each scenario in geometric mean.",
    ]


def test_the_plot_is_the_same_every_time(lost: Results) -> None:
    image = dot_plot(lost)
    assert image.startswith(PNG)
    assert image == dot_plot(lost)


def test_a_folder_without_a_suite_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'suite.json'}: not the index of a suite")
    assert error.count("\n") == 1

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from simulations.report import Scenario, write_report
from simulations.report.page import prose


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, write_scenario: Callable[..., Scenario]
) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    never = {"time_to_target_s": None, "bytes_to_target": None}
    scenario = write_scenario(
        folder,
        {"label": "<script>alert(1)</script> $x$"},
        {"strategy": "fedavg", "label": "FedAvg", **never},
    )
    return write_report([scenario], folder / "out")


def test_page_is_self_contained(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]{0,22})', html)
    assert len(sources) == 6
    assert all(source.startswith(("data:image/png;base64,", "#scenario-")) for source in sources)
    assert not re.search(r"https?://|<script|<link|@import|url\(", html)


def test_page_escapes_labels_and_lists_every_run(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.count("<td>0123456789ab</td>") == 2
    assert "&gt; 1,000" in html


def test_figures_lie_beside_the_page(report: Path) -> None:
    names = sorted(path.name for path in report.parent.glob("*.png"))
    kinds = ("accuracy-bytes", "accuracy", "bytes", "timeline", "violations")
    assert names == [f"1-digits-mixed-camera-{kind}.png" for kind in kinds]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in report.parent.glob("*.png"))


def test_prose_is_escaped_and_keeps_units_with_their_figures() -> None:
    assert prose("5 s <b> 3 % & 2 MB so") == "5&nbsp;s &lt;b&gt; 3&nbsp;% &amp; 2&nbsp;MB so"

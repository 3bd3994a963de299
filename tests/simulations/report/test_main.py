import re
from collections.abc import Callable
from pathlib import Path

import pytest

from simulations.report.__main__ import main


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"summary\.json: not valid JSON"),
        ("[]", r"summary\.json: must hold one JSON object, got list"),
        ("{}", r"summary\.json: missing key\(s\) strategy, label"),
    ],
)
def test_a_malformed_summary_ends_in_one_line_and_code_2(
    tmp_path: Path,
    write_run: Callable[..., Path],
    text: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (write_run(tmp_path / "a") / "summary.json").write_text(text)
    assert main([str(tmp_path)]) == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", capsys.readouterr().err)


def test_folders_without_runs_end_in_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert re.fullmatch(r"error: .*: no run below it; .*\n", capsys.readouterr().err)
    assert main([str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.endswith("missing: no such directory\n")


def test_the_command_prints_the_table_and_writes_the_page(
    tmp_path: Path, write_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", num_requests=0)
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert re.search(r"DeepEdge +1/1 +100 +1\.00 +95\.0 +1\.00 +0\.250 +– +0\.50 +25\.0", text)
    assert "• DeepEdge reached 90 % accuracy in 100 s." in text
    assert text.endswith(f"report: {tmp_path / 'out' / 'report.html'}\n")

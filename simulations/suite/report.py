"""`python -m simulations.suite.report FOLDER`: page, plot, CSV and Markdown of a suite."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..report.ledger import ReportError
from .index import Results, read_results
from .page import findings, page
from .plot import dot_plot
from .tables import csv_text, loss_tables, markdown, oracle_table, summary_table
from .values import scenario_values, summary_values


def report(folder: Path) -> Path:
    """Write the report into a suite's folder, print its findings, and return the page's path.

    Raises
    ------
    ReportError
        If the folder holds no suite, or one without a result.
    """
    results = read_results(folder)
    if not any(c.entries for c in results.comparisons):
        raise ReportError(f"{folder}: no run of the suite has a result")
    plot = dot_plot(results)
    (folder / "oracle_ratio.png").write_bytes(plot)
    path = folder / "report.html"
    path.write_text(page(results, plot), encoding="utf-8")
    (folder / "scenarios.csv").write_text(csv_text(scenario_values(results)), encoding="utf-8")
    (folder / "summary.csv").write_text(csv_text(summary_values(results)), encoding="utf-8")
    (folder / "tables.md").write_text(_markdown(results), encoding="utf-8")
    for text in findings(results):
        print(f"• {text}")
    print(f"report: {path}")
    return path


def _markdown(results: Results) -> str:
    parts = [summary_table(results), oracle_table(results), *loss_tables(results).values()]
    return "\n".join(f"{table.caption}\n\n{markdown(table)}" for table in parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report and return the exit code: 0, or 2 when the folder is not usable."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.suite.report",
        description="Write the report of a suite that has run: report.html, oracle_ratio.png, "
        "scenarios.csv, summary.csv and tables.md.",
    )
    parser.add_argument("folder", type=Path, help="as runs/suite/untuned")
    try:
        report(parser.parse_args(argv).folder)
    except ReportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

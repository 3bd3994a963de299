"""Command line: ``python -m simulations.report DIR... [--out DIR]``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from simulations.report.headline import headlines
from simulations.report.load import ReportError, find_runs, read_run
from simulations.report.page import write_report
from simulations.report.scenario import Scenario, group_runs
from simulations.report.table import terminal_table

# Nine columns do not fit the 80 that rich assumes when its output is piped into a file.
PIPED_WIDTH = 150
# Below this many columns rich would cut the ranges over the seeds short.
FULL_WIDTH = 130


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.report",
        description="Compare simulation runs: one self-contained report.html, its figures as "
        "PNG files beside it, and a table on the terminal.",
    )
    parser.add_argument(
        "dirs",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a run directory (summary.json with ledger.csv), or any folder above some",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for report.html and the PNG files (default: 'report' in the first DIR)",
    )
    return parser.parse_args(argv)


def print_scenario(console: Console, scenario: Scenario) -> None:
    """Print the table of a scenario, then its headlines and cautions."""
    console.print(terminal_table(scenario, ranges=console.width >= FULL_WIDTH))
    for sentence in headlines(scenario):
        console.print(f"• {sentence}", markup=False, highlight=False)
    for caution in scenario.cautions:
        console.print(f"! {caution}", style="yellow", markup=False, highlight=False)
    console.print()


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report and return the exit code: 0, or 2 when the input is not usable."""
    arguments = parse_arguments(argv)
    try:
        runs = [read_run(path) for path in find_runs(arguments.dirs)]
        scenarios = group_runs(runs)
        page = write_report(scenarios, arguments.out or arguments.dirs[0] / "report")
    except (ReportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    for scenario in scenarios:
        print_scenario(console, scenario)
    print(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

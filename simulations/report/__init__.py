"""Turn run directories into one self-contained HTML report, PNG figures and a terminal table."""

from simulations.report.load import ReportError, Run, find_runs, read_run
from simulations.report.page import write_report
from simulations.report.scenario import Arm, Scenario, group_runs
from simulations.report.table import terminal_table

__all__ = [
    "Arm",
    "ReportError",
    "Run",
    "Scenario",
    "find_runs",
    "group_runs",
    "read_run",
    "terminal_table",
    "write_report",
]

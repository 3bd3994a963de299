"""The list of every run behind the report, with the hashes that identify its outcome."""

from collections.abc import Sequence
from html import escape

from simulations.report import number
from simulations.report.load import Run
from simulations.report.scenario import Scenario

COLUMNS = (
    *("Run", "Strategy", "Seed", "Time to target", "Final", "Best"),
    *("Versions", "Updates", "Model", "Event log"),
)
HASH_DIGITS = 12
INTRODUCTION = (
    "One line per run. Model and event log are the first twelve digits of their SHA-256: "
    "a run with the same configuration and seed must give both again."
)


def runs_section(scenarios: Sequence[Scenario]) -> str:
    """Return the HTML section with one table row per run."""
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    runs = (run for scenario in scenarios for arm in scenario.arms for run in arm.runs)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(t)}</td>' for t in _cells(r))}</tr>\n" for r in runs
    )
    return (
        f'<section class="runs">\n<h2>Every run</h2>\n<p>{INTRODUCTION}</p>\n<div class="wide">'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>\n</table></div></section>"
    )


def _cells(run: Run) -> tuple[str, ...]:
    summary = run.summary
    time_s = summary.time_to_target_s
    return (
        "/".join(run.path.resolve().parts[-2:]),
        summary.label,
        str(summary.seed),
        f"> {number.seconds(summary.horizon_s)}" if time_s is None else number.seconds(time_s),
        number.percent(summary.final_accuracy),
        number.percent(summary.best_accuracy),
        f"{summary.num_versions:,}",
        f"{summary.num_updates:,}",
        summary.model_sha256[:HASH_DIGITS],
        summary.event_log_sha256[:HASH_DIGITS],
    )

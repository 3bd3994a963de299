"""The comparison table, cell by cell, and its form on the terminal."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from simulations.report import number
from simulations.report.scenario import Arm, Scenario
from simulations.report.spread import Reach, Spread

NONE = "–"
COLUMNS = (
    ("Strategy", ""),
    ("Reached", "seeds"),
    ("Time to target", "s"),
    ("Relative", "× best"),
    ("Final accuracy", "%"),
    ("To target", "MB"),
    ("Wasted", "MB"),
    ("Violations", "%"),
    ("Staleness", "versions"),
    ("Utilisation", "%"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One entry of the table.

    Attributes
    ----------
    text, detail
        The figure, and its range over the seeds in smaller print.
    score
        What ranks the figure in its column, lower being better; None where nothing does.
    bound
        Whether the figure is but a lower bound, so that the true one may be worse.
    """

    text: str
    detail: str = ""
    score: float | None = None
    bound: bool = False


def table_rows(scenario: Scenario) -> list[list[Cell]]:
    """Return a row of cells per arm, in the order of ``COLUMNS``."""
    return [_row(arm, scenario) for arm in scenario.arms]


def leaders(rows: list[list[Cell]]) -> list[float | None]:
    """Return the leading score per column; None where all are level or a bound is lowest."""
    return [_leader(column) for column in zip(*rows, strict=True)]


def _leader(column: Iterable[Cell]) -> float | None:
    scores = {(cell.score, cell.bound) for cell in column if cell.score is not None}
    lowest, bound = min(scores, default=(None, True))
    return None if bound or len(scores) < 2 else lowest


def terminal_table(scenario: Scenario, *, ranges: bool = True) -> Table:
    """Return the table of a scenario for a rich console; without ``ranges`` a narrower one."""
    goal = number.target(scenario.first.target_accuracy)
    below = ", below it smallest–largest" if ranges else ""
    table = Table(
        title=Text(f"{scenario.title}, target {goal}"),
        caption=f"mean over the seeds{below}; > and ≥: lower bounds, as some seeds never reached "
        "the target",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title_justify="left",
        caption_justify="left",
    )
    for index, (column, unit) in enumerate(COLUMNS):
        table.add_column(f"{column}\n{unit}", justify="right" if index else "left")
    rows = table_rows(scenario)
    best = leaders(rows)
    for row in rows:
        cells = zip(row, best, strict=True)
        table.add_row(*(_terminal(cell, lead, ranges) for cell, lead in cells))
    return table


def leads(cell: Cell, lead: float | None) -> bool:
    """Return whether ``cell`` holds the leading score of its column."""
    return lead is not None and cell.score == lead and not cell.bound


def _terminal(cell: Cell, lead: float | None, ranges: bool) -> Text:
    text = Text(cell.text, style="bold green" if leads(cell, lead) else "")
    if ranges and cell.detail:
        text.append(f"\n{cell.detail.replace(' – ', '–')}", style="not bold dim default")
    return text


def _row(arm: Arm, scenario: Scenario) -> list[Cell]:
    time, seeds = arm.time_s, len(arm.runs)
    return [
        Cell(text=arm.label, detail=f"{seeds} seed{'s' if seeds > 1 else ''}"),
        Cell(text=f"{time.reached}/{time.total}"),
        reach_cell(time, number.significant),
        Cell(text=_relative(time, scenario.best_time_s)),
        spread_cell(arm.spread_of("final_accuracy"), lambda value: f"{100 * value:.1f}", sign=-1.0),
        reach_cell(arm.num_bytes, megabytes),
        spread_cell(arm.spread_of("bytes_wasted"), megabytes, sign=1.0),
        spread_cell(arm.violation_rate, rate, sign=1.0),
        spread_cell(arm.spread_of("mean_staleness"), lambda value: f"{value:.2f}"),
        spread_cell(arm.spread_of("utilisation"), lambda value: f"{100 * value:.1f}"),
    ]


def megabytes(num_bytes: float) -> str:
    """Return bytes in MB, without the unit."""
    return number.significant(num_bytes / number.MB)


def rate(fraction: float) -> str:
    """Return a small share in per cent, without the unit."""
    return number.rate(fraction).removesuffix(" %")


def reach_cell(value: Reach, text: Callable[[float], str]) -> Cell:
    """Return ``> limit`` where no seed reached the target, ``≥ mean`` where some did not."""
    mean, low, high = text(value.mean), text(value.low), text(value.high)
    if value.never:
        return Cell(text=f"> {mean}", score=value.mean, bound=True)
    if not value.complete:
        detail = f"{low} – >{high}"
        return Cell(text=f"≥ {mean}", detail=detail, score=value.mean, bound=True)
    detail = f"{low} – {high}" if value.total > 1 else ""
    return Cell(text=mean, detail=detail, score=value.mean)


def _relative(time: Reach, best: float | None) -> str:
    if not best:
        return NONE
    factor = time.mean / best
    if time.complete:
        return number.significant(factor)
    return f"{'>' if time.never else '≥'} {number.significant(number.floored(factor))}"


def spread_cell(
    value: Spread | None, text: Callable[[float], str], sign: float | None = None
) -> Cell:
    """Return mean and range; ``sign`` is 1 where lower is better, -1 where higher is."""
    if value is None:
        return Cell(text=NONE)
    detail = f"{text(value.low)} – {text(value.high)}" if value.count > 1 else ""
    score = None if sign is None else sign * value.mean
    return Cell(text=text(value.mean), detail=detail, score=score)

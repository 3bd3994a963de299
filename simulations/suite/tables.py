"""The tables of a suite, cell by cell: for the page, for Markdown and for CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..report import number
from ..report.table import NONE, Cell, leaders, leads, megabytes, rate, reach_cell, spread_cell
from .comparison import Comparison, Entry, Ratio, Standing, standings
from .index import Results
from .losses import (
    ORACLE_FACTOR,
    Loss,
    accuracy_losses,
    bytes_losses,
    oracle_losses,
    time_losses,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under a head; the first column names the row."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def percent(share: float) -> str:
    """Return a mark as in ``98 %``."""
    return number.target(share)


def ratio_cell(value: Ratio | None) -> Cell:
    """Return a quotient with the sign that tells what it bounds."""
    if value is None:
        return Cell(text=NONE)
    text = f"{value.mark}{number.significant(value.value)}"
    return Cell(text=text, score=value.value, bound=value.at_least or value.at_most)


def summary_table(results: Results) -> Table:
    """Return a row per arm over all scenarios."""
    total = len(results.comparisons)
    return Table(
        caption=f"Geometric means over {total} scenarios of the mean time to "
        f"{percent(results.marks[0])} of the reference accuracy.",
        head=("Strategy", "Time / oracle", "Time / best baseline", "Scenarios won",
              "Target reached by all seeds", "Worst time / oracle"),
        rows=tuple(
            _ranked(results, row.arm, _summary_row(row, row.arm in results.roles.bounds, total))
            for row in standings(results.comparisons)
        ),
    )  # fmt: skip


def _summary_row(row: Standing, is_bound: bool, total: int) -> tuple[Cell, ...]:
    return (
        Cell(text=row.name, detail="bound" if is_bound else ""),
        ratio_cell(row.to_oracle),
        ratio_cell(row.to_best_baseline),
        Cell(text=NONE if is_bound else f"{row.num_won}/{total}"),
        Cell(text=f"{row.num_complete}/{total}"),
        ratio_cell(row.worst),
    )


def _ranked(results: Results, arm: str, row: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return a row; a bound's competes for the best of no column."""
    if results.roles.competes(arm):
        return row
    return tuple(replace(cell, score=None) for cell in row)


def oracle_table(results: Results) -> Table:
    """Return the table of arms x scenarios: time relative to the oracle's."""
    rows = (
        (
            row.arm,
            (
                Cell(text=row.name),
                *(ratio_cell(c.to_oracle(row.arm)) for c in results.comparisons),
                ratio_cell(row.to_oracle),
            ),
        )
        for row in standings(results.comparisons)
        if row.arm != results.roles.oracle
    )
    return Table(
        caption=f"Mean time to {percent(results.marks[0])} of the reference accuracy, relative to "
        "the oracle's.",
        head=("Strategy", *(c.title for c in results.comparisons), "Geometric mean"),
        rows=tuple(_ranked(results, arm, row) for arm, row in rows),
    )


def scenario_table(results: Results, comparison: Comparison) -> Table:
    """Return a row per arm of one scenario, the soonest first."""
    head = (
        "Strategy",
        *(f"Time to {percent(mark)} [s]" for mark in results.marks),
        *(f"Reached {percent(mark)}" for mark in results.marks),
        "Final accuracy [%]", "To target [MB]", "Wasted [MB]", "Violations [%]", "Utilisation [%]",
        "Time / oracle", "Time / best baseline",
    )  # fmt: skip
    ranked = sorted(
        comparison.entries.items(),
        key=lambda item: (-item[1].time_s().reached / item[1].time_s().total,
                          item[1].time_s().mean),
    )  # fmt: skip
    return Table(
        caption=_scenario_caption(results, comparison),
        head=head,
        rows=tuple(
            _ranked(results, arm, _scenario_row(results, comparison, arm, entry))
            for arm, entry in ranked
        ),
    )


def _scenario_caption(results: Results, comparison: Comparison) -> str:
    winner = comparison.winner
    won = "no competitor reached the target" if winner is None else (
        f"won by {comparison.entries[winner].name}"
    )  # fmt: skip
    targets = [
        f"{100 * results.marks[0] * accuracy:.1f}"
        for (task, seed), accuracy in results.reference.items()
        if task == comparison.task and seed in results.seeds
    ]
    return f"{won}; target accuracies per seed: {', '.join(targets)} %."


def _scenario_row(
    results: Results, comparison: Comparison, arm: str, entry: Entry
) -> tuple[Cell, ...]:
    times = [entry.time_s(mark) for mark in range(len(results.marks))]
    final = spread_cell(entry.spread_of("final_accuracy"), lambda v: f"{100 * v:.1f}", sign=-1.0)
    return (
        Cell(text=entry.name, detail=" ".join(map(_short, entry.choice))),
        *(reach_cell(time, number.significant) for time in times),
        *(Cell(text=f"{time.reached}/{time.total}") for time in times),
        Cell(text=NONE) if results.stops else final,
        reach_cell(entry.num_bytes, megabytes),
        spread_cell(entry.spread_of("bytes_wasted"), megabytes, sign=1.0),
        spread_cell(entry.violation_rate, rate, sign=1.0),
        spread_cell(entry.spread_of("utilisation"), lambda v: f"{100 * v:.1f}"),
        ratio_cell(comparison.to_oracle(arm)),
        ratio_cell(comparison.to_best_baseline(arm)),
    )


def _short(override: str) -> str:
    key, _, value = override.partition("=")
    return f"{key.rpartition('.')[2]}={value}"


def loss_tables(results: Results) -> dict[str, Table]:
    """Return a table per measure in which some rival is ahead, keyed by the measure."""
    first, *lower = map(percent, results.marks)
    comparisons = results.comparisons
    seconds, accuracy = number.seconds, number.percent
    losses: dict[str, tuple[list[Loss], Callable[[float], str]]] = {
        f"Time to {first}": (time_losses(comparisons, 0, f"time to {first}"), seconds)
    }
    for index, mark in enumerate(lower, start=1):
        losses[f"Time to {mark}"] = time_losses(comparisons, index, f"time to {mark}"), seconds
    losses[f"Bytes to {first}"] = bytes_losses(comparisons, f"bytes to {first}"), number.megabytes
    if not results.stops:
        losses["Final accuracy"] = accuracy_losses(comparisons, "final accuracy"), accuracy
    name = f"Over {ORACLE_FACTOR:g} times the oracle's time"
    losses[name] = oracle_losses(comparisons, "time to target"), seconds
    return {
        name: _loss_table(name, rows, text) for name, (rows, text) in losses.items() if rows
    }  # fmt: skip


def _loss_table(name: str, losses: Sequence[Loss], text: Callable[[float], str]) -> Table:
    rows = tuple(
        (
            Cell(text=f"{loss.task} · {loss.fleet}"),
            Cell(text=loss.rival),
            Cell(text=_lead(loss, text)),
            Cell(text=text(loss.ours)),
            Cell(text=text(loss.theirs)),
            Cell(text=", ".join(loss.others) or NONE),
        )
        for loss in losses
    )
    head = ("Scenario", "Ahead", "By", "Subject", "Rival", "Also ahead")
    count = f"{len(losses)} scenario{'s' * (len(losses) != 1)}"
    return Table(caption=f"{name}: {count}, the largest loss first.", head=head, rows=rows)


def _lead(loss: Loss, text: Callable[[float], str]) -> str:
    """Return a factor; of two accuracies their difference says more."""
    if text is number.percent:
        return f"{100 * (loss.theirs - loss.ours):.1f} points"
    return f"{ratio_cell(loss.factor).text}×"


def markdown(table: Table) -> str:
    """Return a table as GitHub's Markdown; the best of a column in bold."""
    best = leaders([list(row) for row in table.rows])
    lines = [_line(table.head), _line(["---", *(["---:"] * (len(table.head) - 1))])]
    for row in table.rows:
        lines.append(_line(_markdown(c, lead) for c, lead in zip(row, best, strict=True)))
    return "\n".join(lines) + "\n"


def _line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"


def _markdown(cell: Cell, lead: float | None) -> str:
    text = f"**{cell.text}**" if leads(cell, lead) else cell.text
    return f"{text} ({cell.detail})" if cell.detail else text


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows of equal keys as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()

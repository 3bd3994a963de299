"""The HTML page of a suite: one file, image and style inside, no script."""

import base64
import math
from collections.abc import Iterator
from html import escape

from ..report import number
from ..report.page import STYLE, prose
from ..report.table import Cell, leaders, leads
from .comparison import standings
from .index import Results
from .tables import (
    Table,
    loss_tables,
    oracle_table,
    percent,
    ratio_cell,
    scenario_table,
    summary_table,
)

_NOTES = """<section class="notes"><h2>How to read the figures</h2>
<dl>
<dt>Target</dt><dd>Fixed before the runs, per task and seed: a share of the best accuracy that
FedAvg reaches on equal devices, with whichever of its two amounts of local work is better.</dd>
<dt>Time</dt><dd>Virtual seconds until the mean of five consecutive evaluations first reaches the
target; mean over the seeds, below it smallest – largest. A seed that never got there counts with
the end of its run.</dd>
<dt>≥, &gt;</dt><dd>The figure is a lower bound: some seeds, or all, never got there.</dd>
<dt>≤</dt><dd>The ratio is an upper bound: what it is relative to is a lower bound.</dd>
<dt>~</dt><dd>Both are lower bounds: the ratio may be larger or smaller.</dd>
<dt>Oracle</dt><dd>Equal devices of the same total throughput and mean link that never fail,
trained synchronously: what heterogeneity costs is left out. A bound, no method.</dd>
<dt>Best baseline</dt><dd>Per scenario, the competitor of the subject with the smallest mean
time.</dd>
<dt>Won</dt><dd>Most seeds at the target, then the smallest mean time; bounds do not compete.</dd>
<dt>Bytes</dt><dd>Both directions. Wasted: of work that entered no model.</dd>
</dl></section>"""
_STYLE = """
td.heat { text-align: center; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
h3 { margin: 1.6rem 0 .2rem; font-size: 1.05rem; }
table { margin-bottom: .4rem; }
"""


def page(results: Results, plot: bytes) -> str:
    """Return the page; it depends on the runs alone, the same runs give the same bytes."""
    image = base64.b64encode(plot).decode("ascii")
    title = f"DeepEdge suite: {escape(results.name)}"
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>",
            f"<style>\n{STYLE.read_text(encoding='utf-8')}{_STYLE}</style>\n</head>\n<body>\n<main>",
            f"<header>\n<h1>{title}</h1>\n<p>{prose(_facts(results))}</p>\n</header>",
            _overview(results),
            f"<section>\n<h2>Summary</h2>{_table(summary_table(results))}",
            f'<figure><img alt="Time relative to the oracle" src="data:image/png;base64,{image}">',
            "<figcaption><b>Figure 1.</b> Mean time to the target relative to the oracle’s, per "
            "scenario and competitor. An arrow marks a lower bound.</figcaption></figure>",
            f"<h3>Time relative to the oracle</h3>{_table(oracle_table(results), heat=True)}",
            "</section>",
            _losses(results),
            *_scenarios(results),
            _references(results),
            _NOTES,
            "</main>\n</body>\n</html>\n",
        )
    )


def _facts(results: Results) -> str:
    tried = sorted(set(results.num_choices.values()))
    facts = [
        f"{len(results.comparisons)} scenarios",
        f"{len({arm for c in results.comparisons for arm in c.entries})} strategies",
        f"seeds {', '.join(map(str, results.seeds))}",
        f"target {percent(results.marks[0])} of the reference accuracy",
        "nothing tuned"
        if not tried
        else f"tuned on seeds {', '.join(map(str, results.tuning_seeds))}: "
        + ", ".join(f"{arm} ({count})" for arm, count in results.num_choices.items()),
    ]
    if results.stops:
        facts.append("runs end at the target: bytes, violations and utilisation are until then")
    return " · ".join(facts)


def findings(results: Results) -> list[str]:
    """Return what the suite shows of its subject, a sentence each."""
    subject = results.roles.subject
    row = next((s for s in standings(results.comparisons) if s.arm == subject), None)
    if row is None:
        return [f"{subject} has no result."]
    name, total = row.name, len(results.comparisons)
    found = [
        f"{name} reached {percent(results.marks[0])} of the reference accuracy with every seed "
        f"in {row.num_complete} of {total} scenarios and was the soonest in {row.num_won}.",
    ]
    if row.to_oracle and row.worst:
        found.append(
            f"Its time is {ratio_cell(row.to_oracle).text} times the oracle’s in geometric mean "
            f"and {ratio_cell(row.worst).text} times at worst."
        )
    if row.to_best_baseline:
        found.append(
            f"It is {ratio_cell(row.to_best_baseline).text} times the best baseline’s of each "
            "scenario in geometric mean."
        )
    return found


def _overview(results: Results) -> str:
    items = "".join(f"<li><p>{prose(text)}</p></li>" for text in findings(results))
    cautions = "".join(
        f'<p class="caution">No result: {escape(text)}.</p>' for text in results.missing
    )
    return f'<nav class="overview">\n<h2>In short</h2>\n<ul>{items}</ul>\n</nav>{cautions}'


def _losses(results: Results) -> str:
    tables = loss_tables(results)
    body = "".join(f"<h3>{escape(name)}</h3>{_table(table)}" for name, table in tables.items())
    nothing = "<p>In no scenario is a baseline ahead, and none is over the oracle’s margin.</p>"
    return f'<section id="losses">\n<h2>Where DeepEdge loses</h2>{body or nothing}</section>'


def _scenarios(results: Results) -> Iterator[str]:
    for index, comparison in enumerate(results.comparisons, start=1):
        title = f"{index}. {escape(comparison.title)}"
        if comparison.entries:
            table = _table(scenario_table(results, comparison))
            yield f'<section id="scenario-{index}">\n<h2>{title}</h2>{table}</section>'
        else:
            yield f'<section id="scenario-{index}">\n<h2>{title}</h2><p>No result.</p></section>'


def _references(results: Results) -> str:
    rows = tuple(
        (
            Cell(text=task),
            Cell(text=str(seed)),
            Cell(text=number.percent(accuracy)),
            *(Cell(text=number.percent(mark * accuracy)) for mark in results.marks),
        )
        for (task, seed), accuracy in results.reference.items()
    )
    head = ("Task", "Seed", "Reference", *map(percent, results.marks))
    table = Table(caption="Fixed before the compared runs.", head=head, rows=rows)
    return f"<section>\n<h2>Targets</h2>{_table(table)}</section>"


def _table(table: Table, heat: bool = False) -> str:
    best = leaders([list(row) for row in table.rows])
    head = "".join(f"<th>{escape(name)}</th>" for name in table.head)
    body = "".join(
        f"<tr><th>{_text(row[0])}</th>"
        + "".join(_cell(c, lead, heat) for c, lead in zip(row[1:], best[1:], strict=True))
        + "</tr>\n"
        for row in table.rows
    )
    return (
        f'<div class="wide"><table>\n<caption>{prose(table.caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>\n</table></div>"
    )


def _cell(cell: Cell, lead: float | None, heat: bool) -> str:
    names = [name for name, on in (("best", leads(cell, lead)), ("heat", heat)) if on]
    kind = f' class="{" ".join(names)}"' if names else ""
    color = f' style="background:{_heat(cell.score)}"' if heat and cell.score else ""
    return f"<td{kind}{color}>{_text(cell)}</td>"


def _text(cell: Cell) -> str:
    return f"{escape(cell.text)}<small>{escape(cell.detail)}</small>"


def _heat(ratio: float) -> str:
    """Return white at the oracle's time or below, and orange at ten times it."""
    share = min(1.0, max(0.0, math.log10(ratio)))
    return f"rgba(230, 159, 0, {0.75 * share:.2f})"

"""The HTML page: one file, images and style inside, no script."""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from simulations.report import number
from simulations.report.figures import Plate, plates
from simulations.report.headline import headlines
from simulations.report.roster import runs_section
from simulations.report.scenario import Scenario
from simulations.report.style import Stroke, strokes
from simulations.report.table import COLUMNS, Cell, leaders, leads, table_rows

STYLE = Path(__file__).with_name("page.css")
TABLE = (
    "Mean over the seeds, below it smallest – largest. Fastest strategy on top; the best figure of "
    "a column in bold. A seed that never reached the target counts with the end of its run, and "
    "the mean is then a lower bound: “≥” where some seeds reached the target, “>” where none did."
)
NOTES = """<section class="notes"><h2>How to read the figures</h2>
<dl>
<dt>Virtual time</dt><dd>Seconds on the simulated clock: what the fleet would have taken, not what
the simulation took.</dd>
<dt>Time and bytes to target</dt><dd>Until the mean of five consecutive evaluations first reaches
the target accuracy. Bytes count both directions.</dd>
<dt>Wasted bytes</dt><dd>Sent for work that entered no model: errors and late replies.</dd>
<dt>Latency violations</dt><dd>Requests to the service that shares the nodes, answered later than
its budget, as a share of all requests.</dd>
<dt>Staleness</dt><dd>Model versions that the server published between handing out a model and
receiving the update trained from it; 0 is fresh.</dd>
<dt>Utilisation</dt><dd>Share of the nodes' time spent computing local steps.</dd>
<dt>Range</dt><dd>Smallest to largest seed. With a handful of seeds it is the whole sample, not a
confidence interval.</dd>
</dl></section>"""


def write_report(scenarios: Sequence[Scenario], out: Path) -> Path:
    """Write report.html and its figures as PNG files into ``out``; return the page's path.

    The page depends on the runs alone: the same runs give the same bytes.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = strokes(scenarios)
    sections = []
    for index, scenario in enumerate(scenarios, start=1):
        figures = plates(scenario, index, lines)
        for plate in figures:
            (out / plate.name).write_bytes(plate.png)
        sections.append(_section(scenario, index, figures, lines))
    page = out / "report.html"
    page.write_text(_page(scenarios, sections), encoding="utf-8")
    return page


def prose(text: str) -> str:
    """Return text escaped for HTML, with no line break between a figure and its unit."""
    return re.sub(r"(?<=\d) (?=(?:%|MB|ms|s)(?!\w))", "&nbsp;", escape(text))


def _page(scenarios: Sequence[Scenario], sections: Sequence[str]) -> str:
    runs = [run for scenario in scenarios for arm in scenario.arms for run in arm.runs]
    labels = {run.summary.label for run in runs}
    counts = (
        (len(scenarios), "scenario"),
        (len(labels), "configuration"),
        (len({run.summary.seed for run in runs}), "seed"),
        (len(runs), "run"),
    )
    facts = " · ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts)
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>DeepEdge simulation report</title>",
            f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>",
            f"<header>\n<h1>DeepEdge simulation report</h1>\n<p>{facts}</p>\n</header>",
            _overview(scenarios),
            *sections,
            NOTES,
            runs_section(scenarios),
            "</main>\n</body>\n</html>\n",
        )
    )


def _overview(scenarios: Sequence[Scenario]) -> str:
    entries = (
        f'<li><a href="#scenario-{index}">{escape(scenario.title)}</a>'
        f"<p>{prose(headlines(scenario)[0])}</p></li>"
        for index, scenario in enumerate(scenarios, start=1)
    )
    return f'<nav class="overview">\n<h2>In short</h2>\n<ul>{"".join(entries)}</ul>\n</nav>'


def _section(
    scenario: Scenario, index: int, figures: Sequence[Plate], lines: dict[str, Stroke]
) -> str:
    sentences = "".join(f"<li>{prose(text)}</li>" for text in headlines(scenario))
    cautions = "".join(f'<p class="caution">{prose(text)}</p>' for text in scenario.cautions)
    drawn = (_figure(plate, f"{index}.{n}") for n, plate in enumerate(figures, start=1))
    return "\n".join(
        (
            f'<section id="scenario-{index}">\n<h2>{index}. {escape(scenario.title)}</h2>',
            f'<p class="facts">{prose(_facts(scenario))}</p>',
            f'<ul class="findings">{sentences}</ul>{cautions}',
            _table(scenario, index, lines),
            *drawn,
            "</section>",
        )
    )


def _facts(scenario: Scenario) -> str:
    first = scenario.first
    budget = first.latency_budget_s
    seeds = sorted({len(arm.runs) for arm in scenario.arms})
    each = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    facts = [
        f"{first.num_nodes:,} nodes",
        f"target accuracy {number.target(first.target_accuracy)}",
        f"horizon {number.seconds(scenario.horizon_s)} of virtual time",
        "no latency budget" if budget is None else f"latency budget {1000 * budget:g} ms",
        f"engine {first.engine}",
        f"{each} seed{'' if each == '1' else 's'} per strategy",
    ]
    return " · ".join(facts)


def _figure(plate: Plate, ref: str) -> str:
    image = base64.b64encode(plate.png).decode("ascii")
    title = escape(plate.title)
    return (
        f'<figure>\n<img alt="{title}" src="data:image/png;base64,{image}">\n'
        f"<figcaption><b>Figure {ref}. {title}.</b> {prose(plate.caption)}</figcaption>\n</figure>"
    )


def _table(scenario: Scenario, index: int, lines: dict[str, Stroke]) -> str:
    rows = table_rows(scenario)
    best = leaders(rows)
    head = "".join(f"<th>{name}<small>{unit}</small></th>" for name, unit in COLUMNS)
    body = "".join(
        f"<tr>{_strategy(row[0], lines[arm.label])}"
        + "".join(_cell(cell, lead) for cell, lead in zip(row[1:], best[1:], strict=True))
        + "</tr>\n"
        for arm, row in zip(scenario.arms, rows, strict=True)
    )
    return (
        f'<div class="wide"><table>\n<caption><b>Table {index}.</b> {TABLE}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>\n</table></div>"
    )


def _strategy(cell: Cell, line: Stroke) -> str:
    mark = f'<i style="background:{line.color}"></i>'
    return f"<th>{mark}{escape(cell.text)}<small>{escape(cell.detail)}</small></th>"


def _cell(cell: Cell, lead: float | None) -> str:
    kind = ' class="best"' if leads(cell, lead) else ""
    return f"<td{kind}>{escape(cell.text)}<small>{escape(cell.detail)}</small></td>"

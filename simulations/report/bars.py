"""Bytes and latency violations as bars, one group per strategy."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from simulations.report import number
from simulations.report.scenario import Arm, Scenario
from simulations.report.spread import Spread
from simulations.report.style import FAINT, INK, Stroke, wrapped

FLOWS = (
    ("bytes_down", "down, to the nodes", "#486581"),
    ("bytes_up", "up, to the server", "#9FB3C8"),
    ("bytes_wasted", "wasted", "#E69F00"),
)


def bytes_bars(scenario: Scenario, strokes: Mapping[str, Stroke]) -> Figure:
    """Return the bytes until the target, and of the whole run by direction."""
    figure = Figure(figsize=(10, 1.7 + 0.62 * len(scenario.arms)), layout="constrained")
    target, total = figure.subplots(1, 2, sharey=True)
    target.set_title("Until the target accuracy")
    total.set_title("Whole run")
    for row, arm in enumerate(scenario.arms):
        _target_bar(target, row, arm, strokes[arm.label].color)
        for index, (key, name, color) in enumerate(FLOWS):
            place = row + 0.26 * (index - 1)
            _bar(total, place, arm.spread_of(key), color, 0.24, None if row else name)
    for axes in (target, total):
        axes.set_xlabel("bytes [MB]")
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter("{x:,.10g}")
    _rows(target, scenario.arms)
    handles, labels = total.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=3)
    return figure


def violation_bars(scenario: Scenario, strokes: Mapping[str, Stroke]) -> Figure:
    """Return the share of requests answered later than the latency budget."""
    arms = [arm for arm in scenario.arms if arm.violation_rate is not None]
    figure = Figure(figsize=(10, 1.0 + 0.5 * len(arms)), layout="constrained")
    axes = figure.subplots()
    for row, arm in enumerate(arms):
        rate = arm.violation_rate
        if rate is not None:
            _whiskered(axes, row, rate, 100, strokes[arm.label].color, 0.6)
            _value(axes, 100 * rate.high, row, number.rate(rate.mean))
    axes.set_xlabel("requests over the latency budget [%]")
    _rows(axes, arms)
    return figure


def _target_bar(axes: Axes, row: int, arm: Arm, color: str) -> None:
    """Draw a bar to the mean; hatched, as far as the run went, where it is a lower bound."""
    reach = arm.num_bytes
    if reach.complete:
        axes.barh(row, reach.mean / number.MB, 0.6, color=color)
    else:
        axes.barh(row, reach.mean / number.MB, 0.6, color="white", edgecolor=color, hatch="////")
    if reach.total > 1:
        _whisker(axes, row, reach.low / number.MB, reach.high / number.MB)
    text = {0: "> "}.get(reach.reached, "≥ ") if not reach.complete else ""
    count = "" if reach.complete else f", {reach.reached} of {reach.total}"
    _value(axes, reach.high / number.MB, row, text + number.megabytes(reach.mean) + count)


def _bar(
    axes: Axes, place: float, value: Spread | None, color: str, height: float, name: str | None
) -> None:
    if value is not None:
        axes.barh(place, value.mean / number.MB, height, color=color, label=name)
        _value(axes, value.mean / number.MB, place, number.significant(value.mean / number.MB), 7.5)


def _whiskered(
    axes: Axes, row: float, value: Spread, unit: float, color: str, height: float
) -> None:
    axes.barh(row, unit * value.mean, height, color=color)
    if value.count > 1:
        _whisker(axes, row, unit * value.low, unit * value.high)


def _whisker(axes: Axes, row: float, low: float, high: float) -> None:
    halo = [withStroke(linewidth=3, foreground="white")]
    line: dict[str, Any] = {"color": INK, "linewidth": 1.3, "marker": "|", "markersize": 7}
    axes.plot([low, high], [row, row], path_effects=halo, **line)


def _value(axes: Axes, x: float, y: float, text: str, size: float = 9) -> None:
    axes.annotate(
        text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=size
    )


def _rows(axes: Axes, arms: Sequence[Arm]) -> None:
    """Name the rows, the first one on top, and leave room for the values at the right."""
    axes.set_yticks(range(len(arms)), [wrapped(arm.label) for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    for panel in axes.figure.axes:
        panel.grid(axis="y", visible=False)
        panel.tick_params(axis="y", length=0, labelcolor=INK)
        right = max(panel.dataLim.x1, 0.0)
        panel.set_xlim(0, 1.42 * right if right else 1)
        panel.spines["left"].set_color(FAINT)

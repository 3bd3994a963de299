"""What every node did when: computing, paused by the latency gate, or waiting."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simulations.report.ledger import Array, Ledger
from simulations.report.scenario import Scenario
from simulations.report.style import COMPUTE, PAUSED, WAITING

MAX_NODES = 60
Box = list[tuple[float, float]]


def node_timeline(scenario: Scenario) -> Figure:
    """Return one panel per arm (its first seed) and one row per node, node ids downwards."""
    ids = node_ids(scenario)
    shown = drawn(ids)
    height = 0.35 + max(0.5, min(0.055 * len(shown), 0.8 + 0.022 * len(shown)))
    panels_height = height * len(scenario.arms)
    figure = Figure(figsize=(10, 0.9 + panels_height), layout="constrained")
    panels = figure.subplots(len(scenario.arms), 1, sharex=True, squeeze=False)[:, 0]
    for axes, arm in zip(panels, scenario.arms, strict=True):
        _panel(axes, arm.runs[0].ledger, shown, window(scenario))
        _name_rows(axes, [1 + ids.index(shown[0]), 1 + ids.index(shown[-1])], len(shown))
        axes.set_title(f"{arm.label}, seed {arm.runs[0].summary.seed}".replace("$", r"\$"))
    panels[-1].set_xlabel("virtual time [s]")
    panels[-1].xaxis.set_major_formatter("{x:,.10g}")
    names = {"computing": COMPUTE, "paused by the latency gate": PAUSED, "waiting": WAITING}
    handles = [Patch(color=color, label=name) for name, color in names.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def node_ids(scenario: Scenario) -> list[int]:
    """Return the nodes with an event in the first seed of any arm, ascending."""
    return sorted({node for arm in scenario.arms for node in arm.runs[0].ledger.node_ids})


def drawn(ids: Sequence[int]) -> list[int]:
    """Return at most ``MAX_NODES`` of the nodes, evenly spaced so that stragglers are among."""
    if len(ids) <= MAX_NODES:
        return list(ids)
    return [ids[int(index)] for index in np.linspace(0, len(ids) - 1, MAX_NODES).round()]


def window(scenario: Scenario) -> float:
    """Return the length in s of the drawn start of the runs, a round figure.

    A tenth of the horizon, or ten jobs of median length where that is less; but three of the
    longest jobs at least, so that a straggler's cycle is seen.
    """
    spans = [arm.runs[0].ledger.compute[:, 1] for arm in scenario.arms]
    lengths = np.concatenate(spans)
    if not len(lengths):
        return scenario.horizon_s / 10
    start = min(scenario.horizon_s / 10, 10 * float(np.median(lengths)))
    return min(scenario.horizon_s, _round_up(max(start, 3 * float(lengths.max()))))


def _round_up(value: float) -> float:
    """Return the least 1, 1.5, 2, 3, 4, 5, 6, 8 or 10 times a power of ten not under ``value``."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(power * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * step >= value)


def _panel(axes: Axes, ledger: Ledger, shown: Sequence[int], window_s: float) -> None:
    rows = {node: row for row, node in enumerate(shown)}
    places = [rows.get(node) for node in ledger.node_ids]
    axes.set_facecolor(WAITING)
    for spans, color in ((ledger.compute, COMPUTE), (ledger.pause, PAUSED)):
        boxes = _boxes(spans[spans[:, 0] < window_s], places)
        axes.add_collection(PolyCollection(boxes, facecolors=color, linewidths=0))
    axes.set_xlim(0, window_s)
    axes.set_ylim(len(shown), 0)
    axes.grid(visible=False)


def _boxes(spans: Array, places: Sequence[int | None]) -> list[Box]:
    """Return the corners of a box per span whose node has a row, with a gap between rows."""
    boxes: list[Box] = []
    for start, duration, node in spans.tolist():
        row, end = places[int(node)], start + duration
        if row is not None:
            low, high = row + 0.1, row + 0.9
            boxes.append([(start, low), (end, low), (end, high), (start, high)])
    return boxes


def _name_rows(axes: Axes, names: Sequence[int], rows: int) -> None:
    """Name the first and the last row by the rank of their nodes."""
    ticks = {0.5: str(names[0]), rows - 0.5: str(names[1])}
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylabel("node")
    axes.tick_params(axis="y", length=0)

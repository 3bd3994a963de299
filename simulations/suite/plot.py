"""The suite in one plot: every competitor's time relative to the oracle, in every scenario."""

import io
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..report.figures import DPI
from ..report.style import FAINT, INK, PALETTE, RC
from .comparison import Ratio, Standing, standings
from .index import Results

# Told apart without colour; the subject's is the largest and filled.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8")
_SUBJECT_COLOR = PALETTE[0]


def dot_plot(results: Results) -> bytes:
    """Return a PNG image: a row per scenario, a marker per competitor, the time on a log axis."""
    with matplotlib.rc_context(RC):
        figure = Figure(
            figsize=(10, 1.6 + 0.5 * len(results.comparisons)), layout="constrained"
        )  # fmt: skip
        axes = figure.subplots()
        arms = [s for s in standings(results.comparisons) if results.roles.competes(s.arm)]
        handles = _draw(axes, results, arms)
        _dress(axes, results)
        figure.legend(handles=handles, loc="outside right upper", title="time to the target")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Axes, results: Results, arms: Sequence[Standing]) -> list[Line2D]:
    subject = results.roles.subject
    others = [arm for arm in arms if arm.arm != subject]
    handles = []
    for index, arm in enumerate([*others, *(a for a in arms if a.arm == subject)]):
        own = arm.arm == subject
        color = _SUBJECT_COLOR if own else PALETTE[1 + index % (len(PALETTE) - 1)]
        marker = "o" if own else _MARKERS[1 + index % (len(_MARKERS) - 1)]
        points = [c.to_oracle(arm.arm) for c in results.comparisons]
        # Neighbouring arms of equal time lie beside each other.
        shift = 0.0 if own else 0.5 * ((index + 0.5) / max(len(others), 1) - 0.5)
        _points(axes, points, shift, marker, color, own)
        handles.append(
            Line2D([], [], marker=marker, linestyle="", color=color, label=arm.name,
                   markerfacecolor=color if own else "white", markersize=9 if own else 6.5)
        )  # fmt: skip
    return handles[-1:] + handles[:-1]


def _points(
    axes: Axes, points: Sequence[Ratio | None], shift: float, marker: str, color: str, own: bool
) -> None:
    for row, point in enumerate(points):
        if point is None:
            continue
        if point.at_least:
            # Of one length on paper, so that it shows at the edge, too.
            axes.annotate(
                "",
                (point.value, row + shift),
                xytext=(22, 0),
                textcoords="offset points",
                arrowprops={"arrowstyle": "<-", "color": color, "shrinkA": 0, "shrinkB": 3},
            )
        axes.plot(
            [point.value], [row + shift], marker=marker, color=color, linestyle="",
            markerfacecolor=color if own else "white", markersize=9 if own else 6.5,
            zorder=5 if own else 3,
        )  # fmt: skip


def _dress(axes: Axes, results: Results) -> None:
    axes.set_xscale("log")
    axes.axvline(1, color=INK, linewidth=1.2)
    axes.set_yticks(range(len(results.comparisons)), [c.title for c in results.comparisons])
    axes.set_ylim(len(results.comparisons) - 0.5, -0.5)
    for row in range(1, len(results.comparisons)):
        axes.axhline(row - 0.5, color="#E4E7EB", linewidth=0.8)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_color(FAINT)
    low, high = axes.get_xlim()
    ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}×" for t in ticks])
    axes.minorticks_off()
    axes.set_xlim(low, high * (high / low) ** 0.05)
    axes.set_xlabel("time to the target relative to the oracle (left is sooner; →: lower bound)")

"""Accuracy over virtual time and over bytes, the mean of the seeds with its range."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulations.report import number
from simulations.report.ledger import Array
from simulations.report.load import Run
from simulations.report.scenario import Scenario
from simulations.report.style import FAINT, Stroke, wrapped

MAX_POINTS = 1000
# Height of the magnified panel below the target, as a fraction of accuracy.
ZOOM = 0.08

Curve = Callable[[Run], Array]


def accuracy_over_time(scenario: Scenario, strokes: Mapping[str, Stroke]) -> Figure:
    """Return the accuracy curves over virtual time, whole and magnified near the target."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    whole, near = figure.subplots(1, 2, width_ratios=(3, 2))
    for axes in (whole, near):
        _plot(axes, scenario, strokes, lambda run: run.ledger.evaluations, 1.0)
        _mark_times(axes, scenario, strokes)
        axes.set_xlim(left=0)
        axes.set_xlabel("virtual time [s]")
        axes.xaxis.set_major_formatter("{x:,.0f}")
    whole.set_ylabel("accuracy [%]")
    whole.set_title("Whole run")
    near.set_title("Near the target")
    near.set_ylim(_zoom(scenario))
    near.set_xlim(_near_times(scenario))
    near.locator_params(axis="x", nbins=5)
    _legend(figure, whole)
    return figure


def accuracy_over_bytes(scenario: Scenario, strokes: Mapping[str, Stroke]) -> Figure:
    """Return the accuracy curves over all bytes sent so far in both directions."""
    figure = Figure(figsize=(10, 4.0), layout="constrained")
    axes = figure.subplots()
    _plot(axes, scenario, strokes, bytes_curve, number.MB)
    if _orders_apart(scenario):
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel("bytes sent, both directions [MB]")
    axes.set_ylabel("accuracy [%]")
    axes.xaxis.set_major_formatter("{x:,.10g}")
    _legend(figure, axes)
    return figure


def _orders_apart(scenario: Scenario) -> bool:
    """Return whether one arm sends more than ten times the bytes of another."""
    totals = [float(run.ledger.traffic[:, 1].sum()) for arm in scenario.arms for run in arm.runs]
    return max(totals) > 10 * min(totals) > 0


def bytes_curve(run: Run) -> Array:
    """Return rows of (bytes sent by then in both directions, accuracy), one per evaluation."""
    traffic, evaluations = run.ledger.traffic, run.ledger.evaluations
    sent = np.concatenate(([0.0], np.cumsum(traffic[:, 1])))
    seen = np.searchsorted(traffic[:, 0], evaluations[:, 0], side="right")
    return np.column_stack((sent[seen], evaluations[:, 1]))


def mean_curve(curves: Sequence[Array]) -> tuple[Array, Array]:
    """Return (x, shape (m,)) and (mean, min, max, shape (3, m)) over the seeds' step curves.

    A model stays published until the next one, so a curve keeps its value between its points and
    after its last one. The mean starts where every seed has a value.
    """
    start = max(curve[0, 0] for curve in curves)
    x = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    x = x[x >= start]
    if len(x) > MAX_POINTS:
        x = x[np.linspace(0, len(x) - 1, MAX_POINTS).round().astype(int)]
    steps = [np.searchsorted(curve[:, 0], x, side="right") - 1 for curve in curves]
    y = np.stack([curve[step, 1] for curve, step in zip(curves, steps, strict=True)])
    return x, np.stack((y.mean(axis=0), y.min(axis=0), y.max(axis=0)))


def _plot(
    axes: Axes, scenario: Scenario, strokes: Mapping[str, Stroke], curve: Curve, unit: float
) -> None:
    for arm in scenario.arms:
        stroke = strokes[arm.label]
        x, (mean, low, high) = mean_curve([curve(run) for run in arm.runs])
        axes.step(
            x / unit,
            100 * mean,
            where="post",
            color=stroke.color,
            linestyle=stroke.linestyle,
            label=wrapped(arm.label, 34),
        )
        band: dict[str, Any] = {
            "step": "post",
            "color": stroke.color,
            "alpha": 0.18,
            "linewidth": 0,
        }
        axes.fill_between(x / unit, 100 * low, 100 * high, **band)
    goal = 100 * scenario.first.target_accuracy
    axes.axhline(goal, color=FAINT, linestyle="--", linewidth=1.1, label="target", zorder=1)


def _mark_times(axes: Axes, scenario: Scenario, strokes: Mapping[str, Stroke]) -> None:
    """Mark the mean time to target, with its range, of every arm that always reached it."""
    goal = 100 * scenario.first.target_accuracy
    for arm in scenario.arms:
        time, color = arm.time_s, strokes[arm.label].color
        if time.complete:
            axes.plot([time.low, time.high], [goal, goal], color=color, linewidth=4, alpha=0.5)
            axes.plot(time.mean, goal, "D", color=color, markeredgecolor="white", markersize=7)


def _zoom(scenario: Scenario) -> tuple[float, float]:
    """Return the range of accuracy in % of the magnified panel."""
    goal = scenario.first.target_accuracy
    runs = (run for arm in scenario.arms for run in arm.runs)
    top = max(float(run.ledger.evaluations[:, 1].max()) for run in runs)
    return 100 * max(0.0, goal - ZOOM), 100 * max(goal + 0.02, top + 0.005)


def _near_times(scenario: Scenario) -> tuple[float, float]:
    """Return the times in s from the first curve in the magnified panel to the last target."""
    floor, _ = _zoom(scenario)
    curves = (run.ledger.evaluations for arm in scenario.arms for run in arm.runs)
    near = (curve[100 * curve[:, 1] >= floor, 0] for curve in curves)
    first = min((float(times[0]) for times in near if len(times)), default=0.0)
    highs = [arm.time_s.high for arm in scenario.arms if arm.time_s.complete]
    last = min(scenario.horizon_s, 1.15 * max(highs, default=scenario.horizon_s))
    return (0.9 * first, last) if first < last else (0.0, scenario.horizon_s)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))

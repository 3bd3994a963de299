"""All the figures of a scenario, each with its caption."""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

from simulations.report import bars, curves, number, timeline
from simulations.report.scenario import Scenario
from simulations.report.style import RC, Stroke

DPI = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """One figure: file name, title, how to read it, and the PNG image."""

    name: str
    title: str
    caption: str
    png: bytes


def plates(scenario: Scenario, index: int, strokes: Mapping[str, Stroke]) -> list[Plate]:
    """Return the figures of the ``index``-th scenario, in the order of the page."""
    stem = f"{index}-{re.sub(r'[^a-z0-9]+', '-', scenario.title.lower()).strip('-')}"
    with matplotlib.rc_context(RC):
        return [
            Plate(name=f"{stem}-{name}.png", title=title, caption=caption, png=_png(figure))
            for name, title, caption, figure in _drawn(scenario, strokes)
        ]


def _drawn(
    scenario: Scenario, strokes: Mapping[str, Stroke]
) -> Iterator[tuple[str, str, str, Figure]]:
    figure = curves.accuracy_over_time(scenario, strokes)
    yield "accuracy", "Accuracy over virtual time", _accuracy_caption(scenario), figure
    figure = curves.accuracy_over_bytes(scenario, strokes)
    yield "accuracy-bytes", "Accuracy over bytes sent", ACCURACY_BYTES, figure
    figure = bars.bytes_bars(scenario, strokes)
    yield "bytes", "Bytes sent", BYTES, figure
    if any(arm.violation_rate is not None for arm in scenario.arms):
        figure = bars.violation_bars(scenario, strokes)
        yield "violations", "Latency violations", _violations_caption(scenario), figure
    if timeline.node_ids(scenario):
        figure = timeline.node_timeline(scenario)
        yield "timeline", "What the nodes did", _timeline_caption(scenario), figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the software's version, the same runs give the same bytes everywhere.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _accuracy_caption(scenario: Scenario) -> str:
    return (
        "Test accuracy of the model that the server has published at each virtual time. Further "
        "left is sooner. Line: mean over the seeds; band: smallest to largest seed; dashed grey: "
        f"target of {number.target(scenario.first.target_accuracy)}. A diamond marks the mean "
        "time to target, its bar the range, of each strategy that reached it with every seed. "
        "A model counts until the next one is evaluated, also after the last evaluation. The "
        "right panel magnifies the neighbourhood of the target."
    )


ACCURACY_BYTES = (
    "The same accuracies over all the bytes that had been sent by then, down to the nodes and up "
    "to the server together. Further left is cheaper. Line: mean over the seeds; band: smallest "
    "to largest seed. The axis is logarithmic if a strategy sends over ten times what another does."
)
BYTES = (
    "Left: bytes in both directions until the target accuracy; hatched bars are lower bounds, "
    "for strategies some of whose seeds never reached it (those count with all their bytes). "
    "Right: bytes of the whole run by direction, and those spent on work that entered no model. "
    "Bars: mean over the seeds; whiskers: smallest to largest seed. Shorter is cheaper. "
    "1 MB = 10⁶ bytes."
)


def _violations_caption(scenario: Scenario) -> str:
    budget = scenario.first.latency_budget_s
    text = "" if budget is None else f" of {1000 * budget:g} ms"
    return (
        "Share of the requests to the service on the nodes that were answered later than the "
        f"latency budget{text}, while training and outside of it. Bars: mean over the seeds; "
        "whiskers: smallest to largest seed. Shorter is better for the service's users."
    )


def _timeline_caption(scenario: Scenario) -> str:
    seconds = number.seconds(timeline.window(scenario))
    ids = timeline.node_ids(scenario)
    shown = len(timeline.drawn(ids))
    cut = f" Drawn are {shown} of the {len(ids)} nodes, evenly spaced." if shown < len(ids) else ""
    return (
        f"The first {seconds} of virtual time, one row per node in the order of node ids (the "
        "fastest node on top), one panel per strategy, first seed. Dark: computing local steps; "
        "orange: training held back by the latency gate; light: waiting for work or on the "
        f"network. The darker a panel, the better the fleet is used.{cut}"
    )

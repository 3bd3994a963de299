"""One look for all the figures: a colour-blind-safe colour per strategy label."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulations.report.headline import SUBJECT
from simulations.report.scenario import Scenario

# Okabe and Ito, Color Universal Design (2008), without the yellow that white paper swallows and
# without the orange, kept for PAUSED; grey for black, on which no whisker could be seen.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#6B7280", "#8C6D31")
DASHES = ("-", "--", ":", "-.")
COMPUTE, PAUSED, WAITING = "#4A5D73", "#E69F00", "#E8ECF1"
INK, FAINT = "#1F2933", "#7B8794"

RC: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9AA5B1",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.constrained_layout.h_pad": 0.08,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E7EB",
    "xtick.color": "#52606D",
    "ytick.color": "#52606D",
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """Colour and dash pattern of a label's lines."""

    color: str
    linestyle: str


def strokes(scenarios: Iterable[Scenario]) -> dict[str, Stroke]:
    """Return a stroke per label, the same in every scenario: the subject's labels come first."""
    keys = {(arm.strategy != SUBJECT, arm.label) for scene in scenarios for arm in scene.arms}
    labels = dict.fromkeys(label for _, label in sorted(keys))
    size = len(PALETTE)
    return {
        label: Stroke(color=PALETTE[i % size], linestyle=DASHES[i // size % len(DASHES)])
        for i, label in enumerate(labels)
    }


def wrapped(label: str, width: int = 22) -> str:
    """Return ``label`` broken into lines, free of the dollar signs matplotlib would typeset."""
    return textwrap.fill(label, width).replace("$", r"\$")

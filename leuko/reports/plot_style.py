"""The style of all plots in reports.

Colours: Okabe & Ito, "Color Universal Design", 2008: distinguishable with every common form of colour blindness.
Markers repeat the information of the colours.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import Any

import matplotlib
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<")
DPI = 110
WIDTH = 8.2  # inches
_STYLE: dict[Any, Any] = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
}


def as_png(draw: Callable[..., Figure]) -> Callable[..., bytes]:
    """Decorate a function that draws a figure: it then returns the figure as PNG, in the style of the reports."""

    @wraps(draw)
    def to_png(*arguments: object) -> bytes:
        file = io.BytesIO()
        with matplotlib.rc_context(_STYLE):
            draw(*arguments).savefig(file, format="png")
        return file.getvalue()

    return to_png


def colour(number: int) -> str:
    """The colour of class or source number `number`."""
    return PALETTE[number % len(PALETTE)]


def marker(number: int) -> str:
    """The marker of class or source number `number`; colours that repeat have different markers."""
    return MARKERS[(number + number // len(PALETTE)) % len(MARKERS)]

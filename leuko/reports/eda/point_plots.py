"""The plots of the data report in which each image is a point; colours and shapes as in `leuko.reports.plot_style`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from leuko.reports.plot_style import WIDTH, as_png, colour, marker

LegendPlace = Literal["outside upper left", "outside lower center"]


@as_png
def scatter(panels: Sequence[tuple[str, np.ndarray, str, str]], codes: np.ndarray, names: Sequence[str]) -> Figure:
    """Points coloured by class, side by side; a panel is (title, N × 2, x label, y label)."""
    figure = Figure(figsize=(WIDTH, 4.6))
    for axes, (title, points, across, up) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        _points(axes, points, codes)
        axes.set_title(title)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
    _legend(figure, codes, names, "outside upper left")
    return figure


@as_png
def projection(
    points: np.ndarray, shares: Sequence[float], colourings: Sequence[tuple[str, np.ndarray, Sequence[str]]]
) -> Figure:
    """Two principal components (N × 2); one panel for each colouring (title, code of every point, names)."""
    figure = Figure(figsize=(WIDTH, 5.2 if len(colourings) > 1 else 5.6))
    parts = figure.subfigures(1, len(colourings), squeeze=False)[0]
    for part, (title, codes, names) in zip(parts, colourings, strict=True):
        axes = part.subplots()
        _points(axes, points, codes)
        axes.set_title(title)
        axes.set_xlabel(f"first component ({100 * shares[0]:.0f} % of the variance)")
        axes.set_ylabel(f"second component ({100 * shares[1]:.0f} %)")
        _legend(part, codes, names, "outside lower center")
    return figure


def _points(axes: Axes, points: np.ndarray, codes: np.ndarray) -> None:
    # Small lots in turn, so that the class drawn last does not hide the others.
    order = np.random.default_rng(0).permutation(len(points))
    for lot in np.array_split(order, max(1, min(20, len(points) // 20))):
        for code in np.unique(codes[lot]):
            chosen = lot[codes[lot] == code]
            x, y = points[chosen].T
            axes.scatter(x, y, s=15, color=colour(code), marker=marker(code), alpha=0.65, linewidths=0)


def _legend(figure: FigureBase, codes: np.ndarray, names: Sequence[str], place: LegendPlace) -> None:
    keys = [
        Line2D([], [], ls="", marker=marker(code), color=colour(code), label=names[code]) for code in np.unique(codes)
    ]
    figure.legend(handles=keys, loc=place, ncols=4)

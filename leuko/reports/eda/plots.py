"""The plots of the data report: functions from arrays to a PNG. Plots with one point per image: `point_plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from leuko.reports.plot_style import MARKERS, PALETTE, WIDTH, as_png, colour
from leuko.reports.wording import ORDINALS

MEAN_IMAGES = 8  # classes whose mean images are drawn
IMAGES_PER_ROW = 4  # of them
GAIN = 4  # factor by which differences between mean images are exaggerated


@as_png
def class_counts(table: np.ndarray, classes: Sequence[str], sources: Sequence[str]) -> Figure:
    """Bars of the number of images; `table` is int, classes × sources."""
    figure = Figure(figsize=(WIDTH, 1.3 + 0.42 * len(classes)))
    axes = figure.subplots()
    totals = table.sum(axis=1)
    left = np.zeros(len(classes))
    for number, source in enumerate(sources):
        shades = [colour(i) for i in range(len(classes))] if len(sources) == 1 else colour(number)
        axes.barh(range(len(classes)), table[:, number], left=left, color=shades, label=source, height=0.7)
        left += table[:, number]
    for place, total in enumerate(totals):
        axes.annotate(
            f"{total:,}  ({100 * total / max(totals.sum(), 1):.0f} %)",
            (total, place),
            (5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(classes)), classes)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max(totals.max(), 1) * 1.2)
    axes.set_xlabel("images")
    if len(sources) > 1:
        figure.legend(loc="outside upper left", ncols=3)
    return figure


@as_png
def sizes(table: Mapping[str, Sequence[int]], classes: Sequence[str]) -> Figure:
    """Bars of the commonest sizes; `table` gives the number of images of each class by size."""
    figure = Figure(figsize=(WIDTH, 1.5 + 0.36 * len(table)))
    axes = figure.subplots()
    left = np.zeros(len(table))
    for number, name in enumerate(classes):
        counts = np.array([row[number] for row in table.values()])
        axes.barh(range(len(table)), counts, left=left, color=colour(number), label=name, height=0.7)
        left += counts
    axes.set_yticks(range(len(table)), list(table))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("images")
    axes.set_title("Width × height in pixels")
    figure.legend(loc="outside upper left", ncols=4)
    return figure


@as_png
def histograms(shares: np.ndarray, classes: Sequence[str], present: Sequence[int]) -> Figure:
    """Mean brightness histograms; `shares` is float, classes × 3 × bins."""
    figure = Figure(figsize=(WIDTH, 6.6))
    panels = figure.subplots(3, 1, sharex=True)
    brightness = (np.arange(shares.shape[2]) + 0.5) * 256 / shares.shape[2]
    for channel, (axes, name) in enumerate(zip(panels, ("Red", "Green", "Blue"), strict=True)):
        for number in present:
            axes.plot(brightness, 100 * shares[number, channel], color=colour(number), label=classes[number], lw=1.8)
        axes.set_title(name)
        axes.set_ylabel("% of pixels")
        # Clipped pixels pile up at the ends, and would press everything else flat.
        axes.set_ylim(0, 1.25 * 100 * shares[list(present), channel, 1:-1].max())
    used = np.flatnonzero(shares[list(present)].max(axis=(0, 1)) > 0.001)
    panels[-1].set_xlim(brightness[used[0]] - 2, 256)
    panels[-1].set_xlabel("brightness, 0 (black) to 255 (white)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


@as_png
def mean_images(means: np.ndarray, classes: Sequence[str], present: Sequence[int]) -> Figure:
    """Mean images (float, classes × side × side × 3, 0 to 255), and `GAIN` times what sets them apart beside colour."""
    shown = list(present)[:MEAN_IMAGES]
    lines = -(-len(shown) // IMAGES_PER_ROW)
    figure = Figure(figsize=(WIDTH, 4.6 * lines))
    panels = figure.subplots(2 * lines, min(IMAGES_PER_ROW, len(shown)), squeeze=False)
    level = means - means.mean(axis=(1, 2), keepdims=True)
    overall = level[list(present)].mean(axis=0)
    for axes in panels.flat:
        axes.set_axis_off()
    for place, number in enumerate(shown):
        upper, lower = panels[2 * (place // IMAGES_PER_ROW) :, place % IMAGES_PER_ROW][:2]
        upper.set_title(classes[number])
        lower.set_title(f"difference × {GAIN}", fontsize=10)
        for axes, image in ((upper, means[number]), (lower, 128 + GAIN * (level[number] - overall))):
            axes.imshow(np.clip(image, 0, 255).astype(np.uint8), interpolation="bilinear")
    return figure


@as_png
def correlations(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Heat map of a correlation matrix, −1 to 1."""
    figure = Figure(figsize=(WIDTH, 6.4))
    axes = figure.subplots()
    drawn = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    for (y, x), value in np.ndenumerate(matrix):
        ink = "white" if abs(value) > 0.6 else "black"
        axes.text(x, y, f"{value:.2f}".replace("-", "−"), ha="center", va="center", color=ink, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    figure.colorbar(drawn, ax=axes, label="correlation", shrink=0.8)
    return figure


@as_png
def order(series: Sequence[tuple[str, np.ndarray, int, float, int]]) -> Figure:
    """Autocorrelation along the file order.

    Args:
        series: title, values at lags 1, 2 …, period, what chance gives, and block length of each.
    """
    rows = (len(series) + 1) // 2
    figure = Figure(figsize=(WIDTH, 0.6 + 2.4 * rows))
    panels = figure.subplots(rows, min(2, len(series)), squeeze=False, sharey=True)
    for axes, (title, values, period, chance, block) in zip(panels.flat, series, strict=False):
        axes.axhspan(-chance, chance, color="#dddddd", lw=0)
        lags = np.arange(1, len(values) + 1)
        turn = lags % period == 0
        axes.plot(lags[~turn], values[~turn], color=PALETTE[5], lw=1)
        axes.plot(lags[turn], values[turn], color=PALETTE[0], lw=1.3)
        axes.axvline(block, color=PALETTE[1], lw=1.6, ls="--")
        axes.set_title(title if period == 1 else f"{title} (every {ORDINALS[period]} file alike)")
        axes.set_xlabel("distance in files")
    for axes in panels[:, 0]:
        axes.set_ylabel("likeness (1 = same)")
    for axes in list(panels.flat)[len(series) :]:
        axes.remove()
    keys = [
        Line2D([], [], color=PALETTE[0], label="measured"),
        Line2D([], [], color="#dddddd", lw=8, label="chance"),
        Line2D([], [], color=PALETTE[1], ls="--", label="block length"),
    ]
    if any(period > 1 for _, _, period, _, _ in series):
        keys.insert(1, Line2D([], [], color=PALETTE[5], label="files of another turn"))
    figure.legend(handles=keys, loc="outside upper left", ncols=4)
    return figure


@as_png
def audit(views: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]], majority: float) -> Figure:
    """Accuracy of each view alone under each kind of split (see `dataset_profile.Audit`), and the majority share."""
    figure = Figure(figsize=(WIDTH, 1.6 + 0.62 * len(views)))
    axes = figure.subplots()
    kinds = list(next(iter(views.values())))
    for number, kind in enumerate(kinds):
        figures = [view[kind]["accuracy"] for view in views.values()]
        right = np.array([f["value"] for f in figures])
        span = [right - [f["low"] for f in figures], [f["high"] for f in figures] - right]
        place = np.arange(len(views)) + 0.28 * (number - (len(kinds) - 1) / 2)
        axes.errorbar(
            100 * right,
            place,
            xerr=100 * np.maximum(span, 0),
            ls="",
            marker=MARKERS[number],
            ms=8,
            color=colour(number),
            label=f"{kind} split",
            capsize=3,
        )
        for x, y in zip(right, place, strict=True):
            offset, alignment = (-7, "top") if number else (7, "bottom")
            axes.annotate(
                f"{100 * x:.0f} %",
                (100 * x, y),
                xytext=(0, offset),
                textcoords="offset points",
                ha="center",
                va=alignment,
                fontsize=9,
            )
    axes.axvline(100 * majority, color="#444444", ls="--", label="always the commonest class")
    axes.set_yticks(range(len(views)), list(views))
    axes.invert_yaxis()
    axes.set_ylim(len(views) - 0.4, -0.6)
    axes.set_xlim(0, 104)
    axes.set_xlabel("% of images whose class is guessed right")
    figure.legend(loc="outside upper left", ncols=3)
    return figure

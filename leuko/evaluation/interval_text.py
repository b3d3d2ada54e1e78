"""Figures and their 95 % intervals as text, with as many decimals as keep the ends of the interval apart."""

from __future__ import annotations

from collections.abc import Mapping

UNDEFINED = "not estimable"  # the data allow no estimate of the figure, or of its interval
DECIMALS = range(3, 7)  # three by default; up to six where the ends of the interval would look the same

Figure = Mapping[str, float | None]  # value, low, high; None where undefined


def value_text(value: float | None) -> str:
    """A figure to three decimals."""
    return UNDEFINED if value is None else f"{value:.3f}"


def interval_text(figure: Figure) -> str:
    """The interval of a figure: "0.978 to 1.000"."""
    low, high = figure["low"], figure["high"]
    if low is None or high is None:
        return UNDEFINED
    texts = [(f"{low:.{decimals}f}", f"{high:.{decimals}f}") for decimals in DECIMALS]
    lower, upper = next((pair for pair in texts if pair[0] != pair[1]), texts[-1])
    return f"{lower} to {upper}"


def figure_text(figure: Figure) -> str:
    """A figure with its interval in brackets: "0.991 (0.978 to 1.000)"."""
    if figure["value"] is None:
        return UNDEFINED
    label = "interval " if figure["low"] is None else ""
    return f"{figure['value']:.3f} ({label}{interval_text(figure)})"

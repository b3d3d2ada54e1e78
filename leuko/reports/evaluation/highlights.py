"""What a reader of an evaluation must know before trusting its figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leuko.evaluation.corruptions import CELL_FREE, CORRUPTIONS
from leuko.evaluation.interval_text import figure_text
from leuko.reports import tables
from leuko.reports.html_report import Highlight
from leuko.reports.wording import count, percent

# Limits from which on a figure is worth a warning.
MAX_LOSS = 0.03  # of macro-F1 at the middle strength of a corruption
MAX_SHORTCUT = 0.1  # of macro-F1 above chance without cells, or lost in another stain
MIN_DECIDED = 0.7  # share of the images
MAX_WRONG = 0.1  # share of the decided images
MAX_OUT_OF_DISTRIBUTION = 0.1  # share of the images


def highlights(report: dict[str, Any]) -> list[Highlight]:
    """Reasons not to take the figures at face value, the most important first."""
    found = [
        *_colours(report),
        *_decisions(report),
        *_calibration(report),
        *_robustness(report),
        *_shortcuts(report),
        *((text, "figures") for text in report["warnings"]),
        *_data(report),
    ]
    return [Highlight(0, text, section) for text, section in found]


def _colours(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    baseline, f1 = report["colour_baseline"], report["f1"]
    if baseline and f1["low"] is not None and baseline["intervals"]["f1"]["high"] >= f1["low"]:
        yield (
            "Colour statistics alone, which contain no cell shapes, reach a macro-F1 of "
            f"{figure_text(baseline['intervals']['f1'])}, the network {figure_text(f1)}: these figures do not show "
            "that the network uses cells.",
            "figures",
        )


def _decisions(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    decisions = report.get("decisions")
    if not decisions:
        return
    coverage, correct = decisions["coverage"]["value"], decisions.get("right", {}).get("value")
    out_of_distribution = decisions["unfamiliar"]["value"]
    if coverage < MIN_DECIDED:
        yield f"Only {percent(coverage)} of the images are decided; the others are uncertain.", "decisions"
    if correct is not None and 1 - correct > MAX_WRONG:
        yield f"{percent(1 - correct)} of the decided images are decided wrong.", "decisions"
    if out_of_distribution > MAX_OUT_OF_DISTRIBUTION:
        text = f"{percent(out_of_distribution)} of the images are out of distribution (unlike the training images)."
        yield text, "decisions"


def _calibration(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind, of_what in tables.CALIBRATED.items():
        figures = report["calibration"].get(kind)
        if figures and figures["after"]["ece"]["value"] > figures["perfect"]["ece"]["high"]:
            yield f"The probabilities {of_what} deviate more than chance explains.", "calibration"


def _robustness(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not (views := report.get("robustness")):
        return
    for kind in CORRUPTIONS:
        lost = views[f"{kind} {tables.MIDDLE}"]["network"]["lost"]["value"]
        if lost > MAX_LOSS:
            text = f"{kind.capitalize()} of middle strength costs {100 * lost:.1f} points of macro-F1."
            yield text, "robustness"


def _shortcuts(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    chance = 1 / len(report["per_class"])
    for name, view in report.get("shortcuts", {}).items():
        f1, lost = view["network"]["f1"], view["network"]["lost"]
        if name in CELL_FREE and f1["low"] > chance + MAX_SHORTCUT:
            text = f"{name[0].upper()}{name[1:]}, without white cells: the macro-F1 is still {figure_text(f1)}."
            yield text, "shortcuts"
        elif name.startswith("stain of") and lost["value"] > MAX_SHORTCUT:
            yield f"In the {name} the macro-F1 falls to {figure_text(f1)}.", "shortcuts"


def _data(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "there are few" in report["intervals"]:
        yield "There are few groups, so the true uncertainty is larger than the intervals.", "figures"
    if report["data"]["unreadable"]:
        number = count(report["data"]["unreadable"], "image")
        yield f"{number} could not be read and are in no figure.", "figures"

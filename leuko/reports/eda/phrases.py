"""What several sentences need: numbers and lists in words, and facts that are told in more than one place."""

from __future__ import annotations

from typing import Any

ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth"}
UNFIT = ("unreadable", "wrong-suffix", "too-small", "dark", "over-exposed", "blank", "no-colour", "blurred")
UNFIT += ("not-a-smear",)
Figures = dict[str, Any]  # from `leuko.reports.eda.figures.compute`


def percent(share: float) -> str:
    """A share, 0 to 1, as a whole number of percent with a space that does not break."""
    return "under 1\u00a0%" if 0 < share < 0.005 else f"{100 * share:.0f}\u00a0%"


def interval(low: float, high: float) -> str:
    """An interval of shares in per cent, with more decimals where it would seem to have no width."""
    digits = next((d for d in range(3) if f"{100 * low:.{d}f}" != f"{100 * high:.{d}f}"), 3)
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}\u00a0%"


def verb(number: int, one: str, many: str) -> str:
    """The form of a verb that goes with a number."""
    return one if number == 1 else many


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 image, 2,768 images."""
    return f"{number:,}\u00a0{one if number == 1 else many or one + 's'}"


def listed(names: list[str]) -> str:
    """Names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def best_shortcut(f: Figures) -> str | None:
    """The view from which the class is guessed best under grouped splits; None: there was no audit."""
    views = f["audit"]["views"]
    return max(views, key=lambda view: views[view]["grouped"]["accuracy"]["value"], default=None)


def single_source(f: Figures) -> dict[str, str]:
    """The classes that come from one of several sources only, and which."""
    if len(f["sources"]) < 2:
        return {}
    holders = {name: [s for s, counts in f["sources"].items() if counts[name]] for name in f["classes"]}
    return {name: held[0] for name, held in holders.items() if len(held) == 1}

"""Facts of the data report that several sentences need."""

from __future__ import annotations

from typing import Any

Figures = dict[str, Any]  # from `leuko.reports.eda.figures.compute`

# Findings of cleaning about the quality of a single file.
QUALITY_ISSUES = (
    "unreadable",
    "wrong-suffix",
    "too-small",
    "dark",
    "over-exposed",
    "blank",
    "no-colour",
    "blurred",
    "not-a-smear",
)


def best_shortcut(f: Figures) -> str | None:
    """The view that predicts the class best under grouped splits; None if there was no audit."""
    views = f["audit"]["views"]
    return max(views, key=lambda view: views[view]["grouped"]["accuracy"]["value"], default=None)


def single_source(f: Figures) -> dict[str, str]:
    """The classes that come from only one of several sources, with that source."""
    if len(f["sources"]) < 2:
        return {}
    sources = {name: [s for s, counts in f["sources"].items() if counts[name]] for name in f["classes"]}
    return {name: found[0] for name, found in sources.items() if len(found) == 1}

"""The data report as files: the HTML page, its plots, its figures and the findings of cleaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from leuko.reports.eda import figures, findings
from leuko.reports.eda.dataset_profile import DatasetProfile
from leuko.reports.eda.sections import build
from leuko.reports.html_report import HtmlReport, check_output

KIND = "data report"


def check(output: Path) -> None:
    """Refuse a folder that holds anything else than a data report; see `leuko.reports.html_report.check_output`."""
    check_output(output, KIND)


def write(profile: DatasetProfile, output: Path) -> Path:
    """Write `plots/*.png`, `figures.json`, `cleaning.json` and `report.html`; returns the page's path.

    Raises:
        DataError: see `check`.
    """
    check(output)
    f = figures.compute(profile)
    highlights = findings.highlights(f)
    output.mkdir(parents=True, exist_ok=True)
    content = {**f, "attention": [highlight.text for highlight in highlights]}
    (output / "figures.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    profile.cleaning.save(output / "cleaning.json")
    report = HtmlReport(
        kind=KIND,
        title=profile.name,
        facts=_facts(f),
        highlights=highlights,
        sections=build(profile, f),
        footer="The plots are also in plots/, the figures in figures.json, every finding in cleaning.json.",
    )
    return report.write(output)


def _facts(f: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("Images", f["images"]),
        ("Classes", len(f["classes"])),
        ("Sources", len(f["sources"])),
        ("Groups" if f["groups"]["given"] else "Groups (estimated)", f["groups"]["count"]),
        ("Kept after cleaning", f["kept"]),
    ]
    return [(name, f"{number:,}") for name, number in facts]

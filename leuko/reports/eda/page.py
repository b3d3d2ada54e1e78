"""The data report: one HTML page that carries everything it shows, with plots and figures beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from leuko.data import output_paths
from leuko.reports.eda import figures, findings
from leuko.reports.eda.dataset_profile import DatasetProfile
from leuko.reports.eda.sections import build
from leuko.system.about import RESEARCH_NOTICE, VERSION

REPORT = "report.html"
_KIND = "data report"


def check(output: Path, kind: str = _KIND) -> None:
    """Refuse a folder that holds something else than a report of that kind.

    Raises:
        DataError: it is a file, or a folder with other content.
    """

    def is_one(folder: Path) -> bool:
        page = folder / REPORT
        return page.is_file() and _generator(kind) in page.read_text(errors="replace")[:2000]

    output_paths.check_free(output, kind, is_one)


def render(kind: str, **content: Any) -> str:
    """A page that carries all it shows.

    Args:
        kind: what it is.
        content: `name` (its title), `facts`, `attention`, `sections` and `footer`, as the template uses them.
    """
    template = Environment(
        loader=PackageLoader("leuko.reports.eda", "."), autoescape=True, undefined=StrictUndefined
    ).get_template(REPORT)
    titles = {section.key: section.title for section in content["sections"]}
    common = {"generator": _generator(kind), "notice": RESEARCH_NOTICE, "version": VERSION}
    return template.render(kind=kind, titles=titles, **common, **content)


def _generator(kind: str) -> str:
    return f"Deep Leuko {kind}"


def write(survey: DatasetProfile, output: Path) -> Path:
    """Write `report.html`, `plots/*.png`, `figures.json` and `cleaning.json`; the page comes last.

    Returns:
        The path of the page.

    Raises:
        DataError: see `check`.
    """
    check(output)
    f = figures.compute(survey)
    sections = build(survey, f)
    (output / "plots").mkdir(parents=True, exist_ok=True)
    for old in (output / "plots").glob("*.png"):
        old.unlink()
    for plot in (plot for section in sections for plot in section.plots):
        (output / "plots" / f"{plot.name}.png").write_bytes(plot.png)
    attention = findings.attention(f)
    content = {**f, "attention": [point.text for point in attention]}
    (output / "figures.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    survey.cleaning.save(output / "cleaning.json")
    footer = "The plots are also in plots/, the figures in figures.json, every finding in cleaning.json."
    (output / REPORT).write_text(
        render(_KIND, name=survey.name, facts=_facts(f), attention=attention, sections=sections, footer=footer)
    )
    return output / REPORT


def _facts(f: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("Images", f["images"]), ("Classes", len(f["classes"])), ("Sources", len(f["sources"]))]
    facts += [
        ("Groups" if f["groups"]["given"] else "Groups (guessed)", f["groups"]["count"]),
        ("Kept after cleaning", f["kept"]),
    ]
    return [(what, f"{number:,}") for what, number in facts]

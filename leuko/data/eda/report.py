"""The data report: one HTML page that carries everything it shows, with plots and figures beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from leuko import RESEARCH_NOTICE, __version__
from leuko.data.eda import figures, findings
from leuko.data.eda.sections import build
from leuko.data.eda.survey import Survey
from leuko.data.load import DataError

REPORT = "report.html"
_GENERATOR = "Deep Leuko data report"


def check(output: Path) -> None:
    """Refuse a folder that holds something else than a data report.

    Raises:
        DataError: it is a file, or a folder with other content.
    """
    if output.is_file():
        raise DataError(f"{output} is a file; give a folder for the report.")
    if output.is_dir() and any(output.iterdir()):
        report = output / REPORT
        if not report.is_file() or _GENERATOR not in report.read_text(errors="replace")[:2000]:
            raise DataError(
                f"{output} holds other files and no data report; give a new folder, so that nothing is lost."
            )


def write(survey: Survey, output: Path) -> Path:
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
    page = Environment(
        loader=PackageLoader("leuko.data.eda", "."), autoescape=True, undefined=StrictUndefined
    ).get_template(REPORT)
    (output / REPORT).write_text(
        page.render(
            name=survey.name,
            generator=_GENERATOR,
            notice=RESEARCH_NOTICE,
            version=__version__,
            facts=_facts(f),
            attention=attention,
            sections=sections,
            titles={section.key: section.title for section in sections},
        )
    )
    return output / REPORT


def _facts(f: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("Images", f["images"]), ("Classes", len(f["classes"])), ("Sources", len(f["sources"]))]
    facts += [
        ("Groups" if f["groups"]["given"] else "Groups (guessed)", f["groups"]["count"]),
        ("Kept after cleaning", f["kept"]),
    ]
    return [(what, f"{number:,}") for what, number in facts]

"""A case on the page: the decision about the slide, its counts, and its fields as a worklist."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from leuko.cases.case import Case
from leuko.cases.case_file import CaseFile
from leuko.cells.blast_share import REFERENCE_LINES, BlastShare, with_count
from leuko.serving.analysis import model_name
from leuko.serving.batch import LOW_QUALITY
from leuko.serving.tabs import data_urls, decision_card
from leuko.serving.tabs.cell_table import Download
from leuko.serving.tabs.field_view import DifferentialView, differentials
from leuko.serving.tabs.rendering import Fact, render, sections

THUMBNAIL_SIDE = 160  # px, the longer side
_ADVICE = {
    "suspicious": "Refer: have the slide read by an expert.",
    "not suspicious": "This does not exclude leukaemia or any other disease.",
    "uncertain": "Do not rely on this answer; add further fields of the slide, or have it read by an expert.",
}


@dataclass(frozen=True)
class _Counts:
    """The counts of all fields, as the templates of one field read them."""

    share: BlastShare
    nucleated: str
    differentials: tuple[DifferentialView, ...]
    reference_lines: tuple[float, ...]


@dataclass(frozen=True)
class _Row:
    """A field in the worklist."""

    name: str
    picture: str
    decision: str
    tone: str
    shape: str
    counted: str
    headline: str
    notes: tuple[str, ...]


def thumbnail(image: np.ndarray) -> str:
    """A small picture of an image, uint8, H × W × 3, RGB, as a `data:` address."""
    factor = THUMBNAIL_SIDE / max(image.shape)
    size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
    return data_urls.jpeg(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def view(stored: CaseFile, pictures: Sequence[str], no_fields: Mapping[str, list[dict[str, Any]]]) -> str:
    """The case as HTML.

    Args:
        stored: the case.
        pictures: of the fields, as `data:` addresses.
        no_fields: files that are no fields, see `leuko.cases.reading.no_fields`.
    """
    case, share, model = stored.case, stored.case.blast_share, model_name(stored.model)
    others = [
        (each["image"], each.get("error") or each["skipped"]) for several in no_fields.values() for each in several
    ]
    text = json.dumps({**stored.as_json(), **no_fields}, ensure_ascii=False, indent=1)
    downloads = (
        Download("case.leuko", data_urls.file("application/zip", stored.to_bytes()), "the case (.leuko)"),
        Download("case.json", data_urls.file("application/json", text.encode()), "its figures (JSON)"),
    )
    content = render(
        "case",
        counts=_Counts(
            share,
            with_count(share.nucleated, "nucleated cell"),
            differentials(case.differential, "case"),
            REFERENCE_LINES if case.specimen == "marrow" else (),
        ),
        outlook=case.outlook,
        rows=list(_rows(case, pictures)),
        others=others,
        downloads=downloads,
        model=model,
    )
    return sections(_card(case, model), content)


def _card(case: Case, model: str) -> str:
    verdict = case.verdict
    return render(
        "decision_card",
        tone=verdict.decision.replace(" ", "-"),
        shape=decision_card.SHAPES[verdict.decision],
        above=f"A case of {with_count(len(case.fields), 'field')} · {case.specimen}",
        file="case",
        title=verdict.title,
        summary=verdict.cell_summary,
        advice="Add fields that are good enough to be judged." if verdict.issues else _ADVICE[verdict.decision],
        scale=decision_card.scale(verdict),
        facts=list(_facts(case, model)),
        checks=(),
        reasons=tuple(verdict.reasons),
    )


def _facts(case: Case, model: str) -> Iterator[Fact]:
    yield decision_card.probability_fact(case.verdict)
    yield from decision_card.evidence_facts(case.verdict)
    left_out = len(case.left_out)
    yield Fact(
        "Fields", f", of which {left_out} without counted cells" if left_out else "", strong=str(len(case.fields))
    )
    if case.overlaps:
        pairs = with_count(len(case.overlaps), "pair")
        again = with_count(case.repeats, "repeated sighting")
        yield Fact("Overlaps", f"{pairs} of fields; {again} of counted cells left out")
    yield Fact("Model", model)


def _rows(case: Case, pictures: Sequence[str]) -> Iterator[_Row]:
    """The fields, those to be looked at first first."""
    for number in case.worklist:
        field = case.fields[number]
        decision = field.decision if field.fit else LOW_QUALITY
        notes = (field.why_no_cells,) if field.why_no_cells else ()
        yield _Row(
            field.name,
            pictures[number],
            decision,
            field.decision.replace(" ", "-"),
            decision_card.SHAPES[field.decision],
            str(case.counted[number]),
            field.headline,
            notes,
        )

"""The cells of an image on the page: outlined and numbered in the picture, counted and listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from leuko.cells.blast_share import REFERENCE_LINES, BlastShare, with_count
from leuko.cells.differential import PLURALS, Differential
from leuko.cells.kinds.names import MATURE_KINDS, SMUDGE, UNKNOWN
from leuko.cells.overlay import COLOURS
from leuko.cells.segmentation.result import DOUBTFUL_BELOW, Segmentation
from leuko.decision.cell_score import scale_notes
from leuko.inference.field import Field
from leuko.inference.finding import Finding
from leuko.networks import grad_cam
from leuko.serving.analysis import model_name
from leuko.serving.tabs import cell_table, data_urls
from leuko.serving.tabs.cell_table import Download
from leuko.serving.tabs.rendering import Fact, render

METHOD_NAMES = {"learned": "learned", "fuzzy": "fuzzy two-stage (paper)", "k-means": "k-means", "otsu": "Otsu"}
_LAYERS = {"white_cells": "white cells", "nuclei": "nuclei", "red_cells": "red cells", "platelets": "platelets"}
# Height of the numbers: half a typical cell, but readable (1/55 of the image's side) and not too large (1/28).
_FONT_SIZE_OF_CELL, _FONT_SIZE_OF_IMAGE = 1 / 2, (1 / 55, 1 / 28)


@dataclass(frozen=True)
class _CellOutline:
    """A white cell in the picture: SVG paths of cell and nucleus, where its number is written, and the confidence."""

    number: int
    outline: str
    nucleus: str
    x: str
    y: str
    confidence: str
    doubtful: bool


@dataclass(frozen=True)
class _Outlines:
    """SVG paths of all red cells and of all platelets, by kind, of each smudge cell, and the white cells."""

    layers: tuple[tuple[str, str], ...]
    smudges: tuple[str, ...]
    cells: tuple[_CellOutline, ...]
    doubtful: str
    font_size: str


@dataclass(frozen=True)
class _CloseUp:
    """What a close-up shows, and the measurements if it is one cell."""

    content: str
    facts: list[Fact]


@dataclass(frozen=True)
class DifferentialView:
    """The differential count: the number of white cells, each kind, what is reported apart, and all of it as CSV.

    `counts_smudges` says whether smudge cells are white cells in it.
    """

    counts_smudges: bool
    white_cells: str
    facts: tuple[Fact, ...]
    apart: tuple[str, ...]
    download: Download


@dataclass(frozen=True)
class _Counts:
    """The counts of a field, its blast share if the scale is known, and what to know about them."""

    facts: list[Fact]
    share: BlastShare | None
    nucleated: str
    notes: list[str]
    differentials: tuple[DifferentialView, ...]
    reference_lines: tuple[float, ...] = REFERENCE_LINES


def view(image: np.ndarray, field: Field, name: str, finding: Finding) -> str:
    """The cells of a field with their counts or, of a close-up, the cells without counts.

    Args:
        image: uint8, H × W × 3, RGB.
        field: its cells.
        name: of the file; any text.
        finding: for the image.
    """
    picture = grad_cam.shrink(image)
    height, width = picture.shape[:2]
    layers = _LAYERS if field.segmentation.smudges is None else {**_LAYERS, "smudges": "smudge cells"}
    number = len(field.table["id"])
    has_table = number > 1 or (number == 1 and not field.close_up)  # the measurements of one cell need no table
    title = ("The cell" if number == 1 else "The cells") if field.close_up else "The cells of this field"
    return render(
        "cells",
        title=title,
        width=width,
        height=height,
        picture=data_urls.jpeg(picture),
        white_cells=with_count(number, "white cell"),
        number=number,
        outlines=_outlines(field, width / image.shape[1]),
        colours={kind: "#{:02X}{:02X}{:02X}".format(*COLOURS[kind]) for kind in layers},
        layers=layers,
        doubtful_below=DOUBTFUL_BELOW,
        methods=METHOD_NAMES,
        chosen_method=field.segmentation.method,
        close_up=_close_up(field) if field.close_up else None,
        counts=_counts(field, name),
        cautions=(*finding.quality.warnings, *scale_notes(field.segmentation)),
        table=cell_table.cell_table(image, field) if has_table else None,
        download=cell_table.download(field, name) if number else None,
        file=name,
        model=model_name(finding.model),
    )


def without_cells(reasons: Sequence[str], segmentation: Segmentation) -> str:
    """What is shown where no cells are: why, a sentence each, and the choice of another method.

    Args:
        reasons: see `leuko.inference.field_json.why_no_cells`.
        segmentation: that is not reliable.
    """
    return render("no_cells", reasons=reasons, methods=METHOD_NAMES, chosen_method=segmentation.method)


def _outlines(field: Field, scale: float) -> _Outlines:
    """The outlines of all cells; `scale` leads from the image's pixels to the picture's."""
    segmentation = field.segmentation
    layers = [(kind, "".join(_paths(getattr(segmentation, kind), scale))) for kind in ("red_cells", "platelets")]
    smudges = () if segmentation.smudges is None else _paths(segmentation.smudges, scale)
    font_size = _font_size(field) * scale
    cells = []
    for label, window in enumerate(ndimage.find_objects(segmentation.white_cells), start=1):
        corner = window[1].start, window[0].start
        cell = segmentation.white_cells[window] == label
        nucleus = cell & (segmentation.nuclei[window] == label)
        x = (np.nonzero(cell)[1].mean() + corner[0]) * scale
        y = max(corner[1] * scale, 0.6 * font_size)  # at the cell's upper edge, so that the nucleus stays visible
        outline, nucleus_outline = (data_urls.outlines(mask, scale, corner) for mask in (cell, nucleus))
        row = label - 1
        confidence = field.confidence(row)
        words = "" if confidence is None else f"{confidence:.2f}"
        cells.append(_CellOutline(label, outline, nucleus_outline, f"{x:.0f}", f"{y:.0f}", words, field.doubtful(row)))
    number = sum(cell.doubtful for cell in cells)
    doubtful = with_count(number, "doubtful cell") if number else ""
    return _Outlines(tuple(layers), smudges, tuple(cells), doubtful, f"{font_size:.0f}")


def _paths(labels: np.ndarray, scale: float) -> tuple[str, ...]:
    """The outlines of all objects of a label map."""
    return tuple(
        data_urls.outlines(labels[window] == label, scale, (window[1].start, window[0].start))
        for label, window in enumerate(ndimage.find_objects(labels), start=1)
    )


def _font_size(field: Field) -> float:
    """The height of the numbers in pixels of the image: readable, and no cell is hidden by its own number."""
    side = max(field.segmentation.white_cells.shape)
    sizes = np.maximum(field.table["x1"] - field.table["x0"], field.table["y1"] - field.table["y0"])
    typical = np.median(sizes) * _FONT_SIZE_OF_CELL if len(sizes) else 0
    return float(np.clip(typical, *(limit * side for limit in _FONT_SIZE_OF_IMAGE)))


def _counts(field: Field, name: str) -> _Counts:
    counts, indices = field.counts, field.red_cell_indices
    tallies = {"White cells": counts.white_cells, "Red cells": counts.red_cells, "Platelets": counts.platelets}
    if counts.smudge_cells:
        tallies["Smudge cells"] = counts.smudge_cells
    facts = [Fact(name, f" counted, {tally.total} found", strong=str(tally.counted)) for name, tally in tallies.items()]
    ratio = counts.white_to_red
    if ratio is None:
        facts.append(Fact("White : red", "no red cells counted"))
    else:
        facts.append(Fact("White : red", f" (1 : {1 / ratio:.0f})" if ratio else "", strong=f"{ratio:.3f}"))
    if indices and (platelets := indices.platelets_per_100_red_cells):
        facts.append(Fact("Platelets", " per 100 red cells", strong=f"{platelets.value:.1f}"))
    if indices and (spread := indices.diameter_spread):
        facts.append(
            Fact("Spread of red-cell diameters", " coefficient of variation", strong=f"{100 * spread.value:.1f} %")
        )
    share = counts.blast_share
    shown_above = share.sentences[:1] if share else ()
    notes = [sentence for sentence in counts.sentences if sentence not in shown_above]
    notes += [*field.kinds.notes, *(indices.sentences if indices else ())]
    nucleated = with_count(share.nucleated, "nucleated cell") if share else ""
    return _Counts(facts, share, nucleated, notes, differentials(field.differential, name))


def differentials(differential: Differential | None, image: str) -> tuple[DifferentialView, ...]:
    """The count with smudge cells apart and, where there are any, with smudge cells among the white cells."""
    if differential is None or not replace(differential, count_smudges=False).white_cells:
        return ()
    choices = (False, True) if differential.numbers.get(SMUDGE) else (False,)
    return tuple(_differential(replace(differential, count_smudges=choice), image) for choice in choices)


def _differential(differential: Differential, image: str) -> DifferentialView:
    facts = []
    for kind, share in differential.shares.items():
        if share and (differential.numbers[kind] or kind in MATURE_KINDS):
            name = "Unknown" if kind == UNKNOWN else PLURALS[kind].capitalize()
            low, value, high = (f"{100 * share[end]:.0f}" for end in ("low", "value", "high"))
            text = f", {value} % ({low} to {high} %)"
            facts.append(Fact(name, text, strong=str(differential.numbers[kind])))
    apart = tuple(
        f"{differential.numbers[kind]} {PLURALS[kind]} apart from them: {rate:.0f} per 100 white cells"
        for kind, rate in differential.per_100.items()
        if rate
    )
    download = cell_table.csv_download(
        differential.as_csv(image), image, "differential", "the differential count (CSV)"
    )
    white_cells = with_count(differential.white_cells, "white cell")
    return DifferentialView(differential.count_smudges, white_cells, tuple(facts), apart, download)


def _close_up(field: Field) -> _CloseUp:
    number = len(field.table["id"])
    if number == 1:
        return _CloseUp("one cell", cell_table.measurements(field))
    return _CloseUp(f"{number} cells" if number else "no white cell", [])

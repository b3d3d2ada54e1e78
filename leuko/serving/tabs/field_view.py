"""The cells of an image on the page: outlined and numbered in the picture, and counted."""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from leuko.cells.blast_share import REFERENCE_LINES, BlastShare, with_count
from leuko.cells.counting import Counts
from leuko.cells.overlay import COLOURS
from leuko.decision.cell_score import scale_notes
from leuko.inference.classifier import Finding
from leuko.inference.field import Field
from leuko.networks import grad_cam
from leuko.serving.analysis import model_name
from leuko.serving.tabs import cell_table, data_urls

_NAMES = {"white_cells": "white cells", "nuclei": "nuclei", "red_cells": "red cells", "platelets": "platelets"}
_VIEW = """\
<section class="card field" id="cells">
<h2>{title}</h2>
<div class="two">
<div>
<div class="stage" style="--ratio:{ratio:.4f}">
<img src="{picture}" alt="{alt}">
<svg viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false">{drawn}</svg>
</div>
<form class="layers"><fieldset><legend>Outlines</legend>{layers}</fieldset>
<button type="button" class="enlarge">Enlarge the picture</button></form>
{note}
</div>
<div>{summary}</div>
</div>
{listing}{download}
<p class="hint">{model}</p>
</section>"""
_NOTE = '<p class="chosen-note" role="status">Choose a cell in the picture, among the crops or in the table.</p>'


def view(image: np.ndarray, field: Field, name: str, finding: Finding) -> str:
    """The view of a field or, where the image is a close-up, of its cells without counts.

    Args:
        image: uint8, H × W × 3, RGB.
        field: its cells.
        name: of the file; may hold anything.
        finding: what is said of the image.
    """
    picture = grad_cam.shrink(image)
    height, width = picture.shape[:2]
    number = len(field.table["id"])
    close_up = field.close_up
    listed = number > 1 or (number == 1 and not close_up)  # one cell fills the page without a list
    return _VIEW.format(
        title="The cell" if close_up and number == 1 else "The cells" if close_up else "The cells of this field",
        ratio=width / height,
        picture=data_urls.jpeg(picture),
        alt=f"The uploaded image with {with_count(number, 'white cell')} outlined and numbered",
        width=width,
        height=height,
        drawn="".join(_outlines(field, width / image.shape[1])),
        layers="".join(_layer(kind) for kind in _NAMES),
        note=_NOTE if listed else "" if number else "<p>No white cell was found.</p>",
        summary=f"{_close_up(field) if close_up else _counts(field.counts)}{_cautions(field, finding)}",
        listing=cell_table.listing(image, field) if listed else "",
        download=cell_table.download(field, name) if number else "",
        model=f"{html.escape(name)} was judged by {html.escape(model_name(finding.model))}.",
    )


def _outlines(field: Field, scale: float) -> Iterator[str]:
    found = field.found
    for kind in ("red_cells", "platelets"):
        labels = getattr(found, kind)
        paths = (
            data_urls.outlines(labels[window] == label, scale, (window[1].start, window[0].start))
            for label, window in enumerate(ndimage.find_objects(labels), start=1)
        )
        yield _path(kind, "".join(paths))
    size = _letters(field) * scale
    for label, window in enumerate(ndimage.find_objects(found.white_cells), start=1):
        corner = window[1].start, window[0].start
        cell = found.white_cells[window] == label
        nucleus = cell & (found.nuclei[window] == label)
        x = (np.nonzero(cell)[1].mean() + corner[0]) * scale
        y = max(corner[1] * scale, 0.6 * size)  # at its upper edge, so that the nucleus shows
        yield (
            f'<g class="cell" data-cell="{label}">'
            f"{_path('white_cells', data_urls.outlines(cell, scale, corner))}"
            f"{_path('nuclei', data_urls.outlines(nucleus, scale, corner))}"
            f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size:.0f}">{label}</text></g>'
        )


def _letters(field: Field) -> float:
    """The height of the numbers in pixels of the image: no cell is hidden by its own, and all can be read."""
    side = max(field.found.white_cells.shape)
    cells = np.maximum(field.table["x1"] - field.table["x0"], field.table["y1"] - field.table["y0"])
    return float(np.clip(np.median(cells) / 2 if len(cells) else 0, side / 55, side / 28))


def _path(kind: str, outline: str) -> str:
    return f'<path class="{kind}" style="stroke:{_hex(kind)}" d="{outline}"/>'


def _layer(kind: str) -> str:
    return (
        f'<label><input type="checkbox" value="{kind}" checked> '
        f'<span class="swatch" style="background:{_hex(kind)}" aria-hidden="true"></span>{_NAMES[kind]}</label>'
    )


def _counts(counts: Counts) -> str:
    tallies = {"White cells": counts.white_cells, "Red cells": counts.red_cells, "Platelets": counts.platelets}
    facts = {name: f"<strong>{tally.counted}</strong> counted, {tally.total} seen" for name, tally in tallies.items()}
    ratio = counts.white_to_red
    if ratio is None:
        facts["White : red"] = "no red cells counted"
    else:
        facts["White : red"] = f"<strong>{ratio:.3f}</strong>" + (f" (1 : {1 / ratio:.0f})" if ratio else "")
    rows = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())
    share = counts.blast_share
    blasts = (
        _share(share)
        if share
        else "<p>Too few clear red cells are seen to tell the scale: what was counted as red cells may be none, "
        "and no cell is called a blast.</p>"
    )
    said = share.sentences[:1] if share else ()  # it stands above already
    notes = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in counts.sentences if sentence not in said)
    return (
        f'<h3>Counts</h3><dl class="facts">{rows}</dl><h3>Cells that look like blasts</h3>{blasts}'
        f'<h3>What to know about these numbers</h3><ul class="reasons">{notes}</ul>'
    )


def _share(share: BlastShare) -> str:
    """The share of blasts on a line from 0 to 100 %, with its interval and the two reference lines."""
    if share.share is None:
        return f"<p>{html.escape(share.sentences[0])}</p>"
    (low, high), at = share.interval, share.share
    lines = "".join(
        f'<span class="line" style="left:{100 * line:.0f}%"><span>{100 * line:.0f} %</span></span>'
        for line in REFERENCE_LINES
    )
    spoken = (
        f"{share.blasts} of {with_count(share.nucleated, 'nucleated cell')}: {100 * at:.0f} %, 95 % interval "
        f"{100 * low:.0f} to {100 * high:.0f} %; reference lines of bone marrow at 5 % and 20 %"
    )
    return (
        f"<p><strong>{100 * at:.0f} %</strong> of nucleated cells ({share.blasts} of {share.nucleated}), 95 % interval "
        f"{100 * low:.0f} to {100 * high:.0f} %</p>"
        f'<div class="share" role="img" aria-label="{spoken}"><div class="track">'
        f'<span class="interval" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></span>'
        f'<span class="at" style="left:{100 * at:.1f}%"></span>{lines}</div>'
        f'<div class="ends"><span>0 %</span><span>100 %</span></div></div>'
    )


def _close_up(field: Field) -> str:
    number = len(field.table["id"])
    what = "one cell" if number == 1 else f"{number} cells" if number else "no white cell"
    figures = f"<h3>Measurements</h3>{cell_table.figures(field)}" if number == 1 else ""
    return (
        f"<h3>Close-up</h3><p>The picture shows {what} and not a field, so nothing is counted here, and it clears "
        f"nobody: a share of blasts needs many cells. Upload fields of the same slide for counts.</p>{figures}"
    )


def _cautions(field: Field, finding: Finding) -> str:
    """What to know about the picture and its scale; empty if there is nothing."""
    notes = (*finding.quality.warnings, *scale_notes(field.found))
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f'<h3>What to know about this picture</h3><ul class="reasons">{listed}</ul>' if notes else ""


def _hex(kind: str) -> str:
    return "#{:02X}{:02X}{:02X}".format(*COLOURS[kind])

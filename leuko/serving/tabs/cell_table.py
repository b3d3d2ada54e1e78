"""The white cells of an image as a list on the page: crops, figures, and all figures to download."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import PurePath
from urllib.parse import quote

import cv2
import numpy as np

from leuko.cells.blast_share import with_count
from leuko.cells.features.catalogue import FEATURES
from leuko.inference.field import Field
from leuko.serving.tabs import data_urls

MOST_CROPS = 120  # cells in the gallery; the table has all
_CROP = 96  # px
_ROUND = 0.35  # of a cell's box, shown around it

_COLUMNS = {  # of all that is measured, with the digits that mean something
    "cell_area": ("Cell area", 0),
    "cell_diameter": ("Cell diameter", 1),
    "nucleus_area": ("Nucleus area", 0),
    "nucleus_share": ("Nucleus share of cell", 2),
    "nc_ratio": ("Nucleus : cytoplasm", 1),
    "lobes": ("Lobes", 0),
    "nucleus_form_factor": ("Nucleus form factor", 2),
    "nucleus_solidity": ("Nucleus solidity", 2),
    "contour_dimension": ("Outline dimension", 2),
    "cytoplasm_glcm_contrast": ("Cytoplasm texture contrast", 2),
}
_MEANINGS = {feature.name: feature for feature in FEATURES}
_BLAST = "a large, solid nucleus that nearly fills the cell"

_LISTING = """\
<h3>{order}</h3>{capped}
<ul class="gallery" aria-label="White cells">{crops}</ul>
<h3>Measurements</h3>
<p class="hint">Choose a heading to sort; its tooltip says what is measured.{unit}</p>
<div class="scroll" role="region" aria-label="Measurements of the white cells" tabindex="0">
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
</div>"""


def listing(image: np.ndarray, field: Field) -> str:
    """Crops and a table of the cells, the most suspicious first.

    Args:
        image: uint8, H × W × 3, RGB.
        field: its cells, one or more.
    """
    order, known = field.order, field.blast_likeness is not None
    shown = order[:MOST_CROPS]
    return _LISTING.format(
        order="White cells, most like a blast first" if known else "White cells, fullest nucleus first",
        capped=f"<p>{len(shown)} of {len(order)} are shown; the table has all.</p>" if len(shown) < len(order) else "",
        crops="".join(_crop(image, field, row) for row in shown),
        unit="" if known else " The scale of this image is not known, so sizes are in pixels.",
        head="".join(_heads(field)),
        rows="".join(_row(field, row) for row in order),
    )


def figures(field: Field) -> str:
    """The same figures of the first cell alone."""
    rows = [("Looks like a blast", _looks(field, 0), _BLAST)]
    for name, (title, _) in _COLUMNS.items():
        rows.append((title, f"{_figure(field, name, 0)} {field.unit(name)}", _MEANINGS[name].meaning))
    return (
        '<dl class="facts">'
        + "".join(f'<div title="{html.escape(m)}"><dt>{title}</dt><dd>{value}</dd></div>' for title, value, m in rows)
        + "</dl>"
    )


def download(field: Field, name: str) -> str:
    """A link to everything that was measured, inside the page.

    Args:
        field: the cells.
        name: of the image; may hold anything.
    """
    file = re.sub(r"[^\w-]+", "-", PurePath(name).stem)[:60].strip("-") or "image"
    address = f"data:text/csv;charset=utf-8,%EF%BB%BF{quote(field.as_csv(name), safe=',')}"  # the mark is for Excel
    what = f"all {len(FEATURES)} figures of {with_count(len(field.table['id']), 'cell')} (CSV)"
    return f'<p><a class="download" download="{file}-cells.csv" href="{address}">Download {what}</a></p>'


def _crop(image: np.ndarray, field: Field, row: int) -> str:
    label, says = int(field.table["id"][row]), _looks(field, row)
    x0, y0, x1, y1 = (int(field.table[side][row]) for side in ("x0", "y0", "x1", "y1"))
    half = round(max(x1 - x0, y1 - y0) * (0.5 + _ROUND))
    padded = _window(image, (x0 + x1) // 2, (y0 + y1) // 2, half)
    how = cv2.INTER_AREA if 2 * half > _CROP else cv2.INTER_CUBIC
    address = data_urls.jpeg(cv2.resize(padded, (_CROP, _CROP), interpolation=how))
    return (
        f'<li><button type="button" data-cell="{label}" aria-pressed="false">'
        f'<img src="{address}" alt="" width="{_CROP}" height="{_CROP}">'
        f'<span class="number">Cell {label}</span><span class="looks">{says}</span></button></li>'
    )


def _window(image: np.ndarray, x: int, y: int, half: int) -> np.ndarray:
    """The square around a point; beyond the image's border the border goes on."""
    height, width = image.shape[:2]
    left, top, right, bottom = max(x - half, 0), max(y - half, 0), min(x + half, width), min(y + half, height)
    beyond = top - (y - half), (y + half) - bottom, left - (x - half), (x + half) - right
    return cv2.copyMakeBorder(image[top:bottom, left:right], *beyond, cv2.BORDER_REPLICATE)


def _heads(field: Field) -> Iterator[str]:
    heads = [("Cell", "number in the picture; cut: by the border of the image", ""), ("Looks like a blast", _BLAST, "")]
    heads += [(title, _MEANINGS[name].meaning, field.unit(name)) for name, (title, _) in _COLUMNS.items()]
    for title, meaning, unit in heads:
        says = f"<span>{title}</span><small>{' ' + unit if unit else ''}</small>"
        button = f'<button type="button" title="{html.escape(meaning)}">{says}</button>'
        yield f'<th scope="col" aria-sort="none">{button}</th>'


def _row(field: Field, row: int) -> str:
    label = int(field.table["id"][row])
    blast_likeness = -1 if field.blast_likeness is None else field.blast_likeness[row]
    cut = " (cut)" if field.table["touches_border"][row] else ""
    if not field.close_up and label in field.left_out:
        cut = f" ({field.left_out[label]}, not counted)"
    cells = [
        f'<th scope="row" data-value="{label}"><button type="button" data-cell="{label}" aria-pressed="false">'
        f"{label}{cut}</button></th>",
        f'<td data-value="{blast_likeness:.4f}">{_looks(field, row)}</td>',
    ]
    for name in _COLUMNS:
        value = float(field.table[name][row])
        cells.append(f'<td data-value="{value if np.isfinite(value) else ""}">{_figure(field, name, row)}</td>')
    return f'<tr data-cell="{label}">{"".join(cells)}</tr>'


def _figure(field: Field, name: str, row: int) -> str:
    value = float(field.table[name][row])
    return f"{value:.{_COLUMNS[name][1]}f}" if np.isfinite(value) else "–"


def _looks(field: Field, row: int) -> str:
    like = field.blast_like(row)
    if not field.table["lobes"][row]:
        return "no nucleus seen"
    return "scale unknown" if like is None else "like a blast" if like else "not like a blast"

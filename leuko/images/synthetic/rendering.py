"""Rendered blood-smear fields with exact ground truth, for tests, demonstrations and example images.

A field is laid out in micrometres and then rendered at any scale. Every pixel collects amounts of three dyes,
and the light that comes through follows the Beer-Lambert law: the absorbances of the dyes add up (Ruifrok &
Johnston, Anal Quant Cytol Histol 2001;23:291-299), which is why red cells are darker where they overlap. Cell
sizes follow Bain, *Blood Cells: A Practical Guide*: red cells about 7.5 µm, platelets 2-3 µm, white cells as
in ``KINDS``.

These are drawings: they can show that code works, never how well it does on patients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from leuko.images.label_maps import renumber
from leuko.images.synthetic.canvas import Canvas
from leuko.images.synthetic.debris import add_debris, add_plasma
from leuko.images.synthetic.details import PLAIN_LOOK, WhiteLook
from leuko.images.synthetic.layout import Blob, place_platelets, place_red_cells, place_smudges, place_white_cells
from leuko.images.synthetic.optics import USUAL, Optics, compress, expose
from leuko.images.synthetic.red_forms import PLAIN, RedCell, RedCellStyle
from leuko.images.synthetic.smudges import add_smudge
from leuko.images.synthetic.stains import STAINS, Stain


@dataclass(frozen=True)
class Smear:
    """A rendered field and what is in it. All arrays are H × W; 0 is background, ids run from 1 without gaps.

    A pixel belongs to an object that covers its centre; where two overlap, to the upper one.
    White cells and smudge cells push red cells aside. Platelets lie on red cells, which keep those pixels in
    `red_cells`. What debris or a burned-in mark hides is background.
    """

    image: np.ndarray  # uint8, H × W × 3, RGB
    nuclei: np.ndarray  # int32, the id of the white cell the nucleus belongs to
    white_cells: np.ndarray  # int32, whole white cells: nucleus and cytoplasm
    red_cells: np.ndarray  # int32
    platelets: np.ndarray  # int32
    kinds: tuple[str, ...]  # white cell i is a kinds[i - 1]
    um_per_px: float
    smudges: np.ndarray  # int32, smudge cells


def _pressing(body: Blob, bodies: list[Blob]) -> list[Blob]:
    """The cells that a cell touches or overlaps, uneven outlines included."""
    return [
        other
        for other in bodies
        if other is not body and math.hypot(other.x - body.x, other.y - body.y) < 1.1 * (other.radius + body.radius)
    ]


def without_gaps(smear: Smear) -> Smear:
    """A smear with ids from 1 without gaps: some cells may be hidden or outside the field."""
    seen = np.bincount(smear.white_cells.ravel(), minlength=len(smear.kinds) + 1)[1:] > 0
    ids = np.concatenate([[0], np.cumsum(seen) * seen]).astype(np.int32)
    return replace(
        smear,
        white_cells=ids[smear.white_cells],
        nuclei=ids[smear.nuclei],
        kinds=tuple(kind for kind, is_seen in zip(smear.kinds, seen, strict=True) if is_seen),
        red_cells=renumber(smear.red_cells),
        platelets=renumber(smear.platelets),
        smudges=renumber(smear.smudges),
    )


def render(
    seed: int,
    *,
    width: int = 640,
    height: int = 480,
    um_per_px: float = 0.12,
    white_cells: Mapping[str, int] = MappingProxyType({"lymphocyte": 1, "neutrophil": 1, "blast": 1}),
    touching: float = 0.0,
    red_cover: float = 0.45,
    rouleaux: float = 0.15,
    platelets: int = 5,
    stain: str | Stain = "neutral",
    shading: float = 0.15,
    blur_um: float = 0.12,
    noise: float = 0.012,
    clumping: float = 0.0,
    cut: bool = False,
    variety: float = 0.0,
    smudges: int = 0,
    piles: float = 0.0,
    red_style: RedCellStyle = PLAIN,
    platelet_clumping: float = 0.0,
    debris: int = 0,
    plasma: float = 0.0,
    optics: Optics = USUAL,
) -> Smear:
    """Render a field; the same arguments give the same field.

    What lies where depends on the seed, the cells and the size of the field in µm only: the same
    field at another scale, in another stain or through worse optics shows the same cells.

    Args:
        seed: any whole number from 0.
        width: of the image in pixels.
        height: of the image in pixels.
        um_per_px: scale, typically 0.06 (100× objective) to 0.5.
        white_cells: how many of each kind, by the names in `kinds.KINDS`.
        touching: 0-1, the chance that a white cell lies against another; otherwise they keep 0.5 µm apart.
        red_cover: 0-1, area of all red cells over the area free of white cells, overlaps counted twice.
        rouleaux: 0-1, the chance that a red cell lies partly on another.
        platelets: how many; in a crowded field a white cell may hide some.
        stain: a name in `STAINS`, or a `Stain`.
        shading: 0-1, the share of the light that is missing far from the brightest point.
        blur_um: standard deviation of the point spread in µm: 0.1 is in focus, 0.5 visibly out of it.
        noise: 0-1, standard deviation of the sensor's noise in full light, over full light.
        clumping: 0-1, the chance that a white cell joins a dense clump, pressed against its neighbours.
        cut: whether the border may cut white cells.
        variety: 0-1, how much white cells and platelets differ: outlines, dyes, vacuoles, giant platelets.
        smudges: how many smudge cells; they lie apart from white cells where there is room.
        piles: 0-1, the chance that a red cell lies far on others, as in agglutinates.
        red_style: forms and looks of red cells.
        platelet_clumping: 0-1, the chance that a platelet joins another.
        debris: how many pieces of precipitate, fibres, dust, bubbles and scratches.
        plasma: 0-1, strength of clouds of stain on the ground.
        optics: further properties of microscope and camera.

    Raises:
        KeyError: a kind of white cell or a stain has no such name.
        ValueError: the white cells do not fit into the field.
    """
    colours = STAINS[stain] if isinstance(stain, str) else stain
    layout, texture, details = np.random.default_rng(seed).spawn(3)
    size, shape = np.array([width, height]) * um_per_px, (height, width)
    whites = place_white_cells(layout, size, white_cells, touching, clumping=clumping, cut=cut, variety=variety)
    bodies = [cell.body for cell in whites]
    ghosts = place_smudges(details, size, bodies, smudges)
    reds = place_red_cells(
        layout, size, bodies + ghosts, red_cover, rouleaux, piles=piles, size_spread=red_style.size_spread
    )

    canvas = Canvas(texture, details, shape, um_per_px)
    for label, red in enumerate(reds, start=1):
        pressed = _pressing(red, reds) if red_style.packed else ()
        canvas.add_red_cell(label, RedCell.draw(details, red, red_style), red_style, pressed)
    if red_style.overlap < 1:
        canvas.dyes[..., 0] -= (1 - red_style.overlap) * np.clip(canvas.dyes[..., 0] - 1, 0, None)
    for label, ghost in enumerate(ghosts, start=1):
        add_smudge(canvas, label, ghost, details)
    spots = place_platelets(
        layout, size, bodies + ghosts + reds, platelets, clumping=platelet_clumping, variety=variety
    )
    for label, platelet in enumerate(spots, start=1):
        canvas.add_platelet(label, platelet, details.uniform(0.5, 1.3) if variety else 1)
    for label, white in enumerate(whites, start=1):
        look = WhiteLook.draw(details, variety) if variety else PLAIN_LOOK
        canvas.add_white_cell(label, white, look, _pressing(white.body, bodies) if clumping else ())
    if plasma:
        add_plasma(canvas, details, plasma)
    add_debris(canvas, details, debris)

    light = colours.transmit(canvas.dyes, canvas.other)
    image = expose(light, texture, um_per_px, shading=shading, blur_um=blur_um, noise=noise, optics=optics)
    return without_gaps(
        Smear(
            image=compress(image, optics.jpeg),
            nuclei=canvas.nuclei,
            white_cells=canvas.whites,
            red_cells=canvas.reds,
            platelets=canvas.platelets,
            smudges=canvas.smudges,
            kinds=tuple(cell.kind for cell in whites),
            um_per_px=um_per_px,
        )
    )

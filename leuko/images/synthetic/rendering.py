"""Rendered blood-smear fields with exact ground truth, for tests, demonstrations and example images.

A field is laid out in micrometres and then rendered at any scale. Every pixel collects amounts of three dyes,
and the light that comes through follows the Beer-Lambert law: the absorbances of the dyes add up (Ruifrok &
Johnston, Anal Quant Cytol Histol 2001;23:291-299), which is why red cells are darker where they overlap. Cell
sizes follow Bain, *Blood Cells: A Practical Guide*: red cells about 7.5 µm, platelets 2-3 µm, white cells as
in ``KINDS``.

These are drawings: they can show that code works, never how well it does on patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from leuko.images.synthetic.canvas import Canvas
from leuko.images.synthetic.layout import place_platelets, place_red_cells, place_white_cells

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Stain:
    """The colours of a stain: 8-bit RGB (1-255) of the empty background, and of one layer of each material on it."""

    background: RGB
    red_cell: RGB
    nucleus: RGB
    cytoplasm: RGB  # the deep blue one of a blast

    def transmit(self, dyes: np.ndarray) -> np.ndarray:
        """Light, H × W × 3, 0-255, that passes dye amounts, H × W × 3: red cell, nucleus, cytoplasm."""
        absorbance = np.log(np.divide(self.background, [self.red_cell, self.nucleus, self.cytoplasm]))
        return self.background * np.exp(-dyes @ absorbance)


STAINS: Mapping[str, Stain] = MappingProxyType(
    {
        "neutral": Stain((228, 225, 230), (186, 160, 166), (92, 58, 150), (128, 140, 200)),
        "pink": Stain((252, 227, 200), (203, 162, 163), (88, 44, 136), (138, 134, 176)),
        "blue": Stain((245, 252, 244), (162, 180, 215), (146, 112, 240), (135, 150, 232)),
    }
)


@dataclass(frozen=True)
class Smear:
    """A rendered field and what is in it. All arrays are H × W; 0 is background, ids run from 1 without gaps.

    A pixel belongs to an object that covers its centre; where two overlap, to the upper one.
    White cells push red cells aside. Platelets lie on red cells, which keep those pixels in `red_cells`.
    """

    image: np.ndarray  # uint8, H × W × 3, RGB
    nuclei: np.ndarray  # int32, the id of the white cell the nucleus belongs to
    white_cells: np.ndarray  # int32, whole white cells (nucleus and cytoplasm), never cut by the border
    red_cells: np.ndarray  # int32
    platelets: np.ndarray  # int32
    kinds: tuple[str, ...]  # white cell i is a kinds[i - 1]
    um_per_px: float


def _without_gaps(labels: np.ndarray) -> np.ndarray:
    """Labels renumbered from 1 without gaps: some cells may be hidden or outside the field."""
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    return (np.cumsum(present) * present).astype(np.int32)[labels]


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
) -> Smear:
    """Render a field; the same arguments give the same field.

    What lies where depends on the seed, the cells and the size of the field in µm only: the same
    field at another scale, in another stain or through worse optics shows the same cells.

    Args:
        seed: any whole number from 0.
        width: of the image in pixels.
        height: of the image in pixels.
        um_per_px: scale, typically 0.06 (100× objective) to 0.5.
        white_cells: how many of each kind: "blast", "lymphocyte", "neutrophil", "monocyte".
        touching: 0-1, the chance that a white cell lies against another; otherwise they keep 0.5 µm apart.
        red_cover: 0-1, area of all red cells over the area free of white cells, overlaps counted twice.
        rouleaux: 0-1, the chance that a red cell lies partly on another.
        platelets: how many; in a crowded field a white cell may hide some.
        stain: a name in `STAINS`, or a `Stain`.
        shading: 0-1, the share of the light that is missing far from the brightest point.
        blur_um: standard deviation of the point spread in µm: 0.1 is in focus, 0.5 visibly out of it.
        noise: 0-1, standard deviation of the sensor's noise in full light, over full light.

    Raises:
        KeyError: a kind of white cell or a stain has no such name.
        ValueError: the white cells do not fit into the field.
    """
    colours = STAINS[stain] if isinstance(stain, str) else stain
    layout, texture = np.random.default_rng(seed).spawn(2)
    size, shape = np.array([width, height]) * um_per_px, (height, width)
    whites = place_white_cells(layout, size, white_cells, touching)
    bodies = [cell.body for cell in whites]
    reds = place_red_cells(layout, size, bodies, red_cover, rouleaux)

    canvas = Canvas(texture, shape, um_per_px)
    for label, red in enumerate(reds, start=1):
        canvas.add_red_cell(label, red)
    for label, platelet in enumerate(place_platelets(layout, size, bodies + reds, platelets), start=1):
        canvas.add_platelet(label, platelet)
    for label, white in enumerate(whites, start=1):
        canvas.add_white_cell(label, white)

    light: np.ndarray = cv2.GaussianBlur(colours.transmit(canvas.dyes), (0, 0), blur_um / um_per_px)
    # Cameras sharpen, which draws a faint bright line around cells.
    light = light + 0.4 * (light - cv2.GaussianBlur(light, (0, 0), 0.4 / um_per_px))
    offset = np.indices(shape) / np.reshape(shape, (2, 1, 1)) - texture.uniform(0.3, 0.7, (2, 1, 1))
    light *= (1 - shading * (offset**2).sum(axis=0))[..., None]
    # The variance of a photon count grows with the light.
    light = light + texture.standard_normal(light.shape) * noise * np.sqrt(255 * np.clip(light, 0, None))
    return Smear(
        image=np.clip(np.rint(light), 0, 255).astype(np.uint8),
        nuclei=canvas.nuclei,
        white_cells=canvas.whites,
        red_cells=_without_gaps(canvas.reds),
        platelets=_without_gaps(canvas.platelets),
        kinds=tuple(cell.kind for cell in whites),
        um_per_px=um_per_px,
    )

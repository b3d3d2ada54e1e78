"""Rendered blood-smear fields with exact ground truth, for tests, demonstrations and example images.

A field is laid out in micrometres and then rendered at any scale. Every pixel collects amounts of three dyes,
and the light that comes through follows the Beer-Lambert law: the absorbances of the dyes add up (Ruifrok &
Johnston, Anal Quant Cytol Histol 2001;23:291-299), which is why red cells are darker where they overlap. Cell
sizes follow Bain, *Blood Cells: A Practical Guide*: red cells about 7.5 µm, platelets 2-3 µm, white cells as
in ``_KINDS``.

These are drawings: they can show that code works, never how well it does on patients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

import cv2
import numpy as np

_RED_CELL_RADIUS_UM = 3.75
_TRIES = 40  # positions tried per cell, ten times as many for a white cell, which must fit

RGB = tuple[int, int, int]
Rng = np.random.Generator


@dataclass(frozen=True)
class Stain:
    """The look of a stain: 8-bit RGB colours (1-255) of the empty background and of one layer of each thing on it."""

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

    A pixel belongs to a thing if its centre is covered by it; where two overlap it belongs to the upper one.
    White cells push red cells aside. Platelets lie on red cells, which keep those pixels in ``red_cells``.
    """

    image: np.ndarray  # uint8, H × W × 3, RGB
    nuclei: np.ndarray  # int32, the id of the white cell the nucleus belongs to
    white_cells: np.ndarray  # int32, whole white cells (nucleus and cytoplasm), never cut by the border
    red_cells: np.ndarray  # int32
    platelets: np.ndarray  # int32
    kinds: tuple[str, ...]  # white cell i is a kinds[i - 1]
    um_per_px: float


@dataclass(frozen=True)
class _Kind:
    """What sets one kind of white cell apart; ranges are drawn from evenly."""

    diameter_um: tuple[float, float]
    nucleus: tuple[float, float]  # its diameter (of a disc as large, if lobed) as a share of the cell's
    notch: tuple[float, float]  # depth of the dent in the nucleus as a share of its radius
    unevenness: float  # of the cell's outline as a share of its radius
    chromatin: tuple[float, float, float]  # amount, contrast, grain in µm
    cytoplasm: tuple[float, float, float]  # dye amounts
    lobes: tuple[int, int] = (1, 1)
    nucleoli: tuple[int, int] = (0, 0)


_KINDS = {
    "blast": _Kind((12, 18), (0.84, 0.93), (0, 0.3), 0.035, (0.85, 0.12, 0.3), (0, 0.1, 1), nucleoli=(1, 3)),
    "lymphocyte": _Kind((8, 10), (0.84, 0.92), (0, 0.1), 0.02, (1.1, 0.16, 0.5), (0, 0, 0.5)),
    "neutrophil": _Kind((12, 14), (0.64, 0.72), (0, 0.2), 0.02, (1, 0.18, 0.45), (0.3, 0.1, 0), lobes=(3, 5)),
    "monocyte": _Kind((14, 18), (0.68, 0.76), (0.35, 0.6), 0.04, (0.85, 0.2, 0.5), (0.3, 0, 0.4)),
}


@dataclass(frozen=True)
class _Blob:
    """A closed outline around (x, y) in µm: a circle with waves and one dent."""

    x: float
    y: float
    radius: float
    waves: np.ndarray  # amplitude as a share of the radius and phase of orders 2-6, 5 × 2
    notch: float
    notch_angle: float

    @classmethod
    def draw(cls, rng: Rng, x: float, y: float, radius: float, unevenness: float, notch: float = 0) -> Self:
        # A membrane is under tension: the finer the wave, the lower.
        amplitudes = rng.normal(0, unevenness, 5) / [1, 2.5, 4, 6, 8]
        waves = np.stack([amplitudes, rng.uniform(0, 2 * np.pi, 5)], axis=1)
        return cls(x, y, radius, waves, notch, rng.uniform(0, 2 * np.pi))

    @property
    def reach(self) -> float:
        """A distance from the centre, in µm, that no point of the outline exceeds."""
        return self.radius * (1 + np.abs(self.waves[:, 0]).sum())

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance of points to the outline in µm, negative inside."""
        angle = np.arctan2(y - self.y, x - self.x)
        edge = 1 - self.notch * np.exp(4 * (np.cos(angle - self.notch_angle) - 1))
        for order, (amplitude, phase) in enumerate(self.waves, start=2):
            edge += amplitude * np.cos(order * angle + phase)
        return np.hypot(x - self.x, y - self.y) - self.radius * edge


@dataclass(frozen=True)
class _WhiteCell:
    kind: str
    body: _Blob
    lobes: list[_Blob]
    nucleoli: list[_Blob]

    @classmethod
    def draw(cls, rng: Rng, kind: str, body: _Blob) -> Self:
        look = _KINDS[kind]
        count = rng.integers(*look.lobes, endpoint=True)
        radius = body.radius * rng.uniform(*look.nucleus) / np.sqrt(count)
        if count == 1:
            shift, angles = rng.uniform(0, body.radius - radius), rng.uniform(0, 2 * np.pi, 1)
        else:  # a horseshoe
            shift, step = 0.52 * body.radius, rng.uniform(4, 4.6) / (count - 1)
            angles = rng.uniform(0, 2 * np.pi) + step * np.arange(count) + rng.normal(0, 0.15, count)
        lobes = [
            _Blob.draw(rng, x, y, radius * rng.uniform(0.9, 1), 0.09, rng.uniform(*look.notch))
            for x, y in _around(body, shift, angles)
        ]
        angles = rng.uniform(0, 2 * np.pi, rng.integers(*look.nucleoli, endpoint=True))
        spots = _around(lobes[0], rng.uniform(0, 0.55) * radius, angles)
        return cls(kind, body, lobes, [_Blob.draw(rng, x, y, rng.uniform(0.6, 1), 0.1) for x, y in spots])

    def nucleus_distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to the nucleus in µm, negative inside: lobes joined by thin strands, within the cell."""
        nearest = np.minimum.reduce([lobe.distance(x, y) for lobe in self.lobes])
        for a, b in zip(self.lobes, self.lobes[1:], strict=False):
            ux, uy = b.x - a.x, b.y - a.y
            along = np.clip(((x - a.x) * ux + (y - a.y) * uy) / (ux**2 + uy**2), 0, 1)
            nearest = np.minimum(nearest, np.hypot(x - a.x - along * ux, y - a.y - along * uy) - 0.6)
        return np.maximum(nearest, self.body.distance(x, y) + 0.2)


def _around(blob: _Blob, distance: float, angles: np.ndarray) -> np.ndarray:
    """Points, k × 2, at a distance from the centre of a blob, in µm."""
    return [blob.x, blob.y] + distance * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _pick(options: np.ndarray, radius: float, others: Sequence[_Blob], gap: float) -> tuple[float, float, float]:
    """The first position (of k × 2) that leaves the gap to all others, else the freest: x, y, clearance."""
    x, y, radii = np.reshape([(blob.x, blob.y, blob.radius) for blob in others], (-1, 3)).T
    away = np.hypot(options[:, :1] - x, options[:, 1:] - y) - radii - radius
    clearance = away.min(axis=1, initial=np.inf)
    best = np.argmax(np.minimum(clearance, gap))
    return options[best, 0], options[best, 1], clearance[best]


def _lay_white_cells(rng: Rng, size: np.ndarray, wanted: Mapping[str, int], touching: float) -> list[_WhiteCell]:
    cells: list[_WhiteCell] = []
    for kind in rng.permutation([kind for kind, count in wanted.items() for _ in range(count)]).tolist():
        look, bodies = _KINDS[kind], [cell.body for cell in cells]
        body = _Blob.draw(rng, 0, 0, rng.uniform(*look.diameter_um) / 2, look.unevenness)
        options = rng.uniform(0, size, (10 * _TRIES, 2))
        gap = 0.5 + 2 * max(blob.reach - blob.radius for blob in [body, *bodies])  # even where both bulge
        if cells and rng.random() < touching:
            other, gap = bodies[rng.integers(len(cells))], -0.6  # sunk in so far, uneven outlines meet too
            beside = _around(other, other.radius + body.radius - 0.5, rng.uniform(0, 2 * np.pi, _TRIES))
            options = np.concatenate([beside, options])
        options = options[((options > body.reach) & (options < size - body.reach)).all(axis=1)]
        x, y, clearance = _pick(options, body.radius, bodies, gap) if len(options) else (0, 0, -np.inf)
        if clearance < gap:
            raise ValueError(f"no room for white cell {len(cells) + 1} in {size[0]:.0f} × {size[1]:.0f} µm")
        cells.append(_WhiteCell.draw(rng, kind, replace(body, x=x, y=y)))
    return cells


def _lay_red_cells(rng: Rng, size: np.ndarray, whites: list[_Blob], cover: float, rouleaux: float) -> list[_Blob]:
    margin = _RED_CELL_RADIUS_UM  # so that the border cuts cells
    free = np.prod(size + 2 * margin) - sum(np.pi * white.radius**2 for white in whites)
    cells: list[_Blob] = []
    heading = 0.0
    for _ in range(round(cover * free / (np.pi * _RED_CELL_RADIUS_UM**2))):
        radius = _RED_CELL_RADIUS_UM * rng.normal(1, 0.06)
        if cells and rng.random() < rouleaux:  # partly on the cell before, like coins of a toppled stack
            options = _around(cells[-1], radius * rng.uniform(0.9, 1.9), heading + rng.normal(0, 0.3, _TRIES))
            x, y, _ = _pick(options, radius, whites, -0.5)
        else:
            heading = rng.uniform(0, 2 * np.pi)
            options = rng.uniform(-margin, size + margin, (_TRIES, 2))
            x, y, _ = _pick(options, radius, [*whites, *cells], -0.3)
        cells.append(_Blob.draw(rng, x, y, radius, 0.06))
    return cells


def _lay_platelets(rng: Rng, size: np.ndarray, cells: list[_Blob], count: int) -> list[_Blob]:
    platelets: list[_Blob] = []
    for radius in rng.uniform(1, 1.5, count):
        x, y, _ = _pick(rng.uniform(2, size - 2, (_TRIES, 2)), radius, [*cells, *platelets], 0.3)
        platelets.append(_Blob.draw(rng, x, y, radius, 0.15))
    return platelets


class _Canvas:
    """Dyes (H × W × 3) and labels (H × W) of a field that is being painted from the bottom up."""

    def __init__(self, rng: Rng, shape: tuple[int, int], um_per_px: float) -> None:
        self.rng, self.shape, self.um_per_px = rng, shape, um_per_px
        self.nuclei, self.whites, self.reds, self.platelets = np.zeros((4, *shape), np.int32)
        self.dyes = np.zeros((*shape, 3))
        self.dyes[..., 0] = np.clip(0.03 + 0.015 * self.grain(shape, 4), 0, None)  # dried plasma

    def window(self, blob: _Blob) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """The part of the field that a blob may cover, and x and y of its pixel centres in µm."""
        centre, um = np.array([blob.y, blob.x]), self.um_per_px
        (top, left), (bottom, right) = np.clip(
            [(centre - blob.reach) // um, (centre + blob.reach) // um + 1], 0, self.shape
        ).astype(int)
        x, y = np.meshgrid((np.arange(left, right) + 0.5) * um, (np.arange(top, bottom) + 0.5) * um)
        return (slice(top, bottom), slice(left, right)), x, y

    def covered(self, distance: np.ndarray) -> np.ndarray:
        """Share of each pixel inside an outline, which is all but straight within a pixel."""
        return np.clip(0.5 - distance / self.um_per_px, 0, 1)

    def grain(self, shape: tuple[int, ...], um: float) -> np.ndarray:
        """Smooth noise of mean 0 and deviation 1, less where grains are too small for the pixels to show."""
        sigma = um / self.um_per_px
        return cv2.GaussianBlur(self.rng.standard_normal(shape), (0, 0), sigma) * 2 * np.sqrt(np.pi) * sigma

    def add_red_cell(self, label: int, cell: _Blob) -> None:
        window, x, y = self.window(cell)
        distance = cell.distance(x, y)
        outwards = 1 + distance / cell.radius  # 0 at the centre, 1 at the edge
        depth, width = self.rng.uniform(0.2, 1), self.rng.normal(0.45, 0.07)
        pallor = depth / (1 + np.exp((outwards - width) / 0.08))
        rim = 0.25 * np.exp(-(((outwards - 0.85) / 0.12) ** 2))
        thickness = self.rng.normal(0.85, 0.1) * (1 - pallor + rim)
        self.dyes[window][..., 0] += self.covered(distance) * thickness
        self.reds[window][distance < 0] = label

    def add_platelet(self, label: int, platelet: _Blob) -> None:
        window, x, y = self.window(platelet)
        distance = platelet.distance(x, y)
        granules = np.clip(0.6 + 0.25 * self.grain(x.shape, 0.2), 0, 1) * np.clip(-2 * distance, 0, 1)
        dyes = np.stack([np.zeros_like(x), granules, np.full_like(x, 0.35)], axis=-1)
        self.dyes[window] += self.covered(distance)[..., None] * dyes
        self.platelets[window][distance < 0] = label

    def add_white_cell(self, label: int, cell: _WhiteCell) -> None:
        window, x, y = self.window(cell.body)
        distance, to_nucleus = cell.body.distance(x, y), cell.nucleus_distance(x, y)
        amount, contrast, grain_um = _KINDS[cell.kind].chromatin
        clumps = self.grain(x.shape, grain_um) + 0.7 * self.grain(x.shape, 3 * grain_um)
        membrane = 0.15 * np.exp(-((to_nucleus / 0.4) ** 2))
        chromatin = amount * (1 + contrast * clumps + membrane)
        for nucleolus in cell.nucleoli:
            chromatin *= 1 - 0.35 / (1 + np.exp(nucleolus.distance(x, y) / 0.15))
        granules = 1 + 0.2 * self.grain(x.shape, 0.25) + 0.4 * np.exp(distance)  # denser towards the edge
        body, nucleus = self.covered(distance)[..., None], self.covered(to_nucleus)[..., None]
        filling = (1 - nucleus) * granules[..., None] * _KINDS[cell.kind].cytoplasm
        filling[..., 1] += nucleus[..., 0] * chromatin
        filling *= self.rng.normal(1, 0.06)
        self.dyes[window] = (1 - body) * self.dyes[window] + body * np.clip(filling, 0, None)

        inside = distance < 0
        self.whites[window][inside] = label
        self.nuclei[window][inside] = np.where(to_nucleus[inside] < 0, label, 0)
        self.reds[window][inside] = self.platelets[window][inside] = 0


def _without_gaps(labels: np.ndarray) -> np.ndarray:
    """Labels renumbered 1..n, for some may be hidden or outside the field."""
    seen = np.bincount(labels.ravel()) > 0
    seen[0] = False
    return (np.cumsum(seen) * seen).astype(np.int32)[labels]


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

    What lies where depends on the seed, the cells asked for and the size of the field in µm only: the same
    field at another scale, in another stain or through worse optics shows the same cells.

    Args:
        seed: any whole number from 0.
        width: of the image in pixels.
        height: of the image in pixels.
        um_per_px: scale, sensibly 0.06 (100× objective) to 0.5.
        white_cells: how many of each kind: "blast", "lymphocyte", "neutrophil", "monocyte".
        touching: 0-1, the chance that a white cell lies against another; otherwise they keep 0.5 µm apart.
        red_cover: 0-1, area of all red cells over the area free of white cells, overlaps counted twice.
        rouleaux: 0-1, the chance that a red cell lies partly on another.
        platelets: how many; in a crowded field a white cell may hide some.
        stain: a name in ``STAINS`` or a stain of your own.
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
    whites = _lay_white_cells(layout, size, white_cells, touching)
    bodies = [cell.body for cell in whites]
    reds = _lay_red_cells(layout, size, bodies, red_cover, rouleaux)

    canvas = _Canvas(texture, shape, um_per_px)
    for label, red in enumerate(reds, start=1):
        canvas.add_red_cell(label, red)
    for label, platelet in enumerate(_lay_platelets(layout, size, bodies + reds, platelets), start=1):
        canvas.add_platelet(label, platelet)
    for label, white in enumerate(whites, start=1):
        canvas.add_white_cell(label, white)

    light = cv2.GaussianBlur(colours.transmit(canvas.dyes), (0, 0), blur_um / um_per_px)
    # Cameras sharpen, which draws a faint bright line around cells.
    light += 0.4 * (light - cv2.GaussianBlur(light, (0, 0), 0.4 / um_per_px))
    away = np.indices(shape) / np.reshape(shape, (2, 1, 1)) - texture.uniform(0.3, 0.7, (2, 1, 1))
    light *= (1 - shading * (away**2).sum(axis=0))[..., None]
    # The variance of a count of photons grows with the light.
    light += texture.standard_normal(light.shape) * noise * np.sqrt(255 * np.clip(light, 0, None))
    return Smear(
        image=np.clip(np.rint(light), 0, 255).astype(np.uint8),
        nuclei=canvas.nuclei,
        white_cells=canvas.whites,
        red_cells=_without_gaps(canvas.reds),
        platelets=_without_gaps(canvas.platelets),
        kinds=tuple(cell.kind for cell in whites),
        um_per_px=um_per_px,
    )

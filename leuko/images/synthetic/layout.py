"""Layout of a rendered smear: kinds, shapes and positions of its cells in micrometres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from leuko.images.synthetic.kinds import KINDS

RED_CELL_RADIUS_UM = 3.75  # Bain, Blood Cells: A Practical Guide
_TRIES = 40  # positions tried per cell, ten times as many for a white cell, which must fit

Rng = np.random.Generator


@dataclass(frozen=True)
class Blob:
    """A closed outline around (x, y) in µm: a circle with waves and one dent."""

    x: float
    y: float
    radius: float
    waves: np.ndarray  # amplitude as a share of the radius and phase of orders 2-6, 5 × 2
    notch: float
    notch_angle: float

    @classmethod
    def draw(cls, rng: Rng, x: float, y: float, radius: float, unevenness: float, notch: float = 0) -> Self:
        """A random blob of a mean radius, with waves of a relative height, and a notch of a relative depth."""
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
class WhiteCell:
    """A white cell: its body, the lobes of its nucleus, and its nucleoli."""

    kind: str
    body: Blob
    lobes: list[Blob]
    nucleoli: list[Blob]

    @classmethod
    def draw(cls, rng: Rng, kind: str, body: Blob, variety: float = 0) -> Self:
        """A random nucleus for a body of a kind."""
        properties = KINDS[kind]
        count = rng.integers(*properties.lobes, endpoint=True)
        radius = body.radius * rng.uniform(*properties.nucleus) / np.sqrt(count)
        if count == 1:
            shift, angles = rng.uniform(0, body.radius - radius), rng.uniform(0, 2 * np.pi, 1)
        else:  # a horseshoe
            shift, step = 0.52 * body.radius, rng.uniform(4, 4.6) / (count - 1)
            angles = rng.uniform(0, 2 * np.pi) + step * np.arange(count) + rng.normal(0, 0.15, count)
        smallest, places = 0.9, _around(body, shift, angles)
        if variety and count > 1:  # less even than a horseshoe: a ribbon that wanders
            smallest = 0.9 - 0.3 * variety
            turns = rng.uniform(0.45, 1.15) * step * rng.uniform(0.5, 1.5, count)
            away = shift * np.clip(rng.normal(1, 0.3 * variety, count), 0.2, 1.25)
            places = np.concatenate([_around(body, a, t[None]) for a, t in zip(away, np.cumsum(turns), strict=True)])
        lobes = [
            Blob.draw(rng, x, y, radius * rng.uniform(smallest, 1), 0.09, rng.uniform(*properties.notch))
            for x, y in places
        ]
        if variety and count == 1:  # a long cell has a long nucleus
            waves = lobes[0].waves.copy()
            waves[0] = body.waves[0] * [rng.uniform(0.5, 1.2), 1]
            lobes = [replace(lobes[0], waves=waves)]
        angles = rng.uniform(0, 2 * np.pi, rng.integers(*properties.nucleoli, endpoint=True))
        spots = _around(lobes[0], rng.uniform(0, 0.55) * radius, angles)
        return cls(kind, body, lobes, [Blob.draw(rng, x, y, rng.uniform(0.6, 1), 0.1) for x, y in spots])

    def nucleus_distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to the nucleus in µm, negative inside: lobes joined by thin strands, within the cell."""
        nearest = np.minimum.reduce([lobe.distance(x, y) for lobe in self.lobes])
        for a, b in zip(self.lobes, self.lobes[1:], strict=False):
            ux, uy = b.x - a.x, b.y - a.y
            along = np.clip(((x - a.x) * ux + (y - a.y) * uy) / (ux**2 + uy**2), 0, 1)
            nearest = np.minimum(nearest, np.hypot(x - a.x - along * ux, y - a.y - along * uy) - 0.6)
        return np.maximum(nearest, self.body.distance(x, y) + 0.2)


def _around(blob: Blob, distance: float, angles: np.ndarray) -> np.ndarray:
    """Points, k × 2, at a distance from the centre of a blob, in µm."""
    return [blob.x, blob.y] + distance * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _evenly(rng: Rng) -> np.ndarray:
    """Angles all around, in random order."""
    return rng.uniform(0, 2 * np.pi) + rng.permutation(_TRIES) * (2 * np.pi / _TRIES)


def _pick(options: np.ndarray, radius: float, others: Sequence[Blob], gap: float) -> tuple[float, float, float]:
    """The first position (of k × 2) that leaves the gap to all others, else the freest: x, y, clearance."""
    x, y, radii = np.reshape([(blob.x, blob.y, blob.radius) for blob in others], (-1, 3)).T
    distance = np.hypot(options[:, :1] - x, options[:, 1:] - y) - radii - radius
    clearance = distance.min(axis=1, initial=np.inf)
    best = np.argmax(np.minimum(clearance, gap))
    return options[best, 0], options[best, 1], clearance[best]


def place_white_cells(
    rng: Rng,
    size: np.ndarray,
    wanted: Mapping[str, int],
    touching: float,
    *,
    clumping: float = 0,
    cut: bool = False,
    variety: float = 0,
) -> list[WhiteCell]:
    """Place the wanted white cells in a field of a size (width and height in µm).

    `touching`, `clumping`, `cut` and `variety` are as of `render`.

    Raises:
        ValueError: they do not fit.
    """
    cells: list[WhiteCell] = []
    for kind in rng.permutation([kind for kind, count in wanted.items() for _ in range(count)]).tolist():
        properties, bodies = KINDS[kind], [cell.body for cell in cells]
        unevenness = properties.unevenness * (1 + 1.5 * variety * rng.random() if variety else 1)
        body = Blob.draw(rng, 0, 0, rng.uniform(*properties.diameter_um) / 2, unevenness)
        if variety and rng.random() < 0.3:
            body.waves[0, 0] = variety * rng.uniform(0.06, 0.2)  # oval
        options = rng.uniform(0, size, (10 * _TRIES, 2))
        gap = 0.5 + 2 * max(blob.reach - blob.radius for blob in [body, *bodies])  # even where both bulge
        if cells and rng.random() < touching:
            other, gap = bodies[rng.integers(len(cells))], -0.6  # sunk in so far, uneven outlines meet too
            beside = _around(other, other.radius + body.radius - 0.5, rng.uniform(0, 2 * np.pi, _TRIES))
            options = np.concatenate([beside, options])
        if cells and clumping and rng.random() < clumping:
            # As near to the middle of the clump as the others let it, and sunk in a little.
            gap = -rng.uniform(0.5, 1.5)
            beside = np.concatenate([_around(b, b.radius + body.radius + gap, _evenly(rng)) for b in bodies])
            middle = np.mean([(blob.x, blob.y) for blob in bodies], axis=0)
            options = np.concatenate([beside[np.argsort(np.hypot(*(beside - middle).T), kind="stable")], options])
            gap -= 0.01
        # A cell that the border cuts still shows its larger part.
        inset = -0.2 * body.radius if cut else body.reach
        options = options[((options > inset) & (options < size - inset)).all(axis=1)]
        x, y, clearance = _pick(options, body.radius, bodies, gap) if len(options) else (0, 0, -np.inf)
        if clearance < gap:
            raise ValueError(f"no room for white cell {len(cells) + 1} in {size[0]:.0f} × {size[1]:.0f} µm")
        cells.append(WhiteCell.draw(rng, kind, replace(body, x=x, y=y), variety))
    return cells


def place_red_cells(
    rng: Rng,
    size: np.ndarray,
    whites: list[Blob],
    cover: float,
    rouleaux: float,
    *,
    piles: float = 0,
    size_spread: float = 0.06,
) -> list[Blob]:
    """Place red cells between white cells; `cover` is their area over the free area, as of `render`."""
    margin = RED_CELL_RADIUS_UM  # so that the border cuts cells
    free = np.prod(size + 2 * margin) - sum(np.pi * white.radius**2 for white in whites)
    cells: list[Blob] = []
    heading = 0.0
    for _ in range(round(cover * free / (np.pi * RED_CELL_RADIUS_UM**2))):
        radius = RED_CELL_RADIUS_UM * max(rng.normal(1, size_spread), 0.4)
        if cells and piles and rng.random() < piles:  # anywhere on a pile
            other = cells[rng.integers(len(cells))]
            options = _around(other, radius * rng.uniform(0.7, 1.7), rng.uniform(0, 2 * np.pi, _TRIES))
            x, y, _ = _pick(options, radius, whites, -0.5)
        elif cells and rng.random() < rouleaux:  # partly on the cell before, like coins of a toppled stack
            options = _around(cells[-1], radius * rng.uniform(0.9, 1.9), heading + rng.normal(0, 0.3, _TRIES))
            x, y, _ = _pick(options, radius, whites, -0.5)
        else:
            heading = rng.uniform(0, 2 * np.pi)
            options = rng.uniform(-margin, size + margin, (_TRIES, 2))
            x, y, _ = _pick(options, radius, [*whites, *cells], -0.3)
        cells.append(Blob.draw(rng, x, y, radius, 0.06))
    return cells


def place_platelets(
    rng: Rng, size: np.ndarray, cells: list[Blob], count: int, *, clumping: float = 0, variety: float = 0
) -> list[Blob]:
    """Place platelets away from all cells, as far as there is room; `clumping` and `variety` as of `render`."""
    platelets: list[Blob] = []
    for radius in rng.uniform(1, 1.5, count):
        if variety:  # giant ones reach the size of a red cell
            radius *= np.exp(rng.normal(0, 0.3 * variety)) * (rng.uniform(1.5, 2.4) if rng.random() < 0.08 else 1)
        if platelets and clumping and rng.random() < clumping:
            other = platelets[rng.integers(len(platelets))]
            options = np.clip(_around(other, other.radius + radius - 0.2, _evenly(rng)), 0.5, size - 0.5)
            x, y, _ = _pick(options, radius, platelets, -0.4)
        elif variety and rng.random() < 0.25:  # on red cells
            x, y = rng.uniform(2, size - 2)
        else:
            x, y, _ = _pick(rng.uniform(2, size - 2, (_TRIES, 2)), radius, [*cells, *platelets], 0.3)
        platelets.append(Blob.draw(rng, x, y, radius, 0.15))
    return platelets


def place_smudges(rng: Rng, size: np.ndarray, whites: list[Blob], count: int) -> list[Blob]:
    """Places of smudge cells, beside white cells as far as there is room; their ragged outline is painted later."""
    smudges: list[Blob] = []
    for radius in rng.uniform(4, 10, count):
        x, y, _ = _pick(rng.uniform(0, size, (_TRIES, 2)), radius, [*whites, *smudges], 0)
        smudges.append(Blob.draw(rng, x, y, radius, 0))
    return smudges

"""Painting of a rendered smear: amounts of dye and labels, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from leuko.images.synthetic import details
from leuko.images.synthetic.details import PLAIN_LOOK, WhiteLook
from leuko.images.synthetic.kinds import KINDS
from leuko.images.synthetic.layout import Blob, Rng, WhiteCell
from leuko.images.synthetic.red_forms import PLAIN, RedCell, RedCellStyle


class Canvas:
    """Dyes (H × W × 3) and labels (H × W) of a field that is painted from the bottom up."""

    def __init__(self, rng: Rng, more: Rng, shape: tuple[int, int], um_per_px: float) -> None:
        self.rng, self.more = rng, more  # the second one for what plain cells lack, so that these stay the same
        self.shape, self.um_per_px = shape, um_per_px
        self.nuclei, self.whites, self.reds, self.platelets, self.smudges = np.zeros((5, *shape), np.int32)
        self.dyes = np.zeros((*shape, 3))
        self.other = np.zeros((*shape, 3), np.float32)  # absorbance of what is no dye
        self.dyes[..., 0] = np.clip(0.03 + 0.015 * self.grain(shape, 4), 0, None)  # dried plasma

    def window(self, blob: Blob) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
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

    def add_red_cell(
        self, label: int, cell: RedCell, style: RedCellStyle = PLAIN, pressed: Sequence[Blob] = ()
    ) -> None:
        """Paint a red cell with its pale centre and its rim; pressed against others, its border is straight there."""
        window, x, y = self.window(cell.frame)
        distance, outwards = cell.distance(x, y, self.um_per_px)
        for other in pressed:
            apart = distance - (np.hypot(x - other.x, y - other.y) - other.radius)
            distance = np.maximum(distance, apart / 2 + 0.1)
            outwards = np.maximum(outwards, 1 + distance / cell.body.radius)
        depth, width = self.rng.uniform(*style.pallor), self.rng.normal(style.pallor_width, 0.07)
        if cell.form in ("spherocyte", "sickle", "fragment"):
            depth = 0
        pale = cell.across_slit(x, y) if cell.form == "slit" else outwards
        pallor = depth / (1 + np.exp((pale - width) / 0.08))
        if cell.form == "target":
            pallor -= 0.9 * depth * np.exp(-((outwards / (0.5 * width)) ** 2))
        rim = style.rim * np.exp(-(((outwards - 0.85) / 0.12) ** 2))
        thickness = self.rng.normal(0.85, style.density_spread) * (1 - pallor + rim)
        covered = self.covered(distance)
        self.dyes[window][..., 0] += covered * thickness
        if style.inclusions or style.blueness:
            self.dyes[window] += covered[..., None] * details.red_cell_contents(self.more, style, cell.body, x, y)
        if style.refractile:
            self.other[window] += details.refraction(self.more, style.refractile, outwards)[..., None]
        self.reds[window][distance < 0] = label

    def add_platelet(self, label: int, platelet: Blob, amount: float = 1) -> None:
        """Paint a platelet with its granules; the amount is that of dye relative to a usual one."""
        window, x, y = self.window(platelet)
        distance = platelet.distance(x, y)
        granules = np.clip(0.6 + 0.25 * self.grain(x.shape, 0.2), 0, 1) * np.clip(-2 * distance, 0, 1)
        dyes = np.stack([np.zeros_like(x), granules, np.full_like(x, 0.35)], axis=-1)
        self.dyes[window] += self.covered(distance)[..., None] * (amount * dyes)
        self.platelets[window][distance < 0] = label
        self.smudges[window][distance < 0] = 0

    def add_white_cell(
        self, label: int, cell: WhiteCell, look: WhiteLook = PLAIN_LOOK, pressed: Sequence[Blob] = ()
    ) -> None:
        """Paint a white cell over everything below it; where it is pressed against others, the border is straight."""
        window, x, y = self.window(cell.body)
        distance, to_nucleus = cell.body.distance(x, y), cell.nucleus_distance(x, y)
        if look.ragged:
            distance = distance + look.ragged * self.grain(x.shape, 0.5)
            to_nucleus = np.maximum(to_nucleus, distance + 0.2)
        for other in pressed:
            distance = np.maximum(distance, (distance - other.distance(x, y)) / 2)
            to_nucleus = np.maximum(to_nucleus, distance + 0.2)
        kind = KINDS[cell.kind]
        amount, contrast, grain_um = kind.chromatin
        clumps = self.grain(x.shape, grain_um) + 0.7 * self.grain(x.shape, 3 * grain_um)
        membrane = 0.15 * np.exp(-((to_nucleus / 0.4) ** 2))
        chromatin = look.chromatin * amount * (1 + look.contrast * contrast * clumps + membrane)
        for nucleolus in cell.nucleoli:
            chromatin *= 1 - 0.35 / (1 + np.exp(nucleolus.distance(x, y) / 0.15))
        # Denser towards the edge.
        body_texture = 1 + look.roughness * self.grain(x.shape, 0.25) + look.edge * np.exp(distance)
        if look.halo:
            body_texture *= 1 - look.halo * np.exp(-((to_nucleus / 0.8) ** 2))
        body, nucleus = self.covered(distance)[..., None], self.covered(to_nucleus)[..., None]
        filling = (1 - nucleus) * body_texture[..., None] * (np.array(kind.cytoplasm) * look.cytoplasm)
        if look is not PLAIN_LOOK:
            chromatin *= details.folds(self.more, cell.lobes[0], x, y, int(self.more.integers(3)))
        filling[..., 1] += nucleus[..., 0] * chromatin
        filling *= self.rng.normal(1, 0.06)
        if kind.granule_cover:
            seen = details.granules(kind, self.grain, x.shape)[..., None]
            seen *= 1 if kind.granules_over_nucleus else 1 - nucleus
            filling += seen * kind.granules
        if kind.vacuoles:
            count = int(self.more.integers(kind.vacuoles + 1))
            filling *= 1 - 0.85 * details.vacuoles(self.more, cell, x, y, count)[..., None]
        below = self.dyes[window]
        self.dyes[window] = (1 - body) * below + body * np.clip(filling + look.ghost * (1 - nucleus) * below, 0, None)
        self.other[window] *= 1 - body
        if kind.granule_cover:
            self.other[window] += body * seen * kind.granule_tint

        inside = distance < 0
        self.whites[window][inside] = label
        self.nuclei[window][inside] = np.where(to_nucleus[inside] < 0, label, 0)
        self.reds[window][inside] = self.platelets[window][inside] = self.smudges[window][inside] = 0

"""Painting of a rendered smear: amounts of dye and labels, cell by cell."""

from __future__ import annotations

import cv2
import numpy as np

from leuko.images.synthetic.layout import KINDS, Blob, Rng, WhiteCell
from leuko.images.synthetic.red_forms import PLAIN, RedCell, RedCellStyle


class Canvas:
    """Dyes (H × W × 3) and labels (H × W) of a field that is painted from the bottom up."""

    def __init__(self, rng: Rng, shape: tuple[int, int], um_per_px: float) -> None:
        self.rng, self.shape, self.um_per_px = rng, shape, um_per_px
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

    def add_red_cell(self, label: int, cell: RedCell, style: RedCellStyle = PLAIN) -> None:
        """Paint a red cell with its pale centre and its rim."""
        window, x, y = self.window(cell.frame)
        distance, outwards = cell.distance(x, y, self.um_per_px)
        depth, width = self.rng.uniform(*style.pallor), self.rng.normal(style.pallor_width, 0.07)
        if cell.form in ("spherocyte", "sickle", "fragment"):
            depth = 0
        pallor = depth / (1 + np.exp((outwards - width) / 0.08))
        if cell.form == "target":
            pallor -= 0.9 * depth * np.exp(-((outwards / (0.5 * width)) ** 2))
        rim = style.rim * np.exp(-(((outwards - 0.85) / 0.12) ** 2))
        thickness = self.rng.normal(0.85, style.density_spread) * (1 - pallor + rim)
        self.dyes[window][..., 0] += self.covered(distance) * thickness
        self.reds[window][distance < 0] = label

    def add_platelet(self, label: int, platelet: Blob) -> None:
        """Paint a platelet with its granules."""
        window, x, y = self.window(platelet)
        distance = platelet.distance(x, y)
        granules = np.clip(0.6 + 0.25 * self.grain(x.shape, 0.2), 0, 1) * np.clip(-2 * distance, 0, 1)
        dyes = np.stack([np.zeros_like(x), granules, np.full_like(x, 0.35)], axis=-1)
        self.dyes[window] += self.covered(distance)[..., None] * dyes
        self.platelets[window][distance < 0] = label

    def add_white_cell(self, label: int, cell: WhiteCell) -> None:
        """Paint a white cell over everything below it."""
        window, x, y = self.window(cell.body)
        distance, to_nucleus = cell.body.distance(x, y), cell.nucleus_distance(x, y)
        amount, contrast, grain_um = KINDS[cell.kind].chromatin
        clumps = self.grain(x.shape, grain_um) + 0.7 * self.grain(x.shape, 3 * grain_um)
        membrane = 0.15 * np.exp(-((to_nucleus / 0.4) ** 2))
        chromatin = amount * (1 + contrast * clumps + membrane)
        for nucleolus in cell.nucleoli:
            chromatin *= 1 - 0.35 / (1 + np.exp(nucleolus.distance(x, y) / 0.15))
        granules = 1 + 0.2 * self.grain(x.shape, 0.25) + 0.4 * np.exp(distance)  # denser towards the edge
        body, nucleus = self.covered(distance)[..., None], self.covered(to_nucleus)[..., None]
        filling = (1 - nucleus) * granules[..., None] * KINDS[cell.kind].cytoplasm
        filling[..., 1] += nucleus[..., 0] * chromatin
        filling *= self.rng.normal(1, 0.06)
        self.dyes[window] = (1 - body) * self.dyes[window] + body * np.clip(filling, 0, None)
        self.other[window] *= 1 - body

        inside = distance < 0
        self.whites[window][inside] = label
        self.nuclei[window][inside] = np.where(to_nucleus[inside] < 0, label, 0)
        self.reds[window][inside] = self.platelets[window][inside] = self.smudges[window][inside] = 0

"""The stain of a smear as a profile: its background, its colours, and its two dyes.

Light passes through glass and dye. The empty background shows the lamp. Relative to it, dyes absorb light, and their
optical densities add up (Ruifrok & Johnston, "Quantification of histochemical staining by color deconvolution", 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True)
class StainParameters:
    """How the profile of a stain is measured.

    Attributes:
        background_quantile: of a channel, taken as background; above lie reflections.
        min_density: optical density, of the channel that absorbs most, from which a pixel is dyed.
        sample_px: pixels, about, that an image is measured by; more change nothing.
        min_dyed_px: of the sample; with fewer the dyes cannot be measured.
        margin: of the range of profiles, by which a profile may lie outside and is still in range,
        min_margin: but at least so many grey levels or units of CIELAB.
        extreme_percentile: of the directions of density that is a pure dye (Macenko et al. 2009).
        min_angle: degrees between two dyes, below which an image shows only one.
    """

    background_quantile: float = 0.95
    min_density: float = 0.12
    sample_px: int = 10_000
    min_dyed_px: int = 200
    margin: float = 0.5
    min_margin: float = 5.0
    extreme_percentile: float = 1.0
    min_angle: float = 8.0


PARAMETERS = StainParameters()
# Dyes of nuclei and of red cells: medians over 160 images of four laboratories; rows of length 1.
ROMANOWSKY = np.array([[0.49, 0.86, 0.12], [0.53, 0.66, 0.53]])


@dataclass(frozen=True)
class StainProfile:
    """The stain of a smear, or the typical stain of a laboratory.

    Attributes:
        background: float, 3: RGB of the empty background, 1 to 255.
        mean: float, 3: mean colour of dyed pixels, in CIELAB with the background as white.
        spread: float, 3: standard deviation of the same.
        dyes: float, 2 × 3: optical densities in R, G, B of the nuclei's dye and of the other; rows of length 1.
        strength: float, 2: 99th percentile of each dye's amount.
    """

    background: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    dyes: np.ndarray
    strength: np.ndarray

    @classmethod
    def from_image(cls, image: np.ndarray) -> StainProfile:
        """Measure an image, uint8, H × W × 3, RGB; one without dye gets a pale Romanowsky stain."""
        pixels = _sample(image)
        background = np.maximum(np.quantile(pixels, PARAMETERS.background_quantile, axis=0), 1.0).astype(float)
        density = optical_density(pixels, background)
        dyed = reduce(np.maximum, density.T) > PARAMETERS.min_density
        if dyed.sum() < PARAMETERS.min_dyed_px:
            pale_mean, pale_spread = np.array([80.0, 15.0, -8.0]), np.array([8.0, 6.0, 6.0])
            return cls(background, pale_mean, pale_spread, ROMANOWSKY, np.full(2, 0.3))
        lab = to_lab(pixels[dyed] / background)
        dyes = find_dyes(density[dyed])
        amounts = np.maximum(density[dyed] @ np.linalg.pinv(dyes), 0)
        strength = np.maximum(np.percentile(amounts, 99, axis=0), 0.05)
        return cls(background, np.minimum(lab.mean(axis=0), 97), np.maximum(lab.std(axis=0), 1.0), dyes, strength)

    @classmethod
    def median(cls, profiles: Sequence[StainProfile]) -> StainProfile:
        """The median of several profiles."""
        background, mean, spread, dyes, strength = (
            np.median([getattr(profile, name) for profile in profiles], axis=0)
            for name in ("background", "mean", "spread", "dyes", "strength")
        )
        return cls(background, mean, spread, _unit_rows(dyes), strength)

    def colours(self) -> np.ndarray:
        """Background, mean and spread: float, 9."""
        return np.concatenate([self.background, self.mean, self.spread])

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`, where the background is called `glass`."""
        return {
            "glass": _rounded(self.background),
            "mean": _rounded(self.mean),
            "spread": _rounded(self.spread),
            "dyes": _rounded(self.dyes),
            "strength": _rounded(self.strength),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> StainProfile:
        """Read what `as_json` wrote."""
        keys = ("glass", "mean", "spread", "dyes", "strength")
        background, mean, spread, dyes, strength = (np.asarray(stored[key], dtype=float) for key in keys)
        return cls(background, mean, spread, dyes, strength)


@dataclass(frozen=True)
class StainRange:
    """The range of stains in a set of images, by background, mean and spread.

    Attributes:
        low: float, 9: lower bounds of `StainProfile.colours`.
        high: float, 9: upper bounds.
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def from_profiles(cls, profiles: Sequence[StainProfile]) -> StainRange:
        """The range of several profiles, with a margin."""
        low, high = np.percentile([profile.colours() for profile in profiles], [1, 99], axis=0)
        margin = np.maximum(PARAMETERS.margin * (high - low), PARAMETERS.min_margin)
        return cls(low - margin, high + margin)

    def contains(self, profile: StainProfile) -> bool:
        """Whether a profile lies in the range."""
        colours = profile.colours()
        return bool(((colours >= self.low) & (colours <= self.high)).all())

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`."""
        return {"low": _rounded(self.low), "high": _rounded(self.high)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> StainRange:
        """Read what `as_json` wrote."""
        return cls(np.asarray(stored["low"], dtype=float), np.asarray(stored["high"], dtype=float))


def find_dyes(density: np.ndarray) -> np.ndarray:
    """The two dyes whose mixtures explain optical densities (Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250).

    Densities lie in the plane of their two largest principal directions. Its extreme directions are the pure dyes.

    Args:
        density: float, N × 3, of dyed pixels, in R, G, B.

    Returns:
        float, 2 × 3, rows of length 1: first the dye of the nuclei, which transmits blue. `ROMANOWSKY` where only one
        dye is visible.
    """
    _, vectors = np.linalg.eigh(density.T @ density)
    plane = vectors[:, 1:]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
    coordinates = density @ plane
    angle = np.arctan2(coordinates[:, 0], coordinates[:, 1])
    low, high = np.percentile(angle, [PARAMETERS.extreme_percentile, 100 - PARAMETERS.extreme_percentile])
    dyes = np.array([[np.sin(a), np.cos(a)] for a in (low, high)]) @ plane.T
    dyes = _unit_rows(np.maximum(dyes, 0.01))  # a dye never adds light
    if dyes[0] @ dyes[1] > np.cos(np.radians(PARAMETERS.min_angle)):
        return ROMANOWSKY
    return dyes if dyes[0, 2] < dyes[1, 2] else dyes[::-1]


def optical_density(pixels: np.ndarray, background: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Decadic optical densities relative to the background, … × 3."""
    return np.maximum(-np.log10((pixels + 1) / (background + 1)), floor)


def to_lab(transmittance: np.ndarray) -> np.ndarray:
    """CIELAB of light relative to white, float32, … × 3."""
    shape = transmittance.shape
    return cv2.cvtColor(transmittance.reshape(-1, 1, 3).astype(np.float32), cv2.COLOR_RGB2LAB).reshape(shape)


def _sample(image: np.ndarray) -> np.ndarray:
    """Evenly spread pixels of a slightly smoothed image, float32, N × 3."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    step = max(1, round((image.shape[0] * image.shape[1] / PARAMETERS.sample_px) ** 0.5))
    return smooth[::step, ::step].reshape(-1, 3).astype(np.float32)


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _rounded(values: np.ndarray) -> list[Any]:
    return np.round(values, 4).tolist()

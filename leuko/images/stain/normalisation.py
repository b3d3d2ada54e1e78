"""Stain normalisation: the colours of a smear are changed to those of a target, and its shapes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal

import cv2
import numpy as np

from leuko.images.stain.profile import PARAMETERS, StainProfile, StainRange, optical_density, to_lab

Method = Literal["reinhard", "macenko"]
CONTRAST_CHANGE = (0.4, 2.5)  # lowest and highest factor; beyond, noise would become structure, or structure vanish


@dataclass(frozen=True)
class StainNormaliser:
    """Gives images one stain, in training and in serving alike.

    Attributes:
        method: `reinhard` (`reinhard_normalise`) or `macenko` (`macenko_normalise`).
        target: the stain that images get.
        accepted: the stains that images may keep; None: every image gets the target.
    """

    method: Method
    target: StainProfile
    accepted: StainRange | None = None

    @classmethod
    def fit(cls, method: Method, profiles: Sequence[StainProfile], keep_similar: bool = False) -> StainNormaliser:
        """Take the median stain of training images as the target.

        Args:
            method: of normalisation.
            profiles: of the training images.
            keep_similar: whether images whose stain lies in the range of the training images keep it.
        """
        return cls(method, StainProfile.median(profiles), StainRange.from_profiles(profiles) if keep_similar else None)

    def transform(self, image: np.ndarray) -> np.ndarray:
        """The image, uint8, H × W × 3, RGB, in the target's stain, or unchanged if its own stain is accepted."""
        source = StainProfile.from_image(image)
        if self.accepted and self.accepted.contains(source):
            return image
        normalise = reinhard_normalise if self.method == "reinhard" else macenko_normalise
        return normalise(image, self.target, source)

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`."""
        return {
            "method": self.method,
            "look": self.target.as_json(),
            "known": self.accepted and self.accepted.as_json(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> StainNormaliser:
        """Read what `as_json` wrote.

        Raises:
            ValueError: the method is unknown.
        """
        if stored["method"] not in ("reinhard", "macenko"):
            raise ValueError(f"unknown stain normalisation {stored['method']!r}; use reinhard or macenko")
        accepted = stored.get("known")
        target = StainProfile.from_json(stored["look"])
        return cls(stored["method"], target, StainRange.from_json(accepted) if accepted else None)


def reinhard_normalise(image: np.ndarray, target: StainProfile, source: StainProfile | None = None) -> np.ndarray:
    """Give an image the mean colour and the spread of a target stain.

    Mean and spread of CIELAB are matched after Reinhard et al., "Color transfer between images", 2001,
    doi:10.1109/38.946629, but over dyed pixels only, and with the background as white: the share of background in a
    field has no effect, and the background becomes that of the target.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        target: of one reference image (`StainProfile.from_image`), or of many (`StainProfile.median`).
        source: the image's own profile; None: it is measured.

    Returns:
        uint8, H × W × 3, RGB.
    """
    source = source or StainProfile.from_image(image)
    levels = np.clip(np.arange(256)[:, None] / source.background, 1 / 255, 1.25)
    transmittance = cv2.LUT(image, levels[None].astype(np.float32))
    lab = to_lab(transmittance)
    # All in 32 bits, which takes half the time.
    mean, target_mean = source.mean.astype(np.float32), target.mean.astype(np.float32)
    factor = np.clip(target.spread / source.spread, *CONTRAST_CHANGE).astype(np.float32)
    matched = (lab - mean) * factor + target_mean
    # What is paler than the mean must not become paler than the background: red cells would vanish.
    pale = target_mean[0] + (lab[..., 0] - mean[0]) * ((100 - target_mean[0]) / (100 - mean[0]))
    matched[..., 0] = np.where(lab[..., 0] > mean[0], pale, matched[..., 0])
    # Background passes gradually into dye; a sharp border would draw rings around cells.
    least = reduce(np.minimum, cv2.split(transmittance))  # NumPy's minimum along the last axis is ten times slower
    dyed = np.clip(np.log10(least) * np.float32(-1 / PARAMETERS.min_density), 0, 1)[..., None]
    light = cv2.cvtColor(lab + dyed * (matched - lab), cv2.COLOR_LAB2RGB)
    return _to_bytes(light * target.background.astype(np.float32))


def macenko_normalise(image: np.ndarray, target: StainProfile, source: StainProfile | None = None) -> np.ndarray:
    """Give an image the dyes of a target stain.

    Macenko et al., "A method for normalizing histology slides for quantitative analysis", 2009,
    doi:10.1109/ISBI.2009.5193250: the amounts of the image's own two dyes are scaled and shown in the target's dyes.
    What neither dye explains is kept.

    Args and result as of `reinhard_normalise`.
    """
    source = source or StainProfile.from_image(image)
    factor = np.clip(target.strength / source.strength, *CONTRAST_CHANGE)
    return recolour_dyes(image, source, replace(target, dyes=target.dyes * factor[:, None]))


def recolour_dyes(image: np.ndarray, source: StainProfile, target: StainProfile) -> np.ndarray:
    """Show the amounts of an image's dyes in other dyes, on another background; longer rows mean stronger dyes.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        source: its profile.
        target: its `dyes` and `background` are used.

    Returns:
        uint8, H × W × 3, RGB.
    """
    change = np.linalg.inv(_basis(source.dyes)) @ _basis(target.dyes)
    levels = np.repeat(np.arange(256.0)[:, None], 3, axis=1)
    table = optical_density(levels, source.background, floor=-0.1)[None].astype(np.float32)
    density = cv2.LUT(image, table)
    exponent = cv2.transform(
        density, -np.log(10) * change.T
    )  # NumPy's product of such thin matrices is 40 times slower
    return _to_bytes(np.exp(exponent) * target.background.astype(np.float32))


def _basis(dyes: np.ndarray) -> np.ndarray:
    """Both dyes and the direction at right angles to them; 3 × 3."""
    residual = np.cross(dyes[0], dyes[1])
    return np.vstack([dyes, residual / np.linalg.norm(residual)])


def _to_bytes(light: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)

"""From an image to a network's input, exactly as timm and transformers do it from `config.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from leuko.images import field_of_view
from leuko.images.stain_normalisation import StainNormaliser

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
MAX_INPUT = 4096  # pixels of a side


class CropError(ValueError):
    """A prescription under which part of a smear would not be seen."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input: the whole image, squashed to the input size, normalised.

    timm and transformers read all of it from `config.json`, but for `stain`, which `leuko.json` keeps.

    Attributes:
        size: (height, width) in pixels.
        interpolation: `bicubic` or `bilinear`, as Pillow does it.
        mean, std: of each channel, in the range 0 to 1.
        stain: the colours that every image is given first, or None.
    """

    size: tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    stain: StainNormaliser | None = None

    def as_timm(self) -> dict[str, Any]:
        """As timm and transformers read it from `config.json`."""
        return {
            "input_size": [3, *self.size],
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
            "crop_pct": 1.0,
            "crop_mode": "squash",
        }

    @classmethod
    def from_timm(cls, cfg: dict[str, Any]) -> Preprocessing:
        """Read what `as_timm` wrote.

        Raises:
            CropError: a crop is prescribed, which would hide part of a smear.
            ValueError: it is not what `as_timm` writes.
        """
        if cfg.get("crop_mode") != "squash" or cfg.get("crop_pct") != 1.0:
            raise CropError("it crops its images, and Deep Leuko needs a model that sees the whole image")
        how = cls(tuple(cfg["input_size"][1:]), cfg["interpolation"], tuple(cfg["mean"]), tuple(cfg["std"]))
        if len(how.size) != 2 or not all(isinstance(side, int) and 0 < side <= MAX_INPUT for side in how.size):
            raise ValueError(f"an input has two sides of 1 to {MAX_INPUT} pixels")
        if how.interpolation not in _RESAMPLING:
            raise ValueError(f"images are resized by {' or '.join(_RESAMPLING)}")
        return how


def to_input(image: np.ndarray, how: Preprocessing) -> np.ndarray:
    """The network's input for an image, as timm and transformers make it from `config.json`.

    They know nothing of a stain normalisation, nor of a disc seen through an eyepiece, of which nothing but the disc is
    shown to the network (`leuko.images.field_of_view.crop_to_field_of_view`); where there is one, it is for the caller of theirs to do.

    Args:
        image: uint8, H × W × 3, RGB; non-square images are squashed.
        how: size, interpolation, mean and standard deviation, stain.

    Returns:
        float32, 3 × height × width.
    """
    height, width = how.size
    resized = np.asarray(
        Image.fromarray(field_of_view.crop_to_field_of_view(image)).resize(
            (width, height), _RESAMPLING[how.interpolation]
        )
    )
    if how.stain:
        resized = how.stain.transform(resized)
    scaled = resized.astype(np.float32) / 255
    return np.ascontiguousarray(((scaled - np.float32(how.mean)) / np.float32(how.std)).transpose(2, 0, 1))

"""Preprocessing: from an image to a network's input, exactly as timm and transformers do it from `config.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from leuko.images import field_of_view
from leuko.images.stain.normalisation import StainNormaliser

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
MAX_INPUT = 4096  # pixels of a side


class CropError(ValueError):
    """Preprocessing that would cut off part of a smear."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input: the whole image, squashed to the input size, normalised.

    timm and transformers read it from `config.json`, except `stain`, which is in `leuko.json`.

    Attributes:
        size: (height, width) in pixels.
        interpolation: `bicubic` or `bilinear`, as Pillow does it.
        mean, std: of each channel, in the range 0 to 1.
        stain: normalises the colours of every image first; None: no stain normalisation.
    """

    size: tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    stain: StainNormaliser | None = None

    def as_timm(self) -> dict[str, Any]:
        """The fields in `config.json` that timm and transformers read."""
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
            CropError: images would be cropped, and part of a smear would be lost.
            ValueError: it is not what `as_timm` writes.
        """
        if cfg.get("crop_mode") != "squash" or cfg.get("crop_pct") != 1.0:
            raise CropError("it crops its images, and Deep Leuko needs a model that sees the whole image")
        size, mean, std = (tuple(cfg[key]) for key in ("input_size", "mean", "std"))
        preprocessing = cls(size[1:], cfg["interpolation"], mean, std)
        if len(preprocessing.size) != 2 or not all(
            isinstance(side, int) and 0 < side <= MAX_INPUT for side in preprocessing.size
        ):
            raise ValueError(f"an input has two sides of 1 to {MAX_INPUT} pixels")
        if preprocessing.interpolation not in _RESAMPLING:
            raise ValueError(f"images are resized by {' or '.join(_RESAMPLING)}")
        return preprocessing


def to_input(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The network's input for an image, as timm and transformers make it from `config.json`.

    timm and transformers do not normalise stains. They also do not cut out the disc seen through an eyepiece, which is
    all that the network sees here (`leuko.images.field_of_view.crop_to_field_of_view`). Programs that use them must do
    both beforehand.

    Args:
        image: uint8, H × W × 3, RGB; non-square images are squashed.
        preprocessing: size, interpolation, mean and standard deviation, stain.

    Returns:
        float32, 3 × height × width.
    """
    height, width = preprocessing.size
    visible = Image.fromarray(field_of_view.crop_to_field_of_view(image))
    resized = np.asarray(visible.resize((width, height), _RESAMPLING[preprocessing.interpolation]))
    if preprocessing.stain:
        resized = preprocessing.stain.transform(resized)
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return np.ascontiguousarray(((resized.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1))

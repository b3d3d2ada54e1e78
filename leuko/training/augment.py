"""Augmentation: what may change in a smear without changing what it shows."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms import v2

from leuko.images import scalebar

CAPTIONED = 0.5  # share of training images that get a scale bar, whatever their class
STAIN = 0.25  # largest change of a channel's absorbance


class Augmentation:
    """Random views of a training image.

    Captions are removed and drawn anew at random; the stain of each channel made stronger or weaker; cropped to 65 to
    100 % of the area with an aspect of 3:4 to 4:3 (scale, and the squash of non-square images); mirrored and turned by
    quarters, since a smear has no upright; brightness, contrast and saturation (light), now and then a little blur.

    All chance comes from torch's generator, which the Trainer seeds in every worker and epoch.
    """

    def __init__(self, size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self._views = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.65, 1.0), ratio=(3 / 4, 4 / 3), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.Lambda(lambda view: torch.rot90(view, int(torch.randint(4, ())), (1, 2))),
                v2.ColorJitter(brightness=0.15, contrast=0.15, saturation=0.3),
                v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.2))], p=0.2),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean, std),
            ]
        )

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        """A view of an image (uint8, H × W × 3, RGB): float32, 3 × height × width, normalised."""
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        image = scalebar.remove(image)
        image = restain(image, rng.uniform(1 - STAIN, 1 + STAIN, size=3))
        if rng.random() < CAPTIONED:
            image = scalebar.burn(image, rng)
        return self._views(torch.from_numpy(image.transpose(2, 0, 1).copy()))


def restain(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Multiply each channel's absorbance.

    Light through dye follows Beer and Lambert, so that k times the dye turns a transmission t into t^k
    (Ruifrok & Johnston 2001).

    Args:
        image: uint8, H × W × 3, RGB.
        strength: float, 3; 1 leaves a channel as it is.

    Returns:
        uint8, H × W × 3, RGB.
    """
    tables = (255 * (np.arange(256)[:, None] / 255) ** strength).round().astype(np.uint8)
    return np.stack([tables[image[..., c], c] for c in range(3)], axis=-1)

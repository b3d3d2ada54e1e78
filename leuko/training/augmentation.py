"""Augmentation: what may change in a smear without changing what it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import torch
from torchvision.transforms import v2

from leuko.images import scale_bar
from leuko.images.field_of_view import crop_to_field_of_view
from leuko.images.stain_normalisation import StainNormaliser, recolour_dyes
from leuko.images.stain_profile import StainProfile

Kind = Literal["none", "light", "stain", "mixed"]

CAPTIONED = 0.5  # share of training images that get a scale bar, whatever their class
STAIN = 0.25  # largest change of a channel's absorbance, in light augmentation
NEAR = 1 / 3  # share of light views in mixed augmentation; of the others,
SEEN_AS_FOREIGN = 1 / 2  # is normalised although its look is known
ROOM = 2  # sides of the network's input; larger images are first made as small

# Stain augmentation; wide enough to reach the four laboratories of the development images from any of them. Blur and
# noise are in light augmentation too.
AMOUNT = 1.6  # largest factor by which a dye gets stronger or weaker
TURN = 0.08  # standard deviation of a dye's colour, of length 1
LAMP = 0.7, 1.05  # brightness of the glass, and
TINT = 0.75, 1.0  # of each of its channels (white balance)
GAMMA = 1.35  # largest exponent of the camera's curve, or one through it
BLUR = 1.9  # largest standard deviation, in pixels of the input
NOISE = 12.0  # largest standard deviation, in grey levels
QUALITY = 30, 95  # of JPEG
BORDER = 0.2  # of each side, largest; mirrored, so that the field looks farther away


class Augmentation:
    """Random views of a training image, of one of four kinds.

    All kinds: captions are removed and drawn anew at random, so that they tell nothing.

    `none`: nothing else.

    `light`: the stain of each channel made stronger or weaker; cropped to 65 to 100 % of the area with an aspect of 3:4
    to 4:3 (scale, and the squash of non-square images); mirrored and turned by quarters, since a smear has no upright;
    brightness, contrast and saturation (light), now and then blur and noise.

    `stain`: another laboratory. Both dyes of the image, estimated from it, change in amount and colour (Macenko et al.
    2009; jitter in stain space after Tellez et al., "Quantifying the effects of data augmentation and stain color
    normalization", 2019, arXiv:1902.06543); lamp and white balance, gamma, blur, noise and JPEG compression; crops of
    35 to 100 % of the area of a field that may be mirrored beyond its borders (scale); mirrored and turned.

    `mixed`: the one or the other, a third `light` and the rest `stain`, so that a network may use the colours it knows
    and does not depend on them. Where similar stains are kept (`StainNormaliser.accepted`), half of the latter are normalised
    all the same: that is how images of other laboratories will be seen.

    All chance comes from torch's generator, which the Trainer seeds in every worker and epoch.

    Args:
        size: (height, width) of the network's input.
        mean, std: by which it is normalised, of values in 0 to 1.
        kind: `none`, `light`, `stain` or `mixed`.
        stain: the stain normalisation that comes before everything else, if any.
    """

    def __init__(
        self,
        size: tuple[int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        kind: Kind = "light",
        stain: StainNormaliser | None = None,
    ) -> None:
        self._size, self._kind, self._stain = size, kind, stain
        near, far = (v2.RandomResizedCrop(size, scale=(least, 1.0), ratio=(3 / 4, 4 / 3)) for least in (0.65, 0.35))
        blur, noise, jpeg = v2.GaussianBlur(9, (0.3, BLUR)), v2.Lambda(_noise), v2.JPEG(QUALITY)
        turn = v2.RandomHorizontalFlip(), v2.Lambda(_quarters)
        views = {
            "none": [v2.Resize(size, v2.InterpolationMode.BICUBIC)],
            "light": [
                near,
                *turn,
                v2.ColorJitter(brightness=0.15, contrast=0.15, saturation=0.3),
                v2.RandomApply([blur], p=0.25),
                v2.RandomApply([noise], p=0.25),
            ],
            "stain": [
                far,
                *turn,
                v2.RandomApply([blur], p=0.4),
                v2.RandomApply([noise], p=0.4),
                v2.RandomApply([jpeg], p=0.5),
            ],
        }
        end = v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)
        self._views = {name: v2.Compose([*steps, *end]) for name, steps in views.items()}

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        """A view of an image (uint8, H × W × 3, RGB): float32, 3 × height × width, normalised."""
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        kind, stain = self._kind, self._stain
        if kind == "mixed":
            kind = "light" if rng.random() < NEAR else "stain"
            if kind == "stain" and rng.random() < SEEN_AS_FOREIGN:
                stain = stain and replace(stain, accepted=None)
        image = scale_bar.remove(within(crop_to_field_of_view(image), self._size))
        if stain:
            image = stain.transform(image)
        if kind == "light":
            image = restain(image, rng.uniform(1 - STAIN, 1 + STAIN, size=3))
        elif kind == "stain":
            image = _farther(other_laboratory(image, rng), rng)
        if rng.random() < CAPTIONED:
            image = scale_bar.burn(image, rng)
        return self._views[kind](torch.from_numpy(image.transpose(2, 0, 1).copy()))


def other_laboratory(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image as another laboratory might have stained, lit and taken it.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        rng: source of all choices.

    Returns:
        uint8, H × W × 3, RGB.
    """
    own = StainProfile.from_image(image)
    dyes = np.maximum(own.dyes + rng.normal(0, TURN, (2, 3)), 0.01)
    dyes *= AMOUNT ** rng.uniform(-1, 1, (2, 1)) / np.linalg.norm(dyes, axis=1, keepdims=True)
    glass = 255 * np.minimum(rng.uniform(*LAMP) * rng.uniform(*TINT, size=3) / TINT[1], 1)
    image = recolour_dyes(image, own, StainProfile(glass, own.mean, own.spread, dyes, own.strength))
    curve = GAMMA ** rng.uniform(-1, 1)
    return cv2.LUT(image, (255 * (np.arange(256) / 255) ** curve).round().astype(np.uint8))


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


def within(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image, not much larger than the network sees it: everything that follows costs by the pixel."""
    shrink = ROOM * max(size) / min(image.shape[:2])
    return cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else image


def _farther(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Now and then the field goes on beyond its borders, in the mirror."""
    if rng.random() < 0.5:
        return image
    y, x = (int(side * rng.uniform(0, BORDER)) for side in image.shape[:2])
    return cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_REFLECT_101)


def _quarters(view: torch.Tensor) -> torch.Tensor:  # no lambda: processes that load images may have to be sent it
    return torch.rot90(view, int(torch.randint(4, ())), (1, 2))


def _noise(view: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(view.shape) * (torch.rand(()) * NOISE)
    return (view + noise).round().clamp(0, 255).to(torch.uint8)

"""Random augmentation: changes to a smear image that do not change its class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from leuko.images import scale_bar
from leuko.images.field_of_view import crop_to_field_of_view
from leuko.images.stain.normalisation import StainNormaliser, recolour_dyes
from leuko.images.stain.profile import StainProfile

Kind = Literal["none", "light", "stain", "mixed"]

SCALE_BAR_PROBABILITY = 0.5  # for every class alike, so that a scale bar carries no information about the class
WORKING_SIZE = 2  # sides of the network's input; larger images are reduced to it first, which saves time
ASPECT_RATIO = 3 / 4, 4 / 3  # width to height of a crop: cameras differ, and the network's input is square
CROP_TRIES = 10  # before a crop that does not fit the image becomes a central one

# `light` augmentation
LIGHT_CROP = 0.65, 1.0  # share of the area
LIGHT_STAIN = 0.25  # largest change of a channel's absorbance
BRIGHTNESS = 0.15  # largest change of the factor 1
CONTRAST = 0.15
SATURATION = 0.3
LIGHT_DEGRADATION = 0.25  # probability of blur, and of noise

# `stain` augmentation; wide enough to reach the four laboratories of the development images from any of them
STAIN_CROP = 0.35, 1.0
DYE_AMOUNT = 1.6  # largest factor by which a dye gets stronger or weaker
DYE_COLOUR = 0.08  # standard deviation of the change of a dye's colour, a vector of length 1
LAMP_BRIGHTNESS = 0.7, 1.05  # of the background, and
WHITE_BALANCE = 0.75, 1.0  # of each of its channels
GAMMA = 1.35  # largest exponent of the camera's response, or its inverse
BORDER_PROBABILITY = 0.5
BORDER = 0.2  # of each side, largest; mirrored beyond the image's border, so that cells appear smaller
STAIN_DEGRADATION = 0.4
JPEG_PROBABILITY = 0.5
JPEG_QUALITY = 30, 95

BLUR = 0.3, 1.9  # standard deviation in pixels of the input
BLUR_KERNEL = 9  # pixels
NOISE = 12.0  # largest standard deviation in grey levels

# `mixed` augmentation
MIXED_LIGHT = 1 / 3  # probability of a `light` view
MIXED_NORMALISED = 1 / 2  # probability that a `stain` view is normalised even if its stain is a known one

_GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """Random views of an image, of one of four kinds.

    All kinds: scale bars are removed and drawn anew at random, so that they tell nothing about the class.

    `none`: nothing else.

    `light`: the absorbance of each channel is scaled; crops of 65 to 100 % of the area with an aspect ratio of 3:4 to
    4:3; mirrored and turned by quarters, since a smear has no upright; brightness, contrast and saturation change
    slightly; sometimes blur and noise.

    `stain`: another laboratory. Both dyes of the image, estimated from it, change in amount and colour (Macenko et al.
    2009; jitter in stain space after Tellez et al., "Quantifying the effects of data augmentation and stain color
    normalization", 2019, arXiv:1902.06543); lamp and white balance, gamma, blur, noise and JPEG compression; crops of
    35 to 100 % of the area of an image that may be mirrored beyond its borders; mirrored and turned by quarters.

    `mixed`: one third `light`, the rest `stain`, so that a network can use the colours that it knows but does not
    depend on them. If known stains are exempt from normalisation (`StainNormaliser.accepted`), half of the `stain`
    views are normalised nevertheless, as images of other laboratories will be.

    Attributes:
        size: (height, width) of the network's input.
        mean, std: of each channel, for values in 0 to 1; the views are normalised by them.
        kind: `none`, `light`, `stain` or `mixed`.
        stain: the stain normalisation to apply first, or None.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: Kind = "light"
    stain: StainNormaliser | None = None

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random view of an image (uint8, H × W × 3, RGB): float32, 3 × height × width, normalised."""
        kind, stain = self.kind, self.stain
        if kind == "mixed":
            kind = "light" if rng.random() < MIXED_LIGHT else "stain"
            if kind == "stain" and rng.random() < MIXED_NORMALISED:
                stain = stain and replace(stain, accepted=None)
        image = scale_bar.remove(reduce_size(crop_to_field_of_view(image), self.size))
        if stain:
            image = stain.transform(image)
        if kind == "light":
            image = restain(image, rng.uniform(1 - LIGHT_STAIN, 1 + LIGHT_STAIN, size=3))
        elif kind == "stain":
            image = _extend_borders(other_laboratory(image, rng), rng)
        if rng.random() < SCALE_BAR_PROBABILITY:
            image = scale_bar.burn(image, rng)
        if kind == "none":
            view = _resize(image, self.size, Image.Resampling.BICUBIC)
        elif kind == "light":
            view = self._light_view(image, rng)
        else:
            view = self._stain_view(image, rng)
        scaled = view.astype(np.float32) / 255
        normalised = (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def _light_view(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        view = _turn(random_crop(image, self.size, LIGHT_CROP, rng), rng)
        return _degrade(_jitter_colours(view, rng), LIGHT_DEGRADATION, rng)

    def _stain_view(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        view = _turn(random_crop(image, self.size, STAIN_CROP, rng), rng)
        view = _degrade(view, STAIN_DEGRADATION, rng)
        return _compress(view, rng) if rng.random() < JPEG_PROBABILITY else view


def other_laboratory(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image as another laboratory might have stained, lit and photographed it.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        rng: source of all random choices.

    Returns:
        uint8, H × W × 3, RGB.
    """
    profile = StainProfile.from_image(image)
    dyes = np.maximum(profile.dyes + rng.normal(0, DYE_COLOUR, (2, 3)), 0.01)
    dyes *= DYE_AMOUNT ** rng.uniform(-1, 1, (2, 1)) / np.linalg.norm(dyes, axis=1, keepdims=True)
    background = np.minimum(rng.uniform(*LAMP_BRIGHTNESS) * rng.uniform(*WHITE_BALANCE, size=3) / WHITE_BALANCE[1], 1)
    image = recolour_dyes(image, profile, replace(profile, background=255 * background, dyes=dyes))
    exponent = GAMMA ** rng.uniform(-1, 1)
    return cv2.LUT(image, (255 * (np.arange(256) / 255) ** exponent).round().astype(np.uint8))


def restain(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Scale each channel's absorbance.

    By the law of Beer and Lambert, k times as much dye turns a transmittance t into t^k (Ruifrok & Johnston 2001).

    Args:
        image: uint8, H × W × 3, RGB.
        strength: float, 3; 1 leaves a channel as it is.

    Returns:
        uint8, H × W × 3, RGB.
    """
    tables = (255 * (np.arange(256)[:, None] / 255) ** strength).round().astype(np.uint8)
    return np.stack([tables[image[..., c], c] for c in range(3)], axis=-1)


def reduce_size(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Reduce an image that is more than `WORKING_SIZE` times as large as the network's input."""
    shrink = WORKING_SIZE * max(size) / min(image.shape[:2])
    return cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else image


def random_crop(
    image: np.ndarray, size: tuple[int, int], area: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """A random part of an image, resized; as `RandomResizedCrop` of torchvision (after Szegedy et al. 2015).

    Args:
        image: uint8, H × W × 3.
        size: (height, width) of the result.
        area: the smallest and the largest share of the image's area.
        rng: source of all random choices.

    Returns:
        uint8, height × width × 3.
    """
    y, x, height, width = _random_box(image.shape[0], image.shape[1], area, rng)
    return _resize(image[y : y + height, x : x + width], size, Image.Resampling.BILINEAR)


def _random_box(
    height: int, width: int, area: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop; if none fits, of the largest central one."""
    for _ in range(CROP_TRIES):
        pixels = height * width * rng.uniform(*area)
        ratio = np.exp(rng.uniform(*np.log(ASPECT_RATIO)))
        w, h = round((pixels * ratio) ** 0.5), round((pixels / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    ratio = float(np.clip(width / height, *ASPECT_RATIO))
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    return (height - h) // 2, (width - w) // 2, h, w


def _resize(image: np.ndarray, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), resampling))


def _extend_borders(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sometimes mirror the image beyond its borders."""
    if rng.random() >= BORDER_PROBABILITY:
        return image
    y, x = (int(side * rng.uniform(0, BORDER)) for side in image.shape[:2])
    return cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_REFLECT_101)


def _turn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror with probability 1/2, then turn by 0 to 3 quarters."""
    image = image[:, ::-1] if rng.random() < 0.5 else image
    return np.ascontiguousarray(np.rot90(image, int(rng.integers(4))))


def _jitter_colours(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast and saturation, in random order."""
    factors = [1 + rng.uniform(-most, most) for most in (BRIGHTNESS, CONTRAST, SATURATION)]
    for step in rng.permutation(3):
        grey = np.floor(image.astype(np.float32) @ _GREY)[..., None]
        other = (np.float32(0), grey.mean(), grey)[step]  # black, the mean grey, the grey image
        blended = factors[step] * image.astype(np.float32) + (1 - factors[step]) * other
        image = np.clip(blended, 0, 255).astype(np.uint8)
    return image


def _degrade(image: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Blur with some probability, and add noise with the same."""
    if rng.random() < probability:
        image = cv2.GaussianBlur(
            image, (BLUR_KERNEL, BLUR_KERNEL), rng.uniform(*BLUR), borderType=cv2.BORDER_REFLECT_101
        )
    if rng.random() < probability:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, NOISE))
        image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    return image


def _compress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Encode as JPEG and decode again."""
    quality = int(rng.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1))
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None, "it was encoded a line above"
    return np.ascontiguousarray(decoded[..., ::-1])

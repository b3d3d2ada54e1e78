"""Whether an image is a photograph of a stained smear: its colours are those of blood dyes, and it is no drawing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.images.quality.image_statistics import neighbour_steps, quantiles


@dataclass(frozen=True)
class SmearParameters:
    """Bounds of a stained smear; each lies outside nearly all images of nine sources, as `QualityParameters` says.

    Attributes:
        min_lamp_balance: weakest channel of the lamp over its strongest: it is white, or yellow at most.
        max_foreign: share of pixels in colours that blood dyes do not make.
        min_stained: share of pixels in the colour of the dyes; the rest is background. Pale and sparse fields have
            less, and are checked by the pixels that absorb most green:
        absorbing_density: their smallest density of green,
        absorbing_share: or, if more, this share of the highest density;
        min_dye_like: the share of them that absorb a tenth more green than blue.
        negative_stained: share of stained pixels, and
        negative_depth: depth of the median grey below white (share of the contrast), that only negatives have together.
        max_flat: share of pixels exactly as bright as their neighbours; drawings have more.
        max_steep: share of steps of over 30 % of the contrast between neighbours; noise has more.
        print_flat: share of flat pixels, and
        print_steep: of steep steps, that only print and screens have together.
        max_edge_ratio: strongest steps over typical ones; hard lines on smooth ground have more.
        clipped_grey: grey level of a background that is too bright for the camera.
        min_clipped: share of such pixels from which on they are left out: they are flat in smears too.
        mostly_clipped: share of such pixels from which little but nuclei is left; hard edges then mean nothing, and
        max_steep_clipped: is the bound for steep steps: thin print exceeds it, 99 of 100 such smears do not.
    """

    min_lamp_balance: float = 0.31
    max_foreign: float = 0.07
    min_stained: float = 0.003
    absorbing_density: float = 0.03
    absorbing_share: float = 0.5
    min_dye_like: float = 0.3
    negative_stained: float = 0.8
    negative_depth: float = 0.6
    max_flat: float = 0.78
    max_steep: float = 0.25
    print_flat: float = 0.5
    print_steep: float = 0.02
    max_edge_ratio: float = 14
    clipped_grey: int = 250
    min_clipped: float = 0.05
    mostly_clipped: float = 0.6
    max_steep_clipped: float = 0.5


DEFAULTS = SmearParameters()


def is_stained_smear(
    image: np.ndarray, grey: np.ndarray, contrast: float, depth: float, parameters: SmearParameters = DEFAULTS
) -> bool:
    """Whether an image is a photograph of a stained smear.

    Args:
        image: uint8, H × W × 3, RGB.
        grey: uint8, H × W: the same in grey.
        contrast: grey levels between the brightest and the darkest pixels.
        depth: how far the median grey lies below the brightest, as a share of the contrast.
        parameters: the bounds.
    """
    return has_blood_dyes(image, depth, parameters) and not is_drawing_or_noise(grey, contrast, parameters)


def has_blood_dyes(image: np.ndarray, depth: float, parameters: SmearParameters = DEFAULTS) -> bool:
    """Whether light passed through blood dyes: a light background, and objects that absorb green more than blue.

    Densities are decadic, relative to the lamp. Nothing on a smear is opaque. Neither red cells nor nuclei transmit
    green better than the other channels, or red far worse, and dense objects never absorb blue most. In a negative
    nearly all seems stained, and is much darker than the brightest pixels. Arguments as of `is_stained_smear`.
    """
    smooth = cv2.split(cv2.GaussianBlur(image, (0, 0), 1.5)[::2, ::2])
    lamp = [quantiles(channel, 0.99)[0] for channel in smooth]
    if min(lamp) < parameters.min_lamp_balance * max(lamp):
        return False
    values = np.arange(1, 257, dtype=np.float32)
    red, green, blue = (
        np.asarray(cv2.LUT(channel, -np.log10(np.minimum(values / (light + 1), 1))))
        for channel, light in zip(smooth, lamp, strict=True)
    )
    foreign = (blue > green) & (red + green + blue > 0.6)  # yellow, brown, orange
    foreign |= green < np.minimum(red, blue) - 0.03  # green
    foreign |= red > green + 0.3  # cyan and pure blue
    foreign |= np.minimum(np.minimum(red, green), blue) > 0.5  # black
    if foreign.mean() > parameters.max_foreign:
        return False
    stained = ((green > 0.08) & (green > blue + 0.04)).mean()
    if stained >= parameters.min_stained:
        return not (stained > parameters.negative_stained and depth > parameters.negative_depth)
    highest = quantiles(green, 0.999)[0]
    absorbing = green > max(parameters.absorbing_density, parameters.absorbing_share * highest)
    return bool(absorbing.any() and (green > 1.1 * blue)[absorbing].mean() >= parameters.min_dye_like)


def is_drawing_or_noise(grey: np.ndarray, contrast: float, parameters: SmearParameters = DEFAULTS) -> bool:
    """Whether brightness changes in hard steps between flat areas, as in print and charts, or everywhere, as in noise.

    Args:
        grey: uint8, H × W.
        contrast: grey levels between the brightest and the darkest pixels.
        parameters: the bounds.
    """
    if min(grey.shape) < 2:
        return False
    step = neighbour_steps(grey)
    clipped = grey[:-1, :-1] >= parameters.clipped_grey
    bright = clipped.mean()
    if parameters.min_clipped < bright < 1:
        step = step[~clipped]
    typical, strong = quantiles(step, 0.9, 0.995)
    flat, steep = (step == 0).mean(), (step > 0.3 * contrast).mean()
    if flat > parameters.max_flat or (flat > parameters.print_flat and steep > parameters.print_steep):
        return True
    if bright > parameters.mostly_clipped:
        return bool(steep > parameters.max_steep_clipped)
    return bool(steep > parameters.max_steep or strong > parameters.max_edge_ratio * max(typical, 0.5))

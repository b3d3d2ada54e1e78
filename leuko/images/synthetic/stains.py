"""Stains of rendered smears: a few fixed ones, and random ones over the range that laboratories produce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Stain:
    """The colours of a stain: 8-bit RGB (1-255) of the empty background, and of one layer of each material on it."""

    background: RGB
    red_cell: RGB
    nucleus: RGB
    cytoplasm: RGB  # the deep blue one of a blast

    def transmit(self, dyes: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
        """Light, H × W × 3, 0-255, that passes dye amounts, H × W × 3: red cell, nucleus, cytoplasm.

        Args:
            dyes: amounts, H × W × 3, from 0.
            other: absorbance of what is no dye, H × W × 3 (RGB); negative where light is gathered.
        """
        absorbance = np.log(np.divide(self.background, [self.red_cell, self.nucleus, self.cytoplasm]))
        absorbed = dyes @ absorbance
        if other is not None:
            absorbed += other
        return self.background * np.exp(-absorbed)


STAINS: Mapping[str, Stain] = MappingProxyType(
    {
        "neutral": Stain((228, 225, 230), (186, 160, 166), (92, 58, 150), (128, 140, 200)),
        "pink": Stain((252, 227, 200), (203, 162, 163), (88, 44, 136), (138, 134, 176)),
        "blue": Stain((245, 252, 244), (162, 180, 215), (146, 112, 240), (135, 150, 232)),
    }
)

# Backgrounds as photographed: the level, the ranges of red, green and blue relative to it, and how often it is drawn.
_LAMPS = (
    ((215, 247), ((0.96, 1), (0.96, 1), (0.96, 1)), 0.24),  # white, well exposed
    ((250, 255), ((0.97, 1), (0.98, 1), (0.95, 1)), 0.14),  # overexposed
    ((242, 255), ((0.99, 1), (0.88, 0.95), (0.74, 0.87)), 0.16),  # warm white
    ((228, 252), ((0.98, 1), (0.82, 0.96), (0.4, 0.68)), 0.09),  # yellow or brown: an incandescent lamp
    ((145, 210), ((0.9, 0.98), (0.98, 1), (0.88, 0.99)), 0.12),  # green-grey
    ((120, 200), ((0.92, 1), (0.93, 1), (0.92, 1)), 0.07),  # underexposed
    ((135, 185), ((0.7, 0.85), (0.86, 0.95), (0.98, 1)), 0.05),  # blue-grey
    ((225, 255), ((0.86, 0.95), (0.87, 0.96), (0.99, 1)), 0.13),  # violet-blue
)


def random_stain(rng: np.random.Generator) -> Stain:
    """A stain and a lamp as some laboratory may have them: nuclei are darkest, all hues and strengths are free.

    Absorbances are drawn relative to green, where eosin and azure-methylene blue both absorb.

    Args:
        rng: random generator.
    """
    level, tint, _ = _LAMPS[rng.choice(len(_LAMPS), p=[chance for *_, chance in _LAMPS])]
    background = rng.uniform(*level) * np.array([rng.uniform(*channel) for channel in tint])
    strength = rng.uniform(0.65, 1.25)  # of the whole stain, and of the camera's contrast
    # Azure absorbs red and green: a nucleus is violet, blue or crimson, never brown.
    ratio_red = rng.uniform(0.15, 0.95)
    ratio_blue = rng.uniform(0.05, min(0.75, ratio_red + 0.1))
    nucleus = strength * rng.uniform(0.75, 1.7) * np.array([ratio_red, 1, ratio_blue])
    red = _red_cell(rng, strength)
    # Cytoplasm of a blast: from pale to nearly as deep as the nucleus, from blue to violet and grey.
    cytoplasm = rng.uniform(0.2, 0.55) * nucleus[1] * np.array([rng.uniform(0.6, 1.4), 1, rng.uniform(0.1, 0.7)])
    # The nucleus stays darkest, in every stain, even beside the densest red cells.
    red, cytoplasm = (_paler(red, 0.8, nucleus, background), _paler(cytoplasm, 0.7, nucleus, background))
    colours = [np.clip(np.rint(background * np.exp(-absorbed)), 1, 255) for absorbed in (0, red, nucleus, cytoplasm)]
    return Stain(*((int(r), int(g), int(b)) for r, g, b in colours))


def _paler(absorbance: np.ndarray, share: float, nucleus: np.ndarray, background: np.ndarray) -> np.ndarray:
    """An absorbance, 3, lowered until no more than a share of the light is lost that the nucleus absorbs."""
    most = share * np.sum(background * (1 - np.exp(-nucleus)))
    while np.sum(background * (1 - np.exp(-absorbance))) > most:
        absorbance = 0.9 * absorbance
    return absorbance


def _red_cell(rng: np.random.Generator, strength: float) -> np.ndarray:
    """Absorbance, 3, of a red cell: pink, saturated red, grey, blue-grey, orange, violet, or all but none."""
    hue = rng.random()
    if hue < 0.5:  # pink to red, the usual
        ratio = [rng.uniform(0.2, 0.65), 1, rng.uniform(0.5, 1)]
    elif hue < 0.65:  # grey to blue-grey
        ratio = [rng.uniform(0.85, 1.4), 1, rng.uniform(0.4, 0.95)]
    elif hue < 0.8:  # violet
        ratio = [rng.uniform(0.4, 0.85), 1, rng.uniform(0.25, 0.65)]
    elif hue < 0.92:  # orange or brown
        ratio = [rng.uniform(0.1, 0.5), 1, rng.uniform(1, 1.5)]
    else:  # grey
        ratio = [rng.uniform(0.7, 1), 1, rng.uniform(0.8, 1.05)]
    depth = np.exp(rng.uniform(np.log(0.09), np.log(0.85)))
    return strength * depth * np.array(ratio)

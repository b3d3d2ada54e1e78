"""The colour of a smear: how it is summed up, and how it is changed without touching what the smear shows.

Light falls through glass and dye. Empty glass shows the lamp; relative to it, dyes absorb, and optical densities add up
(Ruifrok & Johnston, "Quantification of histochemical staining by color deconvolution", 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Literal, Self

import cv2
import numpy as np

Method = Literal["reinhard", "macenko"]

GLASS = 0.95  # quantile of a channel that shows the lamp
STAINED = 0.12  # optical density, of the channel that absorbs most, from which a pixel shows dye and not glass
SAMPLE = 10_000  # pixels, about, of which an image is summed up
ENOUGH = 200  # of them must show dye for anything to be said of it
STRETCH = (0.4, 2.5)  # contrast is never changed more than this
BEYOND = 0.5  # share of the range of known looks by which one may lie beyond it,
LEAST = 5.0  # but always so many grey levels or units of CIELAB
EXTREME = 1.0  # percentile of the directions that counts as a pure dye (Macenko et al.)
APART = 8.0  # degrees between two dyes, below which an image shows only one
# Of nuclei and of red cells: medians over 160 images of four laboratories; rows of length 1.
ROMANOWSKY = np.array([[0.49, 0.86, 0.12], [0.53, 0.66, 0.53]])


def colour_statistics(image: np.ndarray) -> np.ndarray:
    """Nine numbers that hold nothing of shape: mean, standard deviation and skewness of each channel.

    The trivial baseline of this field: on the Aria images, nearest neighbours on numbers like these reach about
    93 %, because the stain goes with the class. Colour moments: Stricker & Orengo, 1995, doi:10.1117/12.205308.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        float64, 9: means (0 to 1), standard deviations (0 to 1), skewnesses, each in the order R, G, B.
    """
    values = np.arange(256) / 255.0
    counts = np.stack([np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)])
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    deviation = values - mean[:, None]
    spread = np.sqrt((share * deviation**2).sum(axis=1))
    third = (share * deviation**3).sum(axis=1)
    return np.concatenate([mean, spread, third / np.maximum(spread, 1e-6) ** 3])


@dataclass(frozen=True)
class _Arrays:
    """Arrays by name, as `leuko.json` keeps them."""

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`."""
        return {f.name: np.round(getattr(self, f.name), 4).tolist() for f in fields(self)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Read what `as_json` wrote."""
        return cls(**{f.name: np.asarray(stored[f.name], dtype=float) for f in fields(cls)})


@dataclass(frozen=True)
class StainProfile(_Arrays):
    """How a smear, or a laboratory, looks.

    Attributes:
        glass: float, 3: RGB of empty glass, 1 to 255.
        mean, spread: float, 3: of what is dyed, in CIELAB with the glass as white.
        dyes: float, 2 × 3: optical densities in R, G, B of the dye of the nuclei and of the other; rows of length 1.
        strength: float, 2: 99th percentile of each dye's amount.
    """

    glass: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    dyes: np.ndarray
    strength: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> StainProfile:
        """The look of an image, uint8, H × W × 3, RGB; of one without dye, that of a pale Romanowsky stain."""
        pixels = _sample(image)
        glass = np.maximum(np.quantile(pixels, GLASS, axis=0), 1.0).astype(float)
        density = _density(pixels, glass)
        dyed = reduce(np.maximum, density.T) > STAINED
        if dyed.sum() < ENOUGH:
            return cls(glass, np.array([80.0, 15.0, -8.0]), np.array([8.0, 6.0, 6.0]), ROMANOWSKY, np.full(2, 0.3))
        lab = _lab(pixels[dyed] / glass)
        dyes = find_dyes(density[dyed])
        amounts = np.maximum(density[dyed] @ np.linalg.pinv(dyes), 0)
        strength = np.maximum(np.percentile(amounts, 99, axis=0), 0.05)
        return cls(glass, np.minimum(lab.mean(axis=0), 97), np.maximum(lab.std(axis=0), 1.0), dyes, strength)

    @classmethod
    def typical(cls, looks: Sequence[StainProfile]) -> StainProfile:
        """The median of several looks."""
        look = cls(*(np.median([getattr(each, f.name) for each in looks], axis=0) for f in fields(cls)))
        return cls(look.glass, look.mean, look.spread, _unit(look.dyes), look.strength)


@dataclass(frozen=True)
class StainRange(_Arrays):
    """Looks that are known, as a range of glass, and of mean and spread of what is dyed.

    Attributes:
        low, high: float, 9: `glass`, `mean` and `spread` of a `StainProfile`.
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, looks: Sequence[StainProfile]) -> StainRange:
        """The range of some looks, and what lies little beyond it."""
        low, high = np.percentile([_colours(look) for look in looks], [1, 99], axis=0)
        margin = np.maximum(BEYOND * (high - low), LEAST)
        return cls(low - margin, high + margin)

    def holds(self, look: StainProfile) -> bool:
        """Whether a look lies in the range."""
        colours = _colours(look)
        return bool(((colours >= self.low) & (colours <= self.high)).all())


@dataclass(frozen=True)
class Normalisation:
    """Images are given the same look, in training and in serving alike.

    Attributes:
        method: `reinhard` (`reinhard_normalise`) or `macenko` (`macenko_normalise`).
        look: the one that is given.
        known: the looks that an image may keep, or None if every image is given the same.
    """

    method: Method
    look: StainProfile
    known: StainRange | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The image, uint8, H × W × 3, RGB, in that look, or as it is if its own is known."""
        own = StainProfile.of(image)
        if self.known and self.known.holds(own):
            return image
        return (reinhard_normalise if self.method == "reinhard" else macenko_normalise)(image, self.look, own)

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`."""
        return {
            "method": self.method,
            "look": self.look.as_json(),
            "known": self.known and self.known.as_json(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Normalisation:
        """Read what `as_json` wrote.

        Raises:
            ValueError: the method is unknown.
        """
        if stored["method"] not in ("reinhard", "macenko"):
            raise ValueError(f"unknown stain normalisation {stored['method']!r}")
        known = stored.get("known")
        return cls(stored["method"], StainProfile.from_json(stored["look"]), known and StainRange.from_json(known))


def reinhard_normalise(image: np.ndarray, look: StainProfile, own: StainProfile | None = None) -> np.ndarray:
    """Give an image the colours of a look.

    Mean and spread of CIELAB are matched after Reinhard et al., "Color transfer between images", 2001,
    doi:10.1109/38.946629, but over dyed pixels alone, and with the glass as white: how much of a field is empty changes
    nothing, and empty glass becomes the look's glass.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        look: of one reference image (`StainProfile.of`), or of many (`StainProfile.typical`).
        own: the image's own, if it is known already.

    Returns:
        uint8, H × W × 3, RGB.
    """
    own = own or StainProfile.of(image)
    levels = np.clip(np.arange(256)[:, None] / own.glass, 1 / 255, 1.25)
    through = cv2.LUT(image, levels[None].astype(np.float32))
    lab = _lab(through)
    # All in 32 bits, which takes half the time.
    mean, wanted = np.float32(own.mean), np.float32(look.mean)
    matched = (lab - mean) * np.float32(np.clip(look.spread / own.spread, *STRETCH)) + wanted
    # What is paler than the mean must not become paler than glass: red cells would vanish.
    pale = wanted[0] + (lab[..., 0] - mean[0]) * ((100 - wanted[0]) / (100 - mean[0]))
    matched[..., 0] = np.where(lab[..., 0] > mean[0], pale, matched[..., 0])
    # Between glass and dye there is no border but a slope; a hard one would draw rings around cells.
    least = reduce(np.minimum, cv2.split(through))  # NumPy's, along the last axis, is ten times slower
    dyed = np.clip(np.log10(least) * np.float32(-1 / STAINED), 0, 1)[..., None]
    light = cv2.cvtColor(lab + dyed * (matched - lab), cv2.COLOR_LAB2RGB)
    return _bytes(light * np.float32(look.glass))


def macenko_normalise(image: np.ndarray, look: StainProfile, own: StainProfile | None = None) -> np.ndarray:
    """Give an image the dyes of a look.

    Macenko et al., "A method for normalizing histology slides for quantitative analysis", 2009,
    doi:10.1109/ISBI.2009.5193250: the amounts of the image's own two dyes are scaled and shown in the look's dyes. What
    neither dye explains is kept.

    Args and returns as for `reinhard_normalise`.
    """
    own = own or StainProfile.of(image)
    factor = np.clip(look.strength / own.strength, *STRETCH)
    return recolour_dyes(
        image, own, StainProfile(look.glass, look.mean, look.spread, look.dyes * factor[:, None], look.strength)
    )


def recolour_dyes(image: np.ndarray, own: StainProfile, wanted: StainProfile) -> np.ndarray:
    """Show the amounts of an image's dyes in other dyes, on other glass; longer rows mean stronger dyes.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        own: its look.
        wanted: `dyes` and `glass` of what is wanted; the rest does not count.

    Returns:
        uint8, H × W × 3, RGB.
    """
    change = np.linalg.inv(_basis(own.dyes)) @ _basis(wanted.dyes)
    levels = np.repeat(np.arange(256.0)[:, None], 3, axis=1)
    density = cv2.LUT(image, _density(levels, own.glass, floor=-0.1)[None].astype(np.float32))
    exponent = cv2.transform(density, -np.log(10) * change.T)  # NumPy's product of matrices so thin is 40 times slower
    return _bytes(np.exp(exponent) * wanted.glass.astype(np.float32))


def find_dyes(density: np.ndarray) -> np.ndarray:
    """The two dyes whose mixtures explain optical densities (Macenko et al. 2009).

    Densities lie in the plane of their two largest principal directions; its extreme directions are the pure dyes.

    Args:
        density: float, N × 3, of dyed pixels, in R, G, B.

    Returns:
        float, 2 × 3, rows of length 1: first the dye of the nuclei, the one that lets blue through. `ROMANOWSKY` where
        only one dye shows.
    """
    _, vectors = np.linalg.eigh(density.T @ density)
    plane = vectors[:, 1:]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
    across = density @ plane
    angle = np.arctan2(across[:, 0], across[:, 1])
    low, high = np.percentile(angle, [EXTREME, 100 - EXTREME])
    dyes = np.array([[np.sin(a), np.cos(a)] for a in (low, high)]) @ plane.T
    dyes = _unit(np.maximum(dyes, 0.01))  # a dye never adds light
    if dyes[0] @ dyes[1] > np.cos(np.radians(APART)):
        return ROMANOWSKY
    return dyes if dyes[0, 2] < dyes[1, 2] else dyes[::-1]


def _colours(look: StainProfile) -> np.ndarray:
    return np.concatenate([look.glass, look.mean, look.spread])


def _basis(dyes: np.ndarray) -> np.ndarray:
    """The dyes and, at right angles to both, the rest; 3 × 3."""
    rest = np.cross(dyes[0], dyes[1])
    return np.vstack([dyes, rest / np.linalg.norm(rest)])


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _sample(image: np.ndarray) -> np.ndarray:
    """Evenly spread pixels of a slightly softened image, float32, N × 3."""
    soft = cv2.GaussianBlur(image, (0, 0), 1.0)
    step = max(1, round((image.shape[0] * image.shape[1] / SAMPLE) ** 0.5))
    return soft[::step, ::step].reshape(-1, 3).astype(np.float32)


def _density(pixels: np.ndarray, glass: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Decadic optical densities relative to glass, … × 3."""
    return np.maximum(-np.log10((pixels + 1) / (glass + 1)), floor)


def _lab(light: np.ndarray) -> np.ndarray:
    """CIELAB of light relative to white, float, … × 3."""
    shape = light.shape
    return cv2.cvtColor(light.reshape(-1, 1, 3).astype(np.float32), cv2.COLOR_RGB2LAB).reshape(shape)


def _bytes(light: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)

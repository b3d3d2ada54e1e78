"""Draw synthetic tissue sections, stained with haematoxylin and eosin: not smears, but with similar dyes.

Dyes are mixed as optical densities (Ruifrok & Johnston, "Quantification of histochemical staining by color
deconvolution", 2001). The amounts of dye, the sizes and the sharpness are random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

HAEMATOXYLIN, EOSIN = np.float32([0.65, 0.70, 0.29]), np.float32([0.07, 0.99, 0.11])  # of red, green and blue
SIZES = (224, 224), (480, 640), (512, 512)


@dataclass(frozen=True)
class Slide:
    """An empty slide: its shape, and how large things are on it, 1 being a nucleus of about 10 pixels."""

    rng: np.random.Generator
    shape: tuple[int, int]
    size: float

    @classmethod
    def empty(cls, rng: np.random.Generator) -> Slide:
        """One of the usual sizes."""
        return cls(rng, SIZES[rng.integers(len(SIZES))], float(rng.uniform(0.6, 1.6)))

    def cloud(self, grain: float, along: float = 1.0) -> np.ndarray:
        """Smooth noise, mean 0, variance 1; float32. `grain` in pixels, longer by a factor of `along` in rows."""
        noise = cv2.GaussianBlur(
            self.rng.standard_normal(self.shape).astype(np.float32), (0, 0), sigmaX=along * grain, sigmaY=grain
        )
        return (noise - noise.mean()) / noise.std()

    def ground(self) -> np.ndarray:
        """Eosin of a ground without cells."""
        return (0.16 + 0.05 * self.cloud(self.rng.uniform(3, 20))).clip(0.03) * self.rng.uniform(0.8, 1.8)

    def number(self, each: float) -> int:
        """How many things there are, one in so many squares of `size`."""
        return int(np.prod(self.shape) / (each * self.size**2))

    def nuclei(self, each: float, radius: float = 5.0, longest: float = 1.6) -> np.ndarray:
        """Haematoxylin of nuclei anywhere, one in so many squares of `size`."""
        return self.nuclei_at(self.rng.uniform((0, 0), self.shape, (self.number(each), 2)), radius, longest)

    def nuclei_at(self, places: np.ndarray, radius: float = 5.0, longest: float = 1.6) -> np.ndarray:
        """The same at places, N × 2, row and column."""
        dye = np.zeros(self.shape, np.float32)
        for row, column in places:
            long = self.rng.uniform(1, longest) ** 0.5
            axes = np.rint(16 * radius * self.size * self.rng.uniform(0.7, 1.3) * np.array([long, 1 / long]))
            middle, turned = (round(16 * column), round(16 * row)), self.rng.uniform(0, 180)
            one = np.zeros(self.shape, np.uint8)
            cv2.ellipse(one, middle, axes.astype(int).tolist(), turned, 0, 360, 1, cv2.FILLED, cv2.LINE_8, 4)
            dye = np.maximum(dye, one * np.float32(self.rng.uniform(0.35, 0.9)))
        return dye * (1 + 0.2 * self.cloud(1.5)).clip(0.3)

    def walls(self, each: float, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Walls between cells of so many squares of `size`, 0 to 1; and the cells' middles, N × 2."""
        places = self.rng.uniform((0, 0), self.shape, (self.number(each) + 4, 2))
        pixels = np.stack(np.indices(self.shape), axis=-1).reshape(-1, 2)
        near = cKDTree(places).query(pixels, k=2)[0].reshape(*self.shape, 2)
        return 1 / (1 + np.exp((near[..., 1] - near[..., 0] - width * self.size).clip(-50, 50))), places


def stroma(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """Nuclei in an even ground."""
    return slide.nuclei(slide.rng.uniform(700, 4000)), slide.ground()


def muscle(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """Fibres, with long nuclei."""
    return slide.nuclei(4000, longest=5), (0.2 + 0.12 * slide.cloud(2 * slide.size, along=8)).clip(0)


def torn(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """Clefts of bare glass."""
    whole = slide.cloud(8 * slide.size) > -slide.rng.uniform(0.3, 1.2)
    return slide.nuclei(2000) * whole, slide.ground() * whole


def glands(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """Rings of nuclei around a bare middle."""
    places, bare = [], np.zeros(slide.shape, np.uint8)
    for _ in range(slide.number(25000) + 2):
        middle, radius = slide.rng.uniform((0, 0), slide.shape), slide.rng.uniform(18, 40) * slide.size
        turn = np.arange(0, 2 * np.pi, 8 * slide.size / radius)
        places.append(middle + radius * np.stack([np.sin(turn), np.cos(turn)], axis=1))
        cv2.circle(bare, np.rint(middle[::-1]).astype(int).tolist(), round(0.65 * radius), 1, cv2.FILLED)
    rings = slide.nuclei_at(np.concatenate(places), 4.0)
    return np.maximum(rings, slide.nuclei(6000, 3.5) * (1 - bare)), slide.ground() * (1 - bare)


def lymph_node(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """Round nuclei side by side."""
    return slide.nuclei(slide.rng.uniform(110, 300), 4.5, longest=1.2), slide.ground()


def fat(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """Thin walls around bare glass."""
    wall, _ = slide.walls(slide.rng.uniform(900, 5000), slide.rng.uniform(3, 8))
    return slide.nuclei(4000, 3.0, longest=4) * wall, (slide.ground() + 0.1) * wall


def epithelium(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """A nucleus in every cell, and walls paler or darker than what they hold."""
    wall, middles = slide.walls(600, 1.5)
    return slide.nuclei_at(middles, longest=1.2), slide.ground() * (1 + slide.rng.uniform(-0.8, 0.6) * wall)


Kind = Callable[[Slide], tuple[np.ndarray, np.ndarray]]  # to haematoxylin and eosin
KINDS: tuple[Kind, ...] = (stroma, muscle, torn, glands, lymph_node, fat, epithelium)


def section(rng: np.random.Generator, kind: Kind) -> np.ndarray:
    """A section of one of `KINDS`, uint8, H × W × 3, RGB."""
    slide = Slide.empty(rng)
    haematoxylin, eosin = kind(slide)
    blue, pink = (np.abs(dye + rng.normal(0, 0.04, 3)) for dye in (HAEMATOXYLIN, EOSIN))
    lamp = rng.uniform(225, 250) - rng.uniform(0, 12, 3)
    image = lamp * 10 ** -(haematoxylin[..., None] * blue + eosin[..., None] * pink)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.3))
    image += rng.uniform(0, 6) * rng.standard_normal(image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)

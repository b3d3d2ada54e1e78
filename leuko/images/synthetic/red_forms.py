"""Forms of red cells: from round discs to ovalocytes, teardrops, sickle cells, target cells and fragments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from leuko.images.synthetic.layout import Blob, Rng

FORMS = ("round", "oval", "elliptocyte", "teardrop", "sickle", "crenated", "fragment", "spherocyte", "target", "slit")


@dataclass(frozen=True)
class RedCellStyle:
    """How the red cells of a field look. The defaults draw even, round discs."""

    forms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # chances; the rest is round
    size_spread: float = 0.06  # standard deviation of the radius as a share of it
    pallor: tuple[float, float] = (0.2, 1)  # depth of the pale centre
    pallor_width: float = 0.45  # as a share of the radius
    rim: float = 0.25  # how much thicker the rim is
    density_spread: float = 0.1
    refractile: float = 0  # 0-1: bright and dark rings of a cell that dried in moist air
    inclusions: float = 0  # chance of a parasite, a dot or stippling in a cell
    overlap: float = 1  # how much darker two cells are that overlap: 1 as Beer and Lambert say, 0 not at all
    packed: bool = False  # whether cells that touch are pressed flat against each other, not overlapping
    blueness: float = 0  # chance of a young, bluish cell


PLAIN = RedCellStyle()


@dataclass(frozen=True)
class RedCell:
    """A red cell: a blob that is stretched, bent and tapered along a heading, and what it holds."""

    body: Blob
    form: str = "round"
    heading: float = 0
    stretch: float = 1  # length over width
    bend: float = 0
    taper: float = 0
    spikes: tuple[int, float] = (0, 0)  # count and height as a share of the radius

    @classmethod
    def draw(cls, rng: Rng, body: Blob, style: RedCellStyle) -> RedCell:
        """A random form for a body."""
        heading, draw = rng.uniform(0, 2 * np.pi), rng.random()
        form = "round"
        for name, chance in style.forms.items():
            draw -= chance
            if draw < 0:
                form = name
                break
        match form:
            case "oval":
                return cls(body, form, heading, rng.uniform(1.15, 1.5))
            case "elliptocyte":
                return cls(body, form, heading, rng.uniform(1.6, 2.8))
            case "teardrop":
                return cls(body, form, heading, rng.uniform(1.2, 1.8), taper=rng.uniform(0.5, 0.9))
            case "sickle":
                return cls(body, form, heading, rng.uniform(2, 3.4), bend=rng.uniform(0.15, 0.5), taper=0)
            case "crenated":
                return cls(body, form, heading, spikes=(int(rng.integers(9, 18)), rng.uniform(0.04, 0.1)))
            case "fragment":
                small = Blob.draw(rng, body.x, body.y, body.radius * rng.uniform(0.35, 0.75), 0.2, rng.uniform(0, 0.5))
                return cls(small, form, heading, rng.uniform(1, 1.7), bend=rng.uniform(0, 0.4))
            case "spherocyte":
                small = Blob.draw(rng, body.x, body.y, body.radius * rng.uniform(0.75, 0.9), 0.02)
                return cls(small, form, heading)
        return cls(body, form, heading)

    @property
    def is_warped(self) -> bool:
        """Whether the outline is more than a blob."""
        return self.stretch != 1 or self.bend != 0 or self.taper != 0 or self.spikes[0] > 0

    @property
    def frame(self) -> Blob:
        """A blob that reaches at least as far as the cell."""
        long = self.body.radius * self.stretch**0.5 * (1 + self.bend + self.taper) * (1 + self.spikes[1])
        return Blob(self.body.x, self.body.y, long, self.body.waves, 0, 0) if self.is_warped else self.body

    def across_slit(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Place between centre (0) and edge (1), three times as far across the heading: a pale slit, not a disc."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        u, v = (x - self.body.x) * cos + (y - self.body.y) * sin, (y - self.body.y) * cos - (x - self.body.x) * sin
        return np.hypot(u, 3 * v) / self.body.radius

    def distance(self, x: np.ndarray, y: np.ndarray, um_per_px: float) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the outline in µm, negative inside, and place between centre (0) and edge (1)."""
        if not self.is_warped:
            distance = self.body.distance(x, y)
            return distance, 1 + distance / self.body.radius
        body, cos, sin = self.body, np.cos(self.heading), np.sin(self.heading)
        u = ((x - body.x) * cos + (y - body.y) * sin) / np.sqrt(self.stretch)
        v = ((y - body.y) * cos - (x - body.x) * sin) * np.sqrt(self.stretch)
        v = v - self.stretch * self.bend * (u**2 / body.radius - 0.3 * body.radius)
        v = v / (1 - self.taper * np.clip((u / body.radius + 0.2) / 1.2, -0.2, 0.97))
        if self.taper:
            u = u * (1 - 0.25 * self.taper * (u > 0))
        distance = body.distance(body.x + u, body.y + v)
        if self.spikes[0]:
            angle = np.arctan2(v, u)
            distance = distance - body.radius * self.spikes[1] * np.cos(self.spikes[0] * angle + np.sin(3 * angle))
        outwards = 1 + distance / body.radius
        if min(distance.shape) > 1:  # warping is no isometry: the gradient gives the scale back
            down, right = np.gradient(distance, um_per_px)
            distance = distance / np.clip(np.hypot(down, right), 0.3, 6)
        return distance, outwards

"""Details that make rendered cells differ: granules, vacuoles, folds and dyes of white cells, what red cells hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from leuko.images.synthetic.kinds import CellKind
from leuko.images.synthetic.layout import Blob, Rng, WhiteCell
from leuko.images.synthetic.red_forms import RedCellStyle

Grain = Callable[[tuple[int, ...], float], np.ndarray]  # noise of a shape and a grain in µm


@dataclass(frozen=True)
class WhiteLook:
    """How one white cell differs from the plain one of its kind. The defaults are the plain one."""

    chromatin: float = 1  # factors of amount and contrast
    contrast: float = 1
    cytoplasm: tuple[float, float, float] = (1, 1, 1)  # factors of the dyes
    roughness: float = 0.2  # contrast of the cytoplasm
    edge: float = 0.4  # how much denser the cytoplasm is towards its edge
    halo: float = 0  # how much paler it is beside the nucleus
    ragged: float = 0  # how far the outline is frayed, µm
    ghost: float = 0  # share of what lies below that shows through thin cytoplasm

    @classmethod
    def draw(cls, rng: Rng, variety: float) -> WhiteLook:
        """A random look, the farther from the plain one the larger the variety, 0-1."""
        spread = 0.35 * variety
        faint = rng.uniform(0.2, 0.7) if rng.random() < 0.15 * variety else 1
        return cls(
            chromatin=float(np.exp(rng.normal(0, 0.3 * spread))),
            contrast=rng.uniform(1 - 0.7 * variety, 1 + 0.6 * variety),
            cytoplasm=tuple(faint * np.exp(rng.normal([0, 0, -spread], [spread, spread, 1.3 * spread]))),
            roughness=rng.uniform(0.2 - 0.15 * variety, 0.2 + 0.1 * variety),
            edge=rng.uniform(0.4 - 0.6 * variety, 0.4 + 0.4 * variety),
            halo=variety * rng.uniform(0, 0.6) if rng.random() < 0.4 else 0,
            ragged=variety * rng.uniform(0, 0.25) if rng.random() < 0.25 else 0,
            ghost=variety * rng.uniform(0, 0.5) if rng.random() < 0.3 else 0,
        )


PLAIN_LOOK = WhiteLook()


def granules(kind: CellKind, grain: Grain, shape: tuple[int, ...]) -> np.ndarray:
    """How far each pixel of a window lies in a granule, 0-1."""
    level = NormalDist().inv_cdf(1 - kind.granule_cover)
    return 1 / (1 + np.exp(np.clip((level - grain(shape, kind.granule_um / 3.5)) / 0.25, -30, 30)))


def vacuoles(rng: Rng, cell: WhiteCell, x: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """How far each pixel lies in a vacuole, 0-1: sharp, empty, round holes."""
    share = np.zeros_like(x)
    for _ in range(count):
        angle, away = rng.uniform(0, 2 * np.pi), cell.body.radius * np.sqrt(rng.uniform(0.1, 0.8))
        hole = np.hypot(x - cell.body.x - away * np.cos(angle), y - cell.body.y - away * np.sin(angle))
        np.maximum(share, 1 / (1 + np.exp(np.clip((hole - rng.uniform(0.3, 0.9)) / 0.12, -30, 30))), out=share)
    return share


def folds(rng: Rng, nucleus: Blob, x: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """Factor of the chromatin of a folded nucleus: curved creases, dark or pale."""
    factor = np.ones_like(x)
    for _ in range(count):
        angle = rng.uniform(0, 2 * np.pi)
        u = (x - nucleus.x) * np.cos(angle) + (y - nucleus.y) * np.sin(angle)
        v = (y - nucleus.y) * np.cos(angle) - (x - nucleus.x) * np.sin(angle)
        crease = v - nucleus.radius * rng.uniform(-0.5, 0.5) - rng.uniform(-0.6, 0.6) * u**2 / nucleus.radius
        end = 1 / (1 + np.exp(np.clip((np.abs(u) - nucleus.radius * rng.uniform(0.3, 0.9)) / 0.4, -30, 30)))
        factor += rng.choice([-0.35, 0.3]) * rng.uniform(0.4, 1) * end * np.exp(-((crease / 0.35) ** 2))
    return factor


def red_cell_contents(rng: Rng, style: RedCellStyle, cell: Blob, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Dyes, h × w × 3, of what a red cell holds: ribosomes of a young cell, a parasite, a dot, stippling."""
    dyes = np.zeros((*x.shape, 3))
    if rng.random() < style.blueness:
        dyes[..., 2] += rng.uniform(0.1, 0.45)
    if rng.random() >= style.inclusions:
        return dyes
    angle, away = rng.uniform(0, 2 * np.pi), cell.radius * rng.uniform(0, 0.65)
    px, py = cell.x + away * np.cos(angle), cell.y + away * np.sin(angle)
    out = np.hypot(x - px, y - py)
    match rng.integers(4):
        case 0 | 1:  # a ring form with one or two dots of chromatin
            size = rng.uniform(0.6, 1.3)
            dyes[..., 2] += rng.uniform(0.4, 1) * np.exp(-(((out - size) / 0.22) ** 2))
            for turn in rng.uniform(0, 2 * np.pi, rng.integers(1, 3)):
                dot = np.hypot(x - px - size * np.cos(turn), y - py - size * np.sin(turn))
                dyes[..., 1] += rng.uniform(0.7, 1.3) * np.exp(-((dot / rng.uniform(0.25, 0.4)) ** 2))
        case 2:  # a rest of a nucleus
            dyes[..., 1] += rng.uniform(0.7, 1.3) / (
                1 + np.exp(np.clip((out - rng.uniform(0.25, 0.6)) / 0.08, -30, 30))
            )
        case _:  # stippling
            for spot in rng.normal(0, 0.4 * cell.radius, (int(rng.integers(6, 25)), 2)):
                dot = np.hypot(x - cell.x - spot[0], y - cell.y - spot[1])
                dyes[..., 1] += rng.uniform(0.2, 0.7) * np.exp(-((dot / 0.22) ** 2))
    return dyes


def refraction(rng: Rng, strength: float, outwards: np.ndarray) -> np.ndarray:
    """Absorbance, h × w, of a red cell that dried in moist air: a glassy middle with a dark line around it."""
    width = rng.uniform(0.25, 0.65)
    middle = 1 / (1 + np.exp(np.clip((outwards - width) / 0.04, -30, 30)))
    line = np.exp(-(((outwards - width - 0.05) / 0.06) ** 2))
    edge = np.exp(-(((outwards - 0.97) / 0.06) ** 2))
    return strength * rng.uniform(0.3, 1) * (0.5 * line + 0.35 * edge - 0.25 * middle)

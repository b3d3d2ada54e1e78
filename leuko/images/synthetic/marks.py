"""Marks over a rendered smear, by software or the microscope: arrows, scale bars, frames, an eyepiece's surround."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from leuko.images import scale_bar
from leuko.images.synthetic.layout import Rng
from leuko.images.synthetic.rendering import Smear, without_gaps

_INKS = ((250, 200, 20), (230, 30, 30), (20, 160, 40), (30, 60, 230), (0, 0, 0), (255, 255, 255), (0, 220, 220))


def cover(smear: Smear, image: np.ndarray, covered: np.ndarray) -> Smear:
    """A smear with another image, in which the covered pixels (bool, H × W) show no cells."""
    clear = ~covered
    return without_gaps(
        replace(
            smear,
            image=image,
            nuclei=smear.nuclei * clear,
            white_cells=smear.white_cells * clear,
            red_cells=smear.red_cells * clear,
            platelets=smear.platelets * clear,
            smudges=smear.smudges * clear,
        )
    )


def burn_scale_bar(smear: Smear, rng: Rng) -> Smear:
    """Burn in a scale bar with its text."""
    seed = int(rng.integers(2**32))
    image, black, white = (
        scale_bar.burn(ground, np.random.default_rng(seed))
        for ground in (smear.image, np.zeros_like(smear.image), np.full_like(smear.image, 255))
    )
    return cover(smear, image, np.any((black > 0) | (white < 255), axis=-1))


def burn_arrow(smear: Smear, rng: Rng) -> Smear:
    """Burn in an arrow, an outlined one or a plain one."""
    height, width = smear.image.shape[:2]
    ink = _INKS[rng.integers(len(_INKS))]
    tip, angle = rng.uniform(0.1, 0.9, 2) * [width, height], rng.uniform(0, 2 * np.pi)
    length = rng.uniform(0.06, 0.2) * max(height, width)
    half, head = length * rng.uniform(0.04, 0.14), length * rng.uniform(0.25, 0.5)
    outline = np.array([(0, 0), (-head, 2.2 * half), (-head, half), (-length, half)])
    outline = np.concatenate([outline, (outline * [1, -1])[:0:-1]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.rint((outline @ turn.T + tip) * 16).astype(np.int32)
    ink_over = np.zeros((height, width), np.uint8)
    cv2.fillPoly(ink_over, [points], 255, cv2.LINE_AA, 4)
    return _ink(smear, ink_over, ink)


def burn_frame(smear: Smear, rng: Rng) -> Smear:
    """Burn in the frame of a selected cell, a crosshair, or a number."""
    height, width = smear.image.shape[:2]
    over, thick = np.zeros((height, width), np.uint8), int(rng.integers(1, 4))
    x, y = (int(v) for v in rng.uniform(0.1, 0.8, 2) * [width, height])
    side = int(rng.uniform(0.1, 0.3) * max(height, width))
    match rng.integers(4):
        case 0:
            cv2.rectangle(over, (x, y), (x + side, y + int(side * rng.uniform(0.7, 1.3))), 255, thick)
        case 1:
            cv2.line(over, (x, 0), (x, height), 255, thick)
            cv2.line(over, (0, y), (width, y), 255, thick)
        case 2:
            cv2.circle(over, (x, y), side // 2, 255, thick, cv2.LINE_AA)
        case _:
            text, scale = str(rng.integers(1, 500)), side / 90
            cv2.putText(over, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    return _ink(smear, over, _INKS[rng.integers(len(_INKS))])


def look_through_eyepiece(smear: Smear, rng: Rng) -> Smear:
    """Show the smear as a bright disc, or a part of one, in a dark surround."""
    height, width = smear.image.shape[:2]
    radius = rng.uniform(0.38, 0.75) * min(height, width)
    x, y = rng.uniform(0.35, 0.65, 2) * [width, height]
    away = np.hypot(np.arange(width) - x, np.arange(height)[:, None] - y)
    share = np.clip((radius - away) / rng.uniform(1, 8) + 0.5, 0, 1)[..., None]
    dark = rng.uniform(0, 12) + rng.normal(0, 1.5, smear.image.shape)
    image = np.clip(smear.image * share + dark * (1 - share), 0, 255).astype(np.uint8)
    return cover(smear, image, share[..., 0] < 0.5)


def _ink(smear: Smear, over: np.ndarray, ink: tuple[int, int, int]) -> Smear:
    """Lay ink over a smear where a mask, 0-255, says; what it covers by half or more is background."""
    share = over[..., None] / 255
    image = np.rint(smear.image * (1 - share) + np.array(ink) * share).astype(np.uint8)
    return cover(smear, image, over > 127)

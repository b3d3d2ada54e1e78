"""Smudge cells (Gumprecht shadows): nuclei that burst when the smear was made, without cytoplasm or a sharp outline."""

from __future__ import annotations

import cv2
import numpy as np

from leuko.images.synthetic.canvas import Canvas
from leuko.images.synthetic.layout import Blob, Rng

_VISIBLE = 0.35  # share of the usual density from which a pixel belongs to the smudge


def add_smudge(canvas: Canvas, label: int, place: Blob, rng: Rng) -> None:
    """Paint a smudge cell over the red cells below: ragged, pale, mottled or fibrous, often drawn out to one side.

    Args:
        canvas: is changed.
        label: id of the smudge cell.
        place: middle and radius; the outline is drawn here.
        rng: random generator.
    """
    reach = 1.7 * place.radius
    window, x, y = canvas.window(Blob(place.x, place.y, reach, place.waves, 0, 0))
    if not x.size:
        return
    um, radius = canvas.um_per_px, place.radius
    heading, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(1, 1.7)
    along = (x - place.x) * np.cos(heading) + (y - place.y) * np.sin(heading)
    across = (y - place.y) * np.cos(heading) - (x - place.x) * np.sin(heading)
    fibrous, lacy = rng.uniform(0, 1, 2) ** (1.5, 1)
    streaks = _fibres(rng, along, across, um, radius)
    # Inside positive, in µm: fibres and bumps tear the edge.
    depth = _ragged(rng, along / np.sqrt(stretch), across * np.sqrt(stretch), radius)
    depth += rng.uniform(0.2, 0.8) * canvas.grain(x.shape, rng.uniform(0.8, 1.8)) + 0.9 * fibrous * streaks
    if rng.random() < 0.5:  # drawn out by the spreader, thinning out
        tail = np.exp(-((across / (0.8 * radius)) ** 2)) * np.clip(along / radius, 0, 1.6)
        depth += (0.3 + fibrous) * tail * (1.2 + 1.5 * streaks)
    softness = rng.uniform(0.15, 0.8)
    share = 1 / (1 + np.exp(-np.clip(depth / softness, -20, 20)))
    share *= 1 - np.clip(np.hypot(x - place.x, y - place.y) / reach, 0, 1) ** 8
    inside = _one_piece(cv2.GaussianBlur(share, (0, 0), max(0.35 / um, 0.5)) > _VISIBLE)

    mesh = np.exp(-((canvas.grain(x.shape, rng.uniform(0.5, 1)) / 0.6) ** 2)) - 0.5
    mottling = 1 + rng.uniform(0.1, 0.25) * canvas.grain(x.shape, rng.uniform(0.3, 0.8))
    mottling += 0.35 * fibrous * streaks + lacy * mesh + rng.uniform(0, 0.08) * np.clip(depth, -3, 6)
    fade = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(softness / um, 0.5))
    density = share * np.clip(mottling, 0.1, 2.2) * np.clip(1.5 * fade, 0, 1)
    amount = rng.uniform(0.2, 0.6)
    # Red cells below show through; burst chromatin takes up eosin as well, so it is pinker than whole nuclei.
    canvas.dyes[window] *= 1 - 0.7 * np.clip(density * amount, 0, 1)[..., None]
    canvas.dyes[window] += density[..., None] * (amount * np.array([rng.uniform(0, 0.4), 1, rng.uniform(0, 0.15)]))
    canvas.other[window] += density[..., None] * (amount * rng.uniform(0, 0.4) * np.array([-0.2, 0.5, 0]))
    canvas.smudges[window][inside] = label
    canvas.reds[window][inside] = 0


def _ragged(rng: Rng, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Distance inside a ragged polygon around (0, 0), in µm, negative outside: straight torn edges and corners."""
    corners = rng.integers(6, 12)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = radius * rng.uniform(0.65, 1.15, corners)
    angle = np.arctan2(y, x)
    edge = np.interp(angle, angles, radii, period=2 * np.pi)
    return 0.85 * (edge - np.hypot(x, y))


def _fibres(rng: Rng, along: np.ndarray, across: np.ndarray, um: float, radius: float) -> np.ndarray:
    """Noise of mean 0 and deviation 1 in wavy fibres along a heading, parallel or spread like a fan."""
    width, length = rng.uniform(0.15, 0.5), rng.uniform(2, 6)  # of a fibre, µm
    if rng.random() < 0.6:
        origin = radius * rng.uniform(0.8, 3)  # that far behind
        angle = np.arctan2(across, along + origin)
        along, across = np.hypot(along + origin, across) - origin, angle * origin
    across = across + rng.uniform(0.2, 1) * np.sin(along / rng.uniform(2, 5) + rng.uniform(0, 6))
    half = int(1.8 * radius / um) + 2
    white = rng.standard_normal((2 * half + 1, 2 * half + 1), np.float32)
    noise = cv2.GaussianBlur(white, (0, 0), sigmaX=length / um, sigmaY=max(width / um, 0.6))
    at = (along / um + half).astype(np.float32), (across / um + half).astype(np.float32)
    return cv2.remap(noise / max(noise.std(), 1e-6), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _one_piece(mask: np.ndarray) -> np.ndarray:
    """The largest part of a mask, with its holes filled."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    part = (parts == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])).astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(part, outlines, -1, 1, cv2.FILLED) > 0

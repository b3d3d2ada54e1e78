"""What lies on a smear and is no cell: precipitate of the stain, fibres, dust, bubbles, scratches, dried plasma."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from leuko.images.synthetic.canvas import Canvas
from leuko.images.synthetic.layout import Rng

_OPAQUE = 0.5  # share of a pixel that must be covered by what hides the cells below


def add_debris(canvas: Canvas, rng: Rng, count: int) -> None:
    """Paint pieces of debris. What hides a cell turns its pixels into background; fine grains do not.

    Args:
        canvas: is changed.
        rng: random generator.
        count: pieces; a piece may be a group of grains.
    """
    for _ in range(count):
        kind = _KINDS[rng.choice(len(_KINDS), p=_CHANCES)]
        kind(canvas, rng)


def add_plasma(canvas: Canvas, rng: Rng, amount: float) -> None:
    """Stain the ground unevenly, in clouds: dried plasma takes up eosin and azure."""
    height, width = canvas.shape
    small = rng.standard_normal((max(height // 16, 3), max(width // 16, 3), 2)).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), rng.uniform(1, 3))
    clouds = cv2.resize(smooth / max(smooth.std(), 1e-6), (width, height), interpolation=cv2.INTER_CUBIC)
    clouds = np.clip(amount * (0.6 + 0.5 * clouds), 0, None)
    ground = (canvas.reds == 0) & (canvas.whites == 0)
    canvas.dyes[..., 0] += clouds[..., 0] * ground * rng.uniform(0, 1)
    canvas.dyes[..., 2] += clouds[..., 1] * ground * rng.uniform(0, 1)


def _violet(rng: Rng) -> np.ndarray:
    """Absorbance of precipitate: from violet to nearly black."""
    return rng.uniform(0.7, 2) * np.array([rng.uniform(0.5, 1), 1, rng.uniform(0.25, 0.9)], np.float32)


def _local(canvas: Canvas, x: float, y: float, reach: float) -> tuple[slice, slice]:
    """The pixels within a reach of a point, both in µm."""
    um, (height, width) = canvas.um_per_px, canvas.shape
    left, right = np.clip([int((x - reach) / um), int((x + reach) / um) + 1], 0, width)
    top, bottom = np.clip([int((y - reach) / um), int((y + reach) / um) + 1], 0, height)
    return slice(top, bottom), slice(left, right)


def _paint(
    canvas: Canvas, rng: Rng, window: tuple[slice, slice], mask: np.ndarray, colour: np.ndarray, hides: bool
) -> None:
    """Lay an absorbance over a window, and take what it hides from the labels."""
    canvas.other[window] += mask[..., None] * colour
    if hides:
        hidden = cv2.GaussianBlur(mask, (0, 0), max(0.3 / canvas.um_per_px, 0.5)) > _OPAQUE  # no single pixels
        for labels in (canvas.nuclei, canvas.whites, canvas.reds, canvas.platelets, canvas.smudges):
            labels[window][hidden] = 0


def _draw(shape: tuple[int, int], strokes: Callable[[np.ndarray], object]) -> np.ndarray:
    """A mask, float32, 0-1, into which OpenCV draws."""
    mask = np.zeros(shape, np.uint8)
    strokes(mask)
    return mask.astype(np.float32) / 255


def _grains(canvas: Canvas, rng: Rng) -> None:
    """Small, dark, sharp grains of precipitate, in a group or all over the field."""
    um, (height, width) = canvas.um_per_px, canvas.shape
    x, y, spread = rng.uniform(0, width * um), rng.uniform(0, height * um), rng.uniform(1, 14)
    count = int(rng.integers(2, 40))
    if rng.random() < 0.25:
        spread, count = width * um, 3 * count
    points = rng.normal(0, spread / 2, (count, 2))
    window = _local(canvas, x, y, 1.5 * spread + 2)
    offset = np.array([x, y]) / um - [window[1].start, window[0].start]
    shape = canvas.reds[window].shape
    if 0 in shape:
        return
    sizes = rng.gamma(2, 0.14, count)

    def strokes(mask: np.ndarray) -> None:
        for (px, py), size in zip(points / um + offset, sizes / um, strict=True):
            axes = np.maximum(size * rng.uniform(0.5, 1.5, 2), 0.5)
            box = ((float(px), float(py)), (float(2 * axes[0]), float(2 * axes[1])), rng.uniform(0, 180))
            corners = cv2.boxPoints(box) if rng.random() < 0.5 else _oval(box)
            cv2.fillPoly(mask, [np.rint(corners * 16).astype(np.int32)], rng.uniform(120, 255), cv2.LINE_AA, 4)

    _paint(canvas, rng, window, _draw(shape, strokes), _violet(rng), hides=False)


def _oval(box: tuple[tuple[float, float], tuple[float, float], float]) -> np.ndarray:
    """Twelve points, 12 × 2, of the ellipse in a turned box: centre, sides and angle in degrees."""
    (x, y), sides, turn = box
    angles, turn = np.arange(12) * np.pi / 6, np.radians(turn)
    u, v = sides[0] / 2 * np.cos(angles), sides[1] / 2 * np.sin(angles)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], axis=-1)


def _patch(canvas: Canvas, rng: Rng) -> None:
    """A ragged patch of precipitate, dense or full of holes."""
    um, (height, width) = canvas.um_per_px, canvas.shape
    x, y, radius = rng.uniform(0, width * um), rng.uniform(0, height * um), np.exp(rng.uniform(0, 2.2))
    window = _local(canvas, x, y, 2 * radius)
    shape = canvas.reds[window].shape
    if 0 in shape:
        return
    rows, columns = (np.arange(s.start, s.stop) + 0.5 for s in window)
    away = np.hypot(columns * um - x, rows[:, None] * um - y) / radius
    rough = canvas.grain(shape, rng.uniform(0.2, 0.5) * radius) + 0.5 * canvas.grain(shape, rng.uniform(0.25, 0.6))
    depth = 1 - away + rng.uniform(0.2, 0.6) * rough
    mask = 1 / (1 + np.exp(-np.clip(depth * rng.uniform(5, 20), -20, 20))) * (away < 1.9)
    mask = mask * np.clip(0.8 + 0.3 * canvas.grain(shape, 0.4), 0, 1.3)
    _paint(canvas, rng, window, mask.astype(np.float32), rng.uniform(1, 1.6) * _violet(rng), hides=True)


def _fibre(canvas: Canvas, rng: Rng) -> None:
    """A fibre or hair that crosses the field, in focus or not, dark or refractile."""
    height, width = canvas.shape
    diagonal = float(np.hypot(height, width))
    start, heading = rng.uniform(0, [width, height]), rng.uniform(0, 2 * np.pi)
    steps = np.linspace(0, 1, 40)
    bends = rng.normal(0, 0.08, 3) * diagonal
    along = (steps - rng.uniform()) * diagonal * rng.uniform(0.2, 1.3)
    across = sum(bend * np.sin(np.pi * (order + 1) * steps) / (order + 1) for order, bend in enumerate(bends))
    cos, sin = np.cos(heading), np.sin(heading)
    points = np.stack([start[0] + along * cos - across * sin, start[1] + along * sin + across * cos], axis=-1)
    thick = max(rng.uniform(0.3, 2.2) / canvas.um_per_px, 1)

    def strokes(mask: np.ndarray) -> None:
        cv2.polylines(mask, [np.rint(points * 16).astype(np.int32)], False, 255, round(thick), cv2.LINE_AA, 4)

    mask = cv2.GaussianBlur(_draw(canvas.shape, strokes), (0, 0), rng.uniform(0.4, 0.4 + thick / 2))
    colour = rng.uniform(0.3, 1.2) * np.array([1, rng.uniform(0.8, 1.2), rng.uniform(0.5, 1.2)], np.float32)
    if rng.random() < 0.3:  # bright core
        mask = mask - rng.uniform(0.8, 1.5) * mask**4
    _paint(canvas, rng, (slice(None), slice(None)), mask, colour, hides=True)


def _scratch(canvas: Canvas, rng: Rng) -> None:
    """A straight, thin, bright or dark line. It hides nothing."""
    height, width = canvas.shape
    ends = rng.uniform(-0.2, 1.2, (2, 2)) * [width, height]

    def strokes(mask: np.ndarray) -> None:
        cv2.polylines(mask, [np.rint(ends * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)

    grey = np.full(3, rng.choice([-0.2, 0.15, 0.3]) * rng.uniform(0.4, 1), np.float32)
    _paint(canvas, rng, (slice(None), slice(None)), _draw(canvas.shape, strokes), grey, hides=False)


def _dust(canvas: Canvas, rng: Rng) -> None:
    """A speck on another plane: a soft dark spot, or a soft ring. It hides nothing."""
    um, (height, width) = canvas.um_per_px, canvas.shape
    x, y, radius = rng.uniform(0, width * um), rng.uniform(0, height * um), np.exp(rng.uniform(0, 2))
    window = _local(canvas, x, y, 2.5 * radius)
    if 0 in canvas.reds[window].shape:
        return
    rows, columns = (np.arange(s.start, s.stop) + 0.5 for s in window)
    away = np.hypot((columns * um - x) * rng.uniform(0.7, 1.3), rows[:, None] * um - y) / radius
    mask = np.exp(-(away**2)) if rng.random() < 0.6 else np.exp(-(((away - 0.9) / 0.25) ** 2))
    colour = rng.uniform(0.15, 0.7) * np.array([1, rng.uniform(0.9, 1.1), rng.uniform(0.7, 1.1)], np.float32)
    _paint(canvas, rng, window, mask.astype(np.float32), colour, hides=False)


def _bubble(canvas: Canvas, rng: Rng) -> None:
    """A bubble or a drop of oil: a refractile ring, dark outside and bright inside. It hides what it covers."""
    um, (height, width) = canvas.um_per_px, canvas.shape
    x, y, radius = rng.uniform(0, width * um), rng.uniform(0, height * um), np.exp(rng.uniform(0, 2.3))
    window = _local(canvas, x, y, 1.3 * radius + 2)
    if 0 in canvas.reds[window].shape:
        return
    rows, columns = (np.arange(s.start, s.stop) + 0.5 for s in window)
    out = np.hypot(columns * um - x, rows[:, None] * um - y) - radius
    ring = rng.uniform(0.3, 0.9)
    mask = np.exp(-((out / ring) ** 2)) * rng.uniform(0.4, 1.2) - np.exp(-(((out + 2 * ring) / ring) ** 2)) * 0.35
    grey = np.array([1, rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.1)], np.float32)
    inside = out < 0
    canvas.dyes[window][inside] *= rng.uniform(0, 0.3)
    canvas.other[window][inside] *= 0.3
    _paint(canvas, rng, window, mask.astype(np.float32), grey, hides=False)
    for labels in (canvas.nuclei, canvas.whites, canvas.reds, canvas.platelets, canvas.smudges):
        labels[window][inside] = 0


_KINDS = (_grains, _patch, _fibre, _scratch, _dust, _bubble)
_CHANCES = (0.4, 0.2, 0.1, 0.05, 0.2, 0.05)

"""Find, remove and draw burned-in scale bars.

Microscope software draws bars and captions ("200 px", "100 µm") into the corners of some images.
If their style correlates with the class, as in the Aria data set, a network may learn the caption instead of the cells.
In training, bars are therefore removed and then drawn at random on all classes, so that they contain no information.
"""

from __future__ import annotations

import cv2
import numpy as np

CORNER = 0.25  # share of each side in which captions are searched
INKS = ((0, 0, 0), (200, 30, 30))  # usual colours: black and red


def find(image: np.ndarray) -> np.ndarray:
    """Find burned-in captions in the corners of an image.

    The ink is either neutral and nearly black, or saturated red. Neither occurs in stained cells, whose darkest parts
    are violet. The mask covers the strokes, the gaps between them and a margin for compression artefacts.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        bool, H × W.
    """
    height, width = image.shape[:2]
    corner_h, corner_w = int(height * CORNER), int(width * CORNER)
    unit = max(3, round(min(height, width) / 45))
    mask = np.zeros((height, width), bool)
    for rows in (slice(0, corner_h), slice(height - corner_h, height)):
        for columns in (slice(0, corner_w), slice(width - corner_w, width)):
            mask[rows, columns] = _captions(image[rows, columns], unit)
    return mask


def _captions(corner: np.ndarray, unit: int) -> np.ndarray:
    """Mask of the captions in one corner; `unit` is about the height of a letter, in pixels."""
    red, green, blue = (corner[..., c].astype(np.int16) for c in range(3))
    brightest = corner.max(axis=2)
    black = (brightest < 110) & (brightest - corner.min(axis=2) < 40)
    ink = (black | ((red - green > 60) & (red - blue > 40))).astype(np.uint8)
    mask = np.zeros(ink.shape, bool)
    if not ink.any():
        return mask
    joined = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((unit, 2 * unit), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for part in range(1, count):
        left, upper, part_width, part_height, _ = stats[part]
        strokes = int(ink[labels == part].sum())
        # A caption is wide with thin strokes; a dark cell fills its bounding box.
        if part_width >= 1.5 * unit and strokes >= 2 * unit and strokes < 0.75 * part_width * part_height:
            rows = slice(max(upper - unit, 0), upper + part_height + unit)
            mask[rows, max(left - 2 * unit, 0) : left + part_width + 2 * unit] = True
    return mask


def remove(image: np.ndarray) -> np.ndarray:
    """Remove burned-in captions by inpainting from their surroundings (Telea 2004, fast marching).

    Args:
        image: uint8, H × W × 3, RGB; not changed.

    Returns:
        uint8, H × W × 3, RGB.
    """
    mask = find(image)
    if not mask.any():
        return image
    image = image.copy()
    count, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for left, top, width, height, _ in boxes[1:count]:
        # Inpainting depends only on the surroundings of a caption.
        rows = slice(max(top - height, 0), top + 2 * height)
        columns = slice(max(left - width, 0), left + 2 * width)
        near = np.ascontiguousarray(image[rows, columns])
        image[rows, columns] = cv2.inpaint(near, mask[rows, columns].astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return image


def burn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a caption of random style, size and corner.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        rng: random generator.

    Returns:
        uint8, H × W × 3, RGB.
    """
    image = image.copy()
    height, width = image.shape[:2]
    box_w = int(width * rng.uniform(0.08, 0.2))
    box_h = int(box_w * rng.uniform(0.45, 0.9))
    gap_x, gap_y = int(width * rng.uniform(0, 0.06)), int(height * rng.uniform(0, 0.06))
    left = width - box_w - gap_x if rng.random() < 0.75 else gap_x
    top = height - box_h - gap_y if rng.random() < 0.75 else gap_y
    ink = INKS[int(rng.random() < 0.3)]
    if rng.random() < 0.7:
        cv2.rectangle(image, (left, top), (left + box_w, top + box_h), (255, 255, 255), cv2.FILLED)
    base = top + box_h - max(2, box_h // 6)
    tick = max(2, box_h // 4)
    thick = max(1, round(box_h / 14))
    cv2.line(image, (left + 2, base), (left + box_w - 2, base), ink, thick)
    for x in (left + 2, left + box_w - 2):
        cv2.line(image, (x, base - tick), (x, base + tick // 2), ink, thick)
    text = f"{rng.choice([20, 50, 100, 200, 500])} {rng.choice(['um', 'px', 'pixels'])}"
    scale = box_w / cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)[0][0] * 0.8
    cv2.putText(image, text, (left + 3, base - tick), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thick, cv2.LINE_AA)
    return image

"""Find TIFF pages that are only reduced copies or slide labels, by their content."""

from __future__ import annotations

import numpy as np
from PIL import Image

_SIDE = 32  # pixels, side of the reduced pages that are compared
_COPY_DIFFERS = 6  # grey levels, largest mean difference between a reduced copy and its original
_GROUND_SHARE = 0.6  # smallest share of a label that is one flat tone; photographs have noise
_INK = (0.002, 90)  # smallest share of a label that is text, and the lightest grey level of text


def without_copies_and_labels(pages: list[np.ndarray]) -> list[int]:
    """Indices of the pages that are independent pictures.

    Smaller copies of another page are left out. Drawn labels (black text or bars on one flat tone) are left out if
    there is at least one other page.

    Args:
        pages: uint8, H × W × 3 each, of any sizes.
    """
    if len(pages) == 1:
        return [0]
    indices = [index for index, page in enumerate(pages) if not _is_label(page)] or list(range(len(pages)))
    if len({pages[index].shape for index in indices}) == 1:
        return indices
    reduced = {index: _reduce(pages[index]) for index in indices}
    return [
        index
        for index in indices
        if not any(
            _may_be_copy(pages[index].shape, pages[other].shape)
            and np.abs(reduced[index] - reduced[other]).mean() < _COPY_DIFFERS
            and np.corrcoef(reduced[index].ravel(), reduced[other].ravel())[0, 1] > 0.9
            for other in indices
        )
    ]


def _reduce(page: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(page).resize((_SIDE, _SIDE), Image.Resampling.BOX)).astype(float)


def _may_be_copy(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    down, across = large[0] / small[0], large[1] / small[1]
    return min(down, across) > 1.3 and max(down, across) < 1.1 * min(down, across)


def _is_label(page: np.ndarray) -> bool:
    grey = np.asarray(Image.fromarray(page).convert("L")).astype(np.int16)
    counts = np.bincount(grey.ravel(), minlength=256)
    tone = int(counts.argmax())
    ground = np.abs(grey - tone) <= 6
    ink = grey <= _INK[1]
    colourless = np.ptp(page[ground | ink].reshape(-1, 3)[::7].astype(np.int16), axis=1).max(initial=0) <= 24
    return bool(
        tone > 150
        and counts[max(tone - 1, 0) : tone + 2].sum() >= _GROUND_SHARE * grey.size
        and ink.mean() >= _INK[0]
        and (ground | ink).mean() >= 0.9
        and colourless
    )

"""Pages of cells by the kind that they are taken for, one a laboratory, to be looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from leuko.cells.kinds import classify, crops
from leuko.cells.kinds.names import KINDS, UNKNOWN
from leuko.cells.segmentation import segment
from leuko.images.decode import ImageError, decode

FOLDERS = {
    "jhu": "*/*.jpg", "pbc": "*/*.jpg", "bccd": "JPEGImages/*.jpg", "raabin": "images/*.jpg", "aria": "*/*.jpg",
    "cnmc": "*.bmp", "jtsc": "*.bmp", "chula": "fields/*.jpg", "phone_and_thin": "*.*",
}  # fmt: skip
IMAGES, A_ROW, ROWS = 150, 16, 2  # of a laboratory; cells in a row, and rows of a kind


def write(data: Path, folder: Path) -> None:
    """Write `LABORATORY.png`: rows of unknown cells, then of each kind, the most doubtful first."""
    folder.mkdir(parents=True, exist_ok=True)
    for laboratory, pattern in FOLDERS.items():
        files = sorted((data / laboratory).glob(pattern))
        by_kind: dict[str, list[tuple[float, np.ndarray]]] = {kind: [] for kind in (UNKNOWN, *KINDS)}
        for file in files[:: max(1, len(files) // IMAGES)]:
            try:
                image = decode(file)
            except ImageError:
                continue
            segmentation = segment(image)
            if not segmentation.reliable:
                continue
            kinds = classify(image, segmentation)
            pixels = crops.cut(image, segmentation, range(1, len(kinds.types) + 1)).pixels
            for kind, doubt, crop in zip(kinds.types, kinds.doubt, pixels, strict=True):
                by_kind[kind].append((float(doubt), crop))
        bands = [_band(kind, cells) for kind, cells in by_kind.items() if cells]
        if bands:
            cv2.imwrite(str(folder / f"{laboratory}.png"), np.vstack(bands)[..., ::-1])


def _band(kind: str, cells: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """The rows of a kind under its name."""
    side = crops.SIDE_PX
    cells.sort(key=lambda cell: -cell[0])
    shown = [crop for _, crop in cells[: A_ROW * ROWS]]
    rows = -(-len(shown) // A_ROW)
    shown += [np.full((side, side, 3), 255, np.uint8)] * (rows * A_ROW - len(shown))
    grid = np.vstack([np.hstack(shown[row * A_ROW : (row + 1) * A_ROW]) for row in range(rows)])
    title = np.full((20, A_ROW * side, 3), 235, np.uint8)
    cv2.putText(title, f"{kind}: {len(cells)}", (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([title, grid])

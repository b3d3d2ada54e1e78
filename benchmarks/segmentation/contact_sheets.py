"""Pages of images beside the outlines of their cells, to be looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.segmentation import truth
from benchmarks.segmentation.run import Run, Segmenter
from leuko.cells import overlay
from leuko.images.decode import decode

CHOSEN = 40  # images of a folder
SEED = 26
SIDE = 400  # px, longer side of a picture
CAPTION = 24  # px
COLUMNS, ROWS = 3, 4


def write(run: Run, place: Path) -> None:
    """Write FOLDER_METHOD_PAGE.png for a fixed choice of 40 images of every folder into `place`."""
    place.mkdir(parents=True, exist_ok=True)
    for folder in truth.FOLDERS:
        files = truth.images(run.data, folder)
        chosen = np.random.default_rng(SEED).permutation(len(files))[:CHOSEN]
        tiles = run.map(_tile, [files[i] for i in sorted(chosen)])
        for page, start in enumerate(range(0, len(tiles), COLUMNS * ROWS), start=1):
            name = f"{folder}_{run.segmenter.method}_{page}.png"
            cv2.imwrite(str(place / name), _page(tiles[start : start + COLUMNS * ROWS])[..., ::-1])


def _tile(segmenter: Segmenter, file: Path) -> np.ndarray:
    """An image beside its outlines, with name, counts and scale above; uint8, RGB, of a fixed size."""
    image = decode(file)
    found = segmenter(image)
    labels = (found.white_cells, found.red_cells, found.platelets, found.smudges)
    counts = [0 if one is None else int(one.max(initial=0)) for one in labels]
    scale = f"{found.um_per_px:.3f} um/px" if found.um_per_px else "no scale"
    words = f"{file.stem[-24:]}  white {counts[0]} red {counts[1]} plt {counts[2]} smudge {counts[3]}  {scale}"
    tile = np.full((SIDE + CAPTION, 2 * SIDE, 3), 255, np.uint8)
    for place, picture in enumerate((image, overlay.draw(image, found))):
        factor = SIDE / max(picture.shape[:2])
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        shown = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way)[:SIDE, :SIDE]
        tile[CAPTION : CAPTION + shown.shape[0], place * SIDE : place * SIDE + shown.shape[1]] = shown
    colour = (0, 0, 0) if found.reliable else (200, 0, 0)
    return cv2.putText(tile, words, (4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _page(tiles: list[np.ndarray]) -> np.ndarray:
    blank = np.full_like(tiles[0], 255)
    full = tiles + [blank] * (COLUMNS * ROWS - len(tiles))
    return np.vstack([np.hstack(full[row : row + COLUMNS]) for row in range(0, len(full), COLUMNS)])

"""Red cells of the network's map: separated by the circles of their edges, and held against what red cells look like.

Where many red cells overlap, edges say more exactly than votes where one ends. They also give the diameter, and show
tissue and images out of focus, which have none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.segmentation.learned.classes import BACKGROUND, NUCLEUS, RED_CELL
from leuko.cells.segmentation.plausibility import PlausibilityParameters, are_red_cells
from leuko.cells.segmentation.red_cells import RedCells, separate


@dataclass(frozen=True)
class SeparationParameters:
    """What counts as a red cell; areas in red cells' areas. Chosen on even-numbered BCCD and Raabin files.

    Attributes:
        min_area: least area of a red cell,
        min_area_at_border: and of one that the border cuts; readers and boxes count such border fragments.
        min_cells: whole red cells that give a scale; the edges of those that the border cuts count too.
        first_guess: of the diameter, over the network's, which learnt from boxes, and these are wider than cells.
        nucleus_similarity: as of `PlausibilityParameters`, but chosen on every twelfth field of Aria and on drawn
            sections of tissue: the network also finds nuclei that are hardly darker than red cells.
        min_nucleus: area of all nuclei, in red cells' areas; with less there is no colour to compare with, and
        min_certainty: is the mean share that makes red cells plausible: 0.91 and more in 95 fields without white cells,
            0.88 in a drawn lymph node whose nuclei are all taken for red cells.
        min_ratio, max_ratio: of the diameters by edges and by the network; in images out of focus they differ more.
    """

    min_area: float = 0.33
    min_area_at_border: float = 0.1
    min_cells: int = 2
    first_guess: float = 0.92
    nucleus_similarity: float = 0.27
    min_nucleus: float = 0.15
    min_certainty: float = 0.9
    min_ratio: float = 0.72
    max_ratio: float = 1.25


PARAMETERS = SeparationParameters()


def separate_red_cells(resized: np.ndarray, shares: np.ndarray, diameter: float, background: np.ndarray) -> RedCells:
    """Separate the red cells of a field.

    Args:
        resized: uint8, h × w × 3, RGB: the image at the scale of the network.
        shares: float32, classes × h/2 × w/2: the network's map of it.
        diameter: expected, of a red cell, px of the resized image.
        background: float, 3: RGB of the empty background, at least 1.

    Returns:
        Labels, int32, of the resized image's size; the diameter in its pixels, None where too few whole red cells
        are seen or these are not plausible.
    """
    height, width = resized.shape[:2]
    light = np.minimum(resized[..., 1] / np.float32(background[1]), 1)
    red_share, background_share, nucleus_share = (
        cv2.resize(shares[kind], (width, height), interpolation=cv2.INTER_LINEAR)
        for kind in (RED_CELL, BACKGROUND, NUCLEUS)
    )
    red, others = red_share > 0.5, red_share + background_share < 0.5
    expected = PARAMETERS.first_guess * diameter
    found = separate(light, red, others, expected)
    measured = found.diameter or expected
    labels, whole = _large_enough(found.labels, np.pi / 4 * expected**2)
    if whole < PARAMETERS.min_cells:
        return RedCells(labels, None, found.plausible_edges)
    agree = PARAMETERS.min_ratio < measured / diameter < PARAMETERS.max_ratio
    plausible = found.plausible_edges and agree
    if plausible:
        lab = cv2.cvtColor(np.minimum(resized / background.astype(np.float32), 1), cv2.COLOR_RGB2LAB)
        nuclei = nucleus_share > 0.5
        plausible = are_red_cells(lab, labels, nuclei, PlausibilityParameters(PARAMETERS.nucleus_similarity))
        if np.count_nonzero(nuclei) < PARAMETERS.min_nucleus * np.pi / 4 * diameter**2:
            certainty = shares[RED_CELL][shares.argmax(axis=0) == RED_CELL].mean()
            plausible = plausible and bool(certainty > PARAMETERS.min_certainty)
    return RedCells(labels, measured if plausible else None, plausible)


def _large_enough(labels: np.ndarray, red_area: float) -> tuple[np.ndarray, int]:
    """The labels of what is large enough, and how many of them no border cuts."""
    areas = np.bincount(labels.ravel()) / red_area
    at_border = np.zeros(len(areas), bool)
    at_border[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    kept = areas > np.where(at_border, PARAMETERS.min_area_at_border, PARAMETERS.min_area)
    kept[0] = False
    return np.where(kept[labels], labels, 0), int((kept & ~at_border).sum())

"""Whether what was found can be cells at all: colours, shares, counts and sizes that no smear has."""

from __future__ import annotations

import numpy as np

ALIKE = 0.35  # of a nucleus' distance in colour from glass: a red cell that is nearer to it may be a nucleus
MOST_ALIKE = 0.15  # of the red cells; of the 1,105 fields of `leuko.cells.segmentation.hough_circles` not one has more
GAPLESS = 0.8  # share of the image that red cells cover at most; in 2 of 25 parts of sections they seemed to cover more
CONFLICT = 0.2  # greatest share by which the scale of red cells and that of the file may differ unsaid
SPECKS = 60, 8.0  # white cells from which on a median diameter of less than so many pixels is that of noise
COVERED = 0.95  # share of the field of view that white cells cover at most


def are_red_cells(lab: np.ndarray, red: np.ndarray, inside: np.ndarray) -> bool:
    """Whether what was taken for red cells can be red cells: it has not the colour of nuclei, and glass lies between.

    In sections of tissue the ground is taken for red cells, which then leave hardly any glass.

    Args:
        lab: float32, H × W × 3, CIELAB with glass as white.
        red: int, H × W: labels of what was taken for red cells.
        inside: bool, H × W: nuclei of white cells.
    """
    return np.count_nonzero(red) <= GAPLESS * red.size and _alike(lab, red, inside) <= MOST_ALIKE


def _alike(lab: np.ndarray, red: np.ndarray, inside: np.ndarray) -> float:
    """The share of red cells (labels) that have about the colour of nuclei (bool); `lab` with glass as white."""
    some = np.s_[::2, ::2]  # pixels: they tell a mean as well as all do
    colours, labels = lab[some].reshape(-1, 3), red[some].ravel()
    number = np.bincount(labels)
    seen = np.flatnonzero(number[1:]) + 1
    if not inside.any() or not len(seen):
        return 0.0
    usual = np.stack([np.bincount(labels, plane)[seen] / number[seen] for plane in colours.T], axis=1)
    nucleus = np.median(lab[inside], axis=0)
    apart = np.linalg.norm(nucleus - (100, 0, 0))
    return float((np.linalg.norm(usual - nucleus, axis=1) < ALIKE * apart).mean())


def scale_conflict(measured: float | None, stated: float | None) -> str | None:
    """A sentence where the red cells and the file give scales, in µm per pixel, that differ by over `CONFLICT`."""
    if not measured or not stated or 1 / (1 + CONFLICT) <= measured / stated <= 1 + CONFLICT:
        return None
    return (
        f"The file states {stated:.3g} µm per pixel, but by the size of the red cells it is {measured:.3g}; the red "
        "cells are used."
    )


def why_unreliable(white: np.ndarray, plausible: bool | None) -> str:
    """Why what was found in a field is obviously not cells, a sentence; empty where it may be.

    Args:
        white: int, H × W: labels of white cells.
        plausible: whether the red cells look like red cells; None where there are none.
    """
    areas = np.bincount(white.ravel())[1:]
    if len(areas) >= SPECKS[0] and 2 * np.sqrt(np.median(areas) / np.pi) < SPECKS[1]:
        return "What was found is as many and as small as the grain of an image, so nothing is counted."
    if areas.sum() > COVERED * white.size:
        return "What was found covers the whole image, as cells do not, so nothing is counted."
    if not len(areas) and plausible is False:
        return "What was found does not have the shapes and colours of cells, so nothing is counted."
    return ""

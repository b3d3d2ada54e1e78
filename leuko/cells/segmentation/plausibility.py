"""Plausibility checks: colours, shares, counts and sizes that objects in a smear cannot have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.cells.segmentation.colour_space import BACKGROUND


@dataclass(frozen=True)
class PlausibilityParameters:
    """Bounds of what is plausible.

    Attributes:
        nucleus_similarity: share of the nuclei's colour distance from the background; a red cell that is nearer to the
            nuclei than this may be a nucleus.
        max_nucleus_like: share of such red cells; none of the 1,105 fields of
            `leuko.cells.segmentation.hough_circles` has more.
        max_red_cover: share of the image that red cells cover; in 2 of 25 images of tissue sections it seemed more.
        max_scale_difference: relative difference of the scales of red cells and file that is not reported.
        noise_count: white cells from which on a median diameter under
        noise_diameter_px: means that image noise was segmented.
        max_white_cover: share of the image that white cells cover.
    """

    nucleus_similarity: float = 0.35
    max_nucleus_like: float = 0.15
    max_red_cover: float = 0.8
    max_scale_difference: float = 0.2
    noise_count: int = 60
    noise_diameter_px: float = 8.0
    max_white_cover: float = 0.95


DEFAULTS = PlausibilityParameters()


def are_red_cells(
    lab: np.ndarray, red_cells: np.ndarray, nuclei: np.ndarray, parameters: PlausibilityParameters = DEFAULTS
) -> bool:
    """Whether objects can be red cells: they do not have the colour of nuclei, and background lies between them.

    In tissue sections the ground tissue is segmented as red cells, which then leave hardly any background.

    Args:
        lab: float32, H × W × 3, CIELAB with the background as white.
        red_cells: int, H × W: labels.
        nuclei: bool, H × W: nuclei of white cells.
        parameters: the bounds.
    """
    if np.count_nonzero(red_cells) > parameters.max_red_cover * red_cells.size:
        return False
    return _nucleus_like_share(lab, red_cells, nuclei, parameters) <= parameters.max_nucleus_like


def _nucleus_like_share(
    lab: np.ndarray, red_cells: np.ndarray, nuclei: np.ndarray, parameters: PlausibilityParameters
) -> float:
    """The share of red cells (labels) that have about the colour of nuclei (bool)."""
    every_second = np.s_[::2, ::2]  # pixel, which is enough for a mean
    colours, labels = lab[every_second].reshape(-1, 3), red_cells[every_second].ravel()
    sizes = np.bincount(labels)
    present = np.flatnonzero(sizes[1:]) + 1
    if not nuclei.any() or not len(present):
        return 0.0
    means = np.stack([np.bincount(labels, plane)[present] / sizes[present] for plane in colours.T], axis=1)
    nucleus = np.median(lab[nuclei], axis=0)
    radius = parameters.nucleus_similarity * np.linalg.norm(nucleus - BACKGROUND)
    return float((np.linalg.norm(means - nucleus, axis=1) < radius).mean())


def describe_scale_conflict(
    measured: float | None, stated: float | None, parameters: PlausibilityParameters = DEFAULTS
) -> str | None:
    """A sentence if the scale by the red cells and the scale in the file (µm per pixel) differ; else None."""
    tolerance = 1 + parameters.max_scale_difference
    if not measured or not stated or 1 / tolerance <= measured / stated <= tolerance:
        return None
    return (
        f"The file states {stated:.3g} µm per pixel, but the size of the red cells gives {measured:.3g} µm per pixel; "
        "the red cells are used."
    )


def why_unreliable(
    white_cells: np.ndarray, red_cells_plausible: bool | None, parameters: PlausibilityParameters = DEFAULTS
) -> str:
    """Why the segmented objects of a field are obviously not cells, a sentence; empty if they may be cells.

    Args:
        white_cells: int, H × W: labels.
        red_cells_plausible: whether the red cells look like red cells; None where there are none.
        parameters: the bounds.
    """
    areas = np.bincount(white_cells.ravel())[1:]
    if len(areas) >= parameters.noise_count and 2 * np.sqrt(np.median(areas) / np.pi) < parameters.noise_diameter_px:
        return "The objects found are as many and as small as image noise, so no cells are counted."
    if areas.sum() > parameters.max_white_cover * white_cells.size:
        return "One stained area covers the whole image, as cells do not, so no cells are counted."
    if not len(areas) and red_cells_plausible is False:
        return "The objects found do not have the shape and colour of cells, so no cells are counted."
    return ""

"""Features of an image for classifiers that are no networks (SVM, forest, tree, neighbours): cells and colours.

A model folder names which of them its classifier takes (`leuko.networks.model_folder`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np

from leuko.cells.features.catalogue import AREA, LENGTH, NAMES
from leuko.cells.features.catalogue import FEATURES as CELL_FEATURES
from leuko.cells.features.morphology import as_matrix, describe
from leuko.cells.segmentation import Segmentation, segment
from leuko.images import scale_bar
from leuko.images.stain.colour_statistics import colour_statistics

# What model folders name: "deep" are the features of a frozen network.
FeatureSet = Literal["colours", "cells", "k-means nuclei", "deep"]
DescribeImage = Callable[[np.ndarray], np.ndarray]  # image, uint8, H × W × 3, RGB → features, float, D

_SIZES = np.array([feature.unit in (LENGTH, AREA) for feature in CELL_FEATURES])
_NUCLEUS = np.array([not name.startswith(("cell_", "cytoplasm_", "contrast_")) for name in NAMES])


def cells_and_colours(image: np.ndarray) -> np.ndarray:
    """Measurements of the white cells, the number of cells of each kind, and nine colour statistics."""
    image = scale_bar.remove(image)
    # The paper's segmentation, whatever the default is: model folders store classifiers fitted to these measurements.
    segmentation = segment(image, "fuzzy")
    return np.concatenate([_pooled(image, segmentation), _counts(segmentation), colour_statistics(image)])


def nuclei_by_k_means(image: np.ndarray) -> np.ndarray:
    """Shape, border dimension, colour and texture of nuclei segmented by k-means.

    After Kazemi, Najafabadi & Araabi, "Automatic recognition of acute myelogenous leukemia in blood microscopic images
    using k-means clustering and support vector machine", 2016, doi:10.4103/2228-7477.186885.
    """
    image = scale_bar.remove(image)
    return _pooled(image, segment(image, "k-means"))[np.tile(_NUCLEUS, 3)]


FEATURES: dict[str, DescribeImage] = {
    "colours": colour_statistics,
    "cells": cells_and_colours,
    "k-means nuclei": nuclei_by_k_means,
}


def _pooled(image: np.ndarray, segmentation: Segmentation) -> np.ndarray:
    """Mean and standard deviation over the white cells, and the cell with the largest nucleus; 3 × features.

    Cells that the image border cuts are left out if there are others. Sizes are NaN where the scale is unknown, and
    everything is NaN where there are no cells.
    """
    table = describe(image, segmentation)
    _, cells = as_matrix(table)
    if not segmentation.um_per_px:
        cells[:, _SIZES] = np.nan
    if not len(cells):
        return np.full(3 * len(NAMES), np.nan)
    whole = ~table["touches_border"]
    cells, nuclei = (values[whole] if whole.any() else values for values in (cells, table["nucleus_area"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column may hold nothing but NaN
        return np.concatenate([np.nanmean(cells, axis=0), np.nanstd(cells, axis=0), cells[np.nanargmax(nuclei)]])


def _counts(segmentation: Segmentation) -> np.ndarray:
    white, red, platelets = (
        labels.max() for labels in (segmentation.white_cells, segmentation.red_cells, segmentation.platelets)
    )
    return np.array([white, red, platelets, white / max(red, 1)], dtype=float)

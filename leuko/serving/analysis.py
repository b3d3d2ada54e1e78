"""The analysis of one upload, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.cells.segmentation import DEFAULT_METHOD
from leuko.images.decode import ImageError, pictures
from leuko.inference.classifier import ClassificationResult, Classifier
from leuko.inference.finding import Finding


@dataclass(frozen=True)
class Analysis:
    """Everything that the page shows about one image.

    Attributes:
        result: the finding, and what it is based on.
        image: uint8, H × W × 3, RGB.
        heat_maps: for every class, float32 at the feature map's resolution, 0 to 1; empty if the model has none.
        first_class: the class whose heat map is shown first: the predicted one if the network's prediction was used,
            else one that means leukaemia.
    """

    result: ClassificationResult
    image: np.ndarray
    heat_maps: dict[str, np.ndarray]
    first_class: str

    @property
    def finding(self) -> Finding:
        """The finding for the image."""
        return self.result.finding


def analyse(classifier: Classifier, source: str | Path, method: str = DEFAULT_METHOD) -> Analysis:
    """Decode, classify and explain one image file.

    Args:
        classifier: the model.
        source: the file.
        method: of segmentation, one of `leuko.cells.segmentation.METHODS`.

    Raises:
        leuko.images.decode.ImageError: the file cannot be read, or holds several pictures.
    """
    picture, *more = pictures(source)
    if more:
        raise ImageError(f"The file holds {1 + len(more)} pictures; the tab Many images analyses each of them.")
    result = classifier.analyse(picture.pixels, um_per_px=picture.um_per_px, method=method)
    labels = classifier.labels if classifier.has_heat_maps else ()
    heat_maps = {label: classifier.heat_map(result, label) for label in labels}
    if result.verdict.basis == "network":
        first_class = result.finding.label
    else:
        first_class = (*classifier.model.metadata.positive, *classifier.labels)[0]
    return Analysis(result, picture.pixels, heat_maps, first_class)


def model_name(model: Mapping[str, str]) -> str:
    """Name and version of the model, from a finding's `model`."""
    return f"{model['name']}, version {model['version']}"

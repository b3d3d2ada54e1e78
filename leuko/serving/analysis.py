"""What one upload becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.images.decode import ImageError, pictures
from leuko.inference.classifier import ClassificationResult, Classifier, Finding
from leuko.networks import grad_cam


@dataclass(frozen=True)
class Analysis:
    """Everything that is shown of one image.

    Attributes:
        reading: what is said of it, and on what that rests.
        image: uint8, H × W × 3, RGB.
        heat_maps: for every class, float32 at the feature map's resolution, 0 to 1; none where the model draws none.
        first: the class whose heat map is shown first: the most probable one where the network's answer counts.
    """

    reading: ClassificationResult
    image: np.ndarray
    heat_maps: dict[str, np.ndarray]
    first: str

    @property
    def finding(self) -> Finding:
        """What is said of the image."""
        return self.reading.finding

    def overlay(self, label: str, opacity: float = 0.5) -> np.ndarray:
        """The heat map of a class laid over the image at no more than `explain.OVERLAY_SIDE`.

        Returns uint8, RGB; opacity 0 to 1.
        """
        return grad_cam.overlay(self.image, self.heat_maps[label], opacity)


def analyse(classifier: Classifier, source: str | Path) -> Analysis:
    """Decode, judge and explain one image file.

    Raises:
        leuko.images.decode.ImageError: the file cannot be used, or holds several pictures.
    """
    picture, *more = pictures(source)
    if more:
        raise ImageError(f"The file holds {1 + len(more)} pictures; the tab Many images judges each of them.")
    image = picture.pixels
    reading = classifier.read(image, um_per_px=picture.um_per_px)
    labels = classifier.labels if classifier.explains else ()
    heat_maps = {label: classifier.heat_map(reading, label) for label in labels}
    asked = (*classifier.model.metadata.positive, *classifier.labels)[0]
    counts = reading.verdict.basis == "network"
    return Analysis(reading, image, heat_maps, reading.finding.label if counts else asked)


def advice(finding: Finding) -> str:
    """What to do next."""
    if not finding.quality.usable:
        return "The check below says what to change; then upload again."
    if finding.leukaemia_probability is None:
        return "Use a model with a class that means leukaemia; --positive names it when a model is trained or adapted."
    if finding.decision == "suspicious":
        return "Refer: have the slide read by an expert."
    if finding.decision == "not suspicious":
        return "This does not exclude leukaemia or any other disease."
    if not finding.in_distribution:
        return "Do not rely on this answer; upload further fields of the slide, or have it read by an expert."
    return "Upload further fields of the slide, or have it read by an expert."


def model_name(model: Mapping[str, str]) -> str:
    """The model that judged, in words, from a finding's `model`."""
    return f"{model['name']}, version {model['version']}"

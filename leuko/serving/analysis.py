"""What one upload becomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.images.decode import decode
from leuko.models import explain
from leuko.models.classifier import Classifier, Finding, Reading


@dataclass(frozen=True)
class Analysis:
    """Everything that is shown of one image.

    Attributes:
        reading: what is said of it, and on what that rests.
        image: uint8, H × W × 3, RGB.
        heat_maps: for every class, float32 at the feature map's resolution, 0 to 1; none where the model draws none.
    """

    reading: Reading
    image: np.ndarray
    heat_maps: dict[str, np.ndarray]

    @property
    def finding(self) -> Finding:
        """What is said of the image."""
        return self.reading.finding

    def overlay(self, label: str, opacity: float = 0.5) -> np.ndarray:
        """The heat map of a class laid over the image at no more than `explain.OVERLAY_SIDE`.

        Returns uint8, RGB; opacity 0 to 1.
        """
        return explain.overlay(self.image, self.heat_maps[label], opacity)


def analyse(classifier: Classifier, source: str | Path) -> Analysis:
    """Decode, judge and explain one image file.

    Raises:
        leuko.images.decode.ImageError: the file cannot be used.
    """
    image = decode(source)
    reading = classifier.read(image)
    labels = classifier.labels if classifier.explains else ()
    return Analysis(reading, image, {label: classifier.heat_map(reading, label) for label in labels})


def headline(finding: Finding) -> tuple[str, str]:
    """The decision in words: a title and what to do next."""
    if not finding.quality.usable:
        return "Not fit to be judged", "The check below says what to change; then upload again."
    if finding.decision == "uncertain" and not finding.in_distribution:
        return "Uncertain: unlike the training images", "Do not rely on this answer; have the slide read by an expert."
    if finding.decision == "suspicious":
        return "Suspicious for ALL", "Refer: have the slide read by an expert."
    if finding.decision == "not suspicious":
        return "Not suspicious for ALL", "This does not exclude leukaemia or any other disease."
    return "Uncertain", "Upload further fields of the slide, or have it read by an expert."

"""Deep Leuko: reads blood-smear images for signs of acute lymphoblastic leukaemia. Research use only.

    import leuko

    model = leuko.load()                      # or a model folder, or a Hub id USER/NAME
    finding = model.classify("smear.jpg")     # or an array (uint8, H × W × 3, RGB), or a Pillow image
    finding.decision, finding.reasons
    heat_map = model.explain(leuko.read_image("smear.jpg"))
    cells = leuko.segment("smear.jpg")

Importing the package is cheap: what a function needs is imported when it is called.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from leuko.system.about import RESEARCH_NOTICE, VERSION

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from leuko.cells.segmentation import Segmentation
    from leuko.images.decode import ImageError
    from leuko.inference.classifier import ClassificationResult, Classifier
    from leuko.inference.finding import Finding
    from leuko.networks.model import ModelFolderError

# Threads that spin while they wait take the cores from other processes (a second process made training ten times
# slower); asleep they cost nothing measurable. OpenMP reads this when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = VERSION

__all__ = [
    "RESEARCH_NOTICE",
    "ClassificationResult",
    "Classifier",
    "Finding",
    "ImageError",
    "ModelFolderError",
    "Segmentation",
    "__version__",
    "load",
    "read_image",
    "segment",
]

_CLASSES = {
    "ClassificationResult": "leuko.inference.classifier",
    "Classifier": "leuko.inference.classifier",
    "Finding": "leuko.inference.finding",
    "ImageError": "leuko.images.decode",
    "ModelFolderError": "leuko.networks.model",
    "Segmentation": "leuko.cells.segmentation",
}


def __getattr__(name: str) -> type:
    """Import a public class at its first use (PEP 562)."""
    if name not in _CLASSES:
        raise AttributeError(f"module 'leuko' has no attribute {name!r}")
    return getattr(import_module(_CLASSES[name]), name)


def load(model: str | Path | None = None) -> Classifier:
    """Load a classifier.

    Args:
        model: a model folder or a Hub id (`USER/NAME`); the embedded model if None.

    Raises:
        ModelFolderError: the model is missing, incomplete, changed or untrained.
    """
    from leuko.inference.classifier import Classifier

    return Classifier.load(model)


def read_image(file: str | Path) -> np.ndarray:
    """Read an image file as uint8, H × W × 3, RGB: upright, in sRGB, within the limits of size.

    Raises:
        ImageError: the file cannot be read, or it holds several pictures.
    """
    from leuko.inference.inputs import as_picture

    return as_picture(file).pixels


def segment(
    image: str | Path | np.ndarray | Image.Image, um_per_px: float | None = None, method: str | None = None
) -> Segmentation:
    """Segment the white cells, their nuclei, red cells and platelets of an image; `learned` finds smudge cells, too.

    Args:
        image: a file, an array (uint8, H × W × 3, RGB) or a Pillow image.
        um_per_px: size of a pixel in micrometres, if it is known; used where red cells give no scale. A file may state
            its own.
        method: `learned`, `fuzzy`, `k-means` or `otsu`; by default `leuko.cells.segmentation.DEFAULT_METHOD`.

    Raises:
        ImageError: the image cannot be used.
        KeyError: there is no such method.
    """
    from leuko.cells.segmentation import DEFAULT_METHOD
    from leuko.cells.segmentation import segment as segment_pixels
    from leuko.inference.inputs import as_picture

    picture = as_picture(image)
    return segment_pixels(picture.pixels, method or DEFAULT_METHOD, um_per_px or picture.um_per_px)

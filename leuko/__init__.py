"""Deep Leuko: reads blood-smear images for signs of acute lymphoblastic leukaemia. Research use only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leuko.inference.classifier import Classifier

# Threads that spin while they wait take the cores from whatever else runs (a second process made training ten times
# slower); asleep they cost nothing measurable. Read by OpenMP when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research use only. Not a medical device and not a diagnosis."


def load(model: str | None = None) -> Classifier:
    """Load a classifier from a model folder or a Hub id; without an argument, the embedded default.

    Raises:
        leuko.networks.model_folder.ModelFolderError: the model is missing, incomplete, changed or untrained.
    """
    from leuko.inference.classifier import Classifier

    return Classifier.load(model)

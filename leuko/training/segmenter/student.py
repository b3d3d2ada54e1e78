"""The student of round one as the teacher of round two: the network, averaged over colours, labels images anew.

Averages over changed images are better labels than a single prediction (Radosavovic et al., "Data distillation", 2018,
arXiv:1712.04440).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from leuko.cells.segmentation import Segmentation
from leuko.cells.segmentation.learned.field import cells_of
from leuko.cells.segmentation.learned.network import Look, SegmentationNetwork
from leuko.cells.segmentation.learned.scale_search import find_scale
from leuko.training.segmenter.colour_changes import recolour
from leuko.training.segmenter.sources import SourceImage


@dataclass(frozen=True)
class StudentParameters:
    """How the student labels.

    Attributes:
        colours: views in other colours, beside the image itself.
        sure: averaged share of a class from which it is a label.
    """

    colours: int = 3
    sure: float = 0.6


PARAMETERS = StudentParameters()


def teach(image: np.ndarray, network: SegmentationNetwork, rng: np.random.Generator) -> tuple[Segmentation, np.ndarray]:
    """What the averaged student finds in an image, uint8, H × W × 3, RGB; and where it is sure, bool, H × W."""
    looks = find_scale(image, network)
    views = [looks.look] + [network.look(recolour(looks.resized, rng)) for _ in range(PARAMETERS.colours)]
    look = Look(
        np.mean([view.shares for view in views], axis=0),
        np.mean([view.offsets for view in views], axis=0),
        looks.look.red_diameter,
    )
    height, width = image.shape[:2]
    sure = cv2.resize(look.shares.max(axis=0), (width, height), interpolation=cv2.INTER_LINEAR) > PARAMETERS.sure
    return cells_of(replace(looks, look=look), image, None), sure


def with_platelets(student: Segmentation, teacher: Segmentation, known: SourceImage) -> Segmentation:
    """The student's segmentation with the first teacher's platelets.

    Platelets are so few pixels that the student of round one misses many, and would forget them in round two.

    Args:
        student, teacher: of one image.
        known: of it; where it says that a platelet lies in the middle, what the teacher took for a white cell is one.
    """
    found = teacher.platelets.copy()
    if known.white_cells == "platelet":
        white = teacher.white_cells
        found[white > 0] = white[white > 0] + found.max()
    else:
        found[student.white_cells > 0] = 0
    fresh = found > 0
    platelets = student.platelets.copy()
    platelets[fresh] = found[fresh] + platelets.max()
    return replace(student, platelets=platelets)

"""A training example of the segmentation network: an image with the class and the cell of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from leuko.cells.red_cell_size import RED_CELL_DIAMETER_UM
from leuko.cells.segmentation import Segmentation
from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS, PLATELET, RED_CELL, SMUDGE
from leuko.images.synthetic.rendering import Smear

UNKNOWN = 255  # class of a pixel that nothing is learnt from
MAX_RED_DIAMETER_PX = 52.0  # examples are stored at this scale at most; views are smaller


@dataclass(frozen=True)
class Example:
    """An image with labels.

    Attributes:
        image: uint8, H × W × 3, RGB.
        classes: uint8, H × W, of `leuko.cells.segmentation.learned.classes`, or `UNKNOWN`.
        instances: int32, H × W: which cell a pixel belongs to, unique over all kinds; 0 is none or unknown.
        red_diameter: of a typical red cell, px.
    """

    image: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    red_diameter: float

    @classmethod
    def from_smear(cls, smear: Smear) -> Example:
        """A drawn smear with its exact labels."""
        classes, instances = classes_and_instances(smear)
        return cls(smear.image, classes, instances, RED_CELL_DIAMETER_UM / smear.um_per_px).reduced()

    def reduced(self) -> Example:
        """The same at the scale at which examples are stored."""
        if self.red_diameter <= MAX_RED_DIAMETER_PX:
            return self
        factor = MAX_RED_DIAMETER_PX / self.red_diameter
        height, width = (max(round(factor * side), 1) for side in self.classes.shape)
        return Example(
            cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA),
            cv2.resize(self.classes, (width, height), interpolation=cv2.INTER_NEAREST_EXACT),
            cv2.resize(self.instances, (width, height), interpolation=cv2.INTER_NEAREST_EXACT),
            MAX_RED_DIAMETER_PX,
        )


def classes_and_instances(cells: Smear | Segmentation) -> tuple[np.ndarray, np.ndarray]:
    """The class of each pixel and its cell, as of `Example`; platelets and smudge cells lie over other cells."""
    classes = np.zeros(cells.white_cells.shape, np.uint8)
    instances = np.zeros(cells.white_cells.shape, np.int32)
    stacked = (cells.white_cells, cells.red_cells, cells.platelets, cells.smudges)
    for labels, kind in zip(stacked, (CYTOPLASM, RED_CELL, PLATELET, SMUDGE), strict=True):
        if labels is not None:
            inside = labels > 0
            classes[inside] = kind
            instances[inside] = labels[inside] + instances.max()
    classes[(cells.nuclei > 0) & (classes == CYTOPLASM)] = NUCLEUS
    return classes, instances


def write(examples: list[Example], file: Path) -> None:
    """Write examples to one `.npz` file, in one step."""
    arrays = {
        f"{name}{i}": np.asarray(getattr(example, name))
        for i, example in enumerate(examples)
        for name in ("image", "classes", "instances", "red_diameter")
    }
    draft = file.with_suffix(".draft.npz")
    np.savez(draft, allow_pickle=False, **arrays)
    draft.replace(file)


def read(file: Path) -> list[Example]:
    """Read what `write` wrote."""
    with np.load(file, allow_pickle=False) as stored:
        return [
            Example(
                stored[f"image{i}"],
                stored[f"classes{i}"],
                stored[f"instances{i}"],
                float(stored[f"red_diameter{i}"]),
            )
            for i in range(len(stored.files) // 4)
        ]

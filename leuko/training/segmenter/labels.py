"""Labels of a training image in the making."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from leuko.cells.segmentation import Segmentation
from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS
from leuko.training.segmenter.example import UNKNOWN, classes_and_instances


@dataclass
class Labels:
    """Labels in the making; attributes as of `leuko.training.segmenter.example.Example`."""

    classes: np.ndarray
    instances: np.ndarray
    red_diameter: float

    @classmethod
    def start(cls, teacher: Segmentation, red_diameter: float) -> Labels:
        """As a teacher found them."""
        return cls(*classes_and_instances(teacher), red_diameter)

    @property
    def red_area(self) -> float:
        """Area of a typical red cell, px."""
        return np.pi / 4 * self.red_diameter**2

    @property
    def white(self) -> np.ndarray:
        """bool: pixels of white cells."""
        return (self.classes == CYTOPLASM) | (self.classes == NUCLEUS)

    def forget(self, where: np.ndarray) -> None:
        """Make pixels unknown."""
        self.classes[where] = UNKNOWN
        self.instances[where] = 0

    def cells(self, where: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
        """Id, window and mask, bool, of each instance among pixels."""
        labels = np.where(where, self.instances, 0)
        for number, window in enumerate(ndimage.find_objects(labels), start=1):
            if window is not None:
                yield number, window, labels[window] == number

    def new_id(self) -> int:
        """An id that no cell has."""
        return int(self.instances.max()) + 1

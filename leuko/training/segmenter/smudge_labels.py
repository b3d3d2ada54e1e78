"""Smudge cells among the labels of a training image: cells that burst when the smear was made.

A colour segmentation has no class for them: it takes them for white or for red cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation import Segmentation
from leuko.cells.segmentation.learned.classes import NUCLEUS, RED_CELL, SMUDGE
from leuko.training.segmenter.labels import Labels


@dataclass(frozen=True)
class SmudgeParameters:
    """Bounds for smudge cells; areas as shares of a red cell's, colours in CIELAB.

    Attributes:
        tint: how far from the tint of red cells (0) to that of nuclei (1) a smudge cell lies at least.
        area: least area.
        min_tint: least distance of the two tints, to tell smudge cells by.
        paleness: density of a smudge cell over that of the typical nucleus of its field, at most; up to
        doubtful_paleness: it may be one or not.
        density, doubtful_density: optical density for green light, at most, likewise.
        min_nuclei: of a field, for one to be typical.
    """

    tint: float = 0.45
    area: float = 0.8
    min_tint: float = 12.0
    paleness: float = 0.65
    doubtful_paleness: float = 0.72
    density: float = 0.45
    doubtful_density: float = 0.55
    min_nuclei: int = 3


PARAMETERS = SmudgeParameters()


def forget_unknown(labels: Labels, image: np.ndarray, teacher: Segmentation) -> None:
    """Forget what a teacher without a class for them takes for red cells and has the tint of nuclei.

    Smudge cells and pale cytoplasm are such.
    """
    if teacher.smudges is not None or not (teacher.nuclei > 0).any():
        return
    tint = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 0.06 * labels.red_diameter), cv2.COLOR_RGB2LAB)[..., 1:]
    tint = tint.astype(np.float32)
    red = labels.classes == RED_CELL
    if not red.any():
        return
    from_red, from_nuclei = np.median(tint[red], axis=0), np.median(tint[teacher.nuclei > 0], axis=0)
    axis = from_nuclei - from_red
    length = float(axis @ axis)
    if length < PARAMETERS.min_tint**2:
        return
    like = red & (((tint - from_red) @ axis) / length > PARAMETERS.tint)
    found, _ = ndimage.label(ndimage.binary_opening(like, iterations=max(round(0.08 * labels.red_diameter), 1)))
    areas = np.bincount(found.ravel())
    for number in np.flatnonzero(areas[1:] > PARAMETERS.area * labels.red_area / 2) + 1:
        near = cv2.dilate((found == number).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        touched = np.unique(labels.instances[found == number])
        labels.forget((np.isin(labels.instances, touched[touched > 0]) & red) | (near & red))


def mark_pale(labels: Labels, image: np.ndarray) -> None:
    """White cells whose nucleus is much paler than the others of the field are smudge cells; in doubt, unknown.

    Of 90 such cells in Aria's training part that were looked at, all but two were smudge cells.
    """
    nuclei = np.where(labels.classes == NUCLEUS, labels.instances, 0)
    ids = np.unique(nuclei[nuclei > 0])
    if len(ids) < PARAMETERS.min_nuclei:
        return
    light = image[..., 1].astype(np.float32)
    density = -np.log(np.maximum(light, 3) / max(float(np.quantile(light, 0.95)), 3))
    means = np.atleast_1d(ndimage.mean(density, nuclei, ids))
    typical = np.median(means)
    for number, mean in zip(ids, means, strict=True):
        cell = labels.white & (labels.instances == number)
        if mean < min(PARAMETERS.paleness * typical, PARAMETERS.density):
            labels.classes[cell] = SMUDGE
        elif mean < min(PARAMETERS.doubtful_paleness * typical, PARAMETERS.doubtful_density):
            labels.forget(cell)

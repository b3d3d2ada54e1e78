"""The student as a teacher: what several looks agree on, and the first teacher's platelets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from leuko.cells.segmentation import Segmentation
from leuko.cells.segmentation.learned.classes import CLASSES, RED_CELL
from leuko.cells.segmentation.learned.network import Look
from leuko.training.segmenter.sources import SourceImage
from leuko.training.segmenter.student import PARAMETERS, teach, with_platelets
from tests.training.segmenter.drawn_lists import smear

FIELD = smear(4)
KNOWN = SourceImage("drawn", Path("a.png"))


class Wavering:
    """A network that is right about an image in its own colours; in others it sees only background on the left."""

    def look(self, image: np.ndarray) -> Look:
        height, width = image.shape[:2]
        size = -(-width // 2), -(-height // 2)
        red = cv2.resize((FIELD.red_cells > 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        same = np.abs(image.astype(float) - cv2.resize(FIELD.image, (width, height))).mean() < 3
        if not same:
            red[:, : size[0] // 2] = False
        shares = np.zeros((len(CLASSES), *size[::-1]), np.float32)
        shares[RED_CELL], shares[0] = red, ~red
        return Look(shares, np.zeros((2, *size[::-1]), np.float32), 24.0 * width / FIELD.image.shape[1])


def test_the_student_is_sure_where_its_looks_agree():
    _, sure = teach(FIELD.image, Wavering(), np.random.default_rng(0))
    half, core = FIELD.image.shape[1] // 2, cv2.erode((FIELD.red_cells > 0).astype(np.uint8), np.ones((7, 7))) > 0
    assert 1 / (PARAMETERS.colours + 1) < PARAMETERS.sure
    agreed = 1 - 1 / (PARAMETERS.colours + 1)  # of the looks say background on the left
    assert sure.shape == FIELD.red_cells.shape
    assert sure[:, half + 8 :][core[:, half + 8 :]].all()
    assert sure[:, : half - 8][core[:, : half - 8]].all() == (agreed > PARAMETERS.sure)


def test_platelets_of_the_first_teacher_stay_outside_white_cells():
    empty = np.zeros(FIELD.red_cells.shape, np.int32)
    student = Segmentation(FIELD.nuclei, FIELD.white_cells, FIELD.red_cells, empty.copy(), FIELD.um_per_px)
    platelets = empty.copy()
    platelets[:4, :4] = 1
    inside = FIELD.white_cells == 1
    platelets[inside] = 2
    teacher = replace(student, platelets=platelets, white_cells=empty, nuclei=empty)
    merged = with_platelets(student, teacher, KNOWN)
    assert (merged.platelets[inside] == 0).all()
    assert (merged.platelets[:4, :4] > 0)[FIELD.white_cells[:4, :4] == 0].all()
    assert (with_platelets(student, teacher, replace(KNOWN, white_cells="platelet")).platelets[inside] > 0).all()

"""Outlines in the overlay and values in the mask: every kind of cell can be told from the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leuko.cells.overlay import COLOURS, draw
from leuko.cells.segmentation import Segmentation


def disc(y: int, x: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:640, :640]
    return np.hypot(rows - y, columns - x) < radius


@pytest.fixture
def found() -> Segmentation:
    """Two white cells, of 40 px around (150, 150) and (450, 150); a red cell, a platelet and a smudge cell."""
    white, nuclei, red, platelets, smudges = np.zeros((5, 640, 640), np.int32)
    for label, y in enumerate((150, 450), start=1):
        white[disc(y, 150, 40)] = label
        nuclei[disc(y, 150, 20)] = label
    red[disc(150, 450, 30)] = platelets[disc(300, 450, 12)] = smudges[disc(450, 450, 45)] = 1
    return Segmentation(nuclei, white, red, platelets, 0.2, smudges=smudges)


GREY = np.full((640, 640, 3), 200, np.uint8)


def drawn(segmentation: Segmentation, kind: str) -> np.ndarray:
    return (draw(GREY, segmentation) == COLOURS[kind]).all(axis=2)


def test_every_kind_has_an_outline_of_its_own_colour(found):
    assert len(set(COLOURS.values())) == 5
    smudges = drawn(found, "smudges")[400:500, 400:500]  # the numbers elsewhere are black too
    assert np.count_nonzero(smudges) > 200 and not smudges[40:60, 40:60].any()
    assert all(drawn(found, kind).any() for kind in COLOURS)
    without = replace(found, smudges=None)
    assert not drawn(without, "smudges")[400:500, 400:500].any() and drawn(without, "red_cells").any()


def test_only_doubtful_white_cells_are_outlined_by_dashes(found):
    sure, doubtful = (
        drawn(replace(found, confidence=np.array(values, np.float32)), "white_cells")
        for values in ((0.9, 0.5), (0.9, 0.2))
    )
    assert np.array_equal(sure, drawn(found, "white_cells"))
    assert np.array_equal(sure[:300], doubtful[:300])
    assert 0.3 < doubtful[300:].sum() / sure[300:].sum() < 0.7 and not (doubtful & ~sure).any()
    angles = np.arctan2(*(axis - axis.mean() for axis in np.nonzero(doubtful[300:])))
    assert (np.histogram(angles, bins=6)[0] > 0).all()  # all around the cell


def test_the_mask_holds_smudge_cells_by_a_value_of_their_own(found):
    mask = found.mask()
    values = [mask[y, x] for y, x in ((150, 150), (150, 180), (150, 450), (450, 450), (300, 450), (0, 0))]
    assert values == [255, 128, 64, 32, 0, 0] and mask.dtype == np.uint8
    assert np.array_equal(replace(found, smudges=None).mask(), np.where(mask == 32, 0, mask))

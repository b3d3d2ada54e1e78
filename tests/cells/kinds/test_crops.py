"""Crops of cells: one scale, white light, and nothing that tells of the surroundings."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from leuko.cells.kinds import crops
from leuko.cells.segmentation import Segmentation
from leuko.images.synthetic import rendering


def drawn(um_per_px: float = 0.2, seed: int = 4) -> tuple[np.ndarray, Segmentation]:
    side = round(80 / um_per_px)
    smear = rendering.render(
        seed, width=side, height=side, um_per_px=um_per_px, white_cells={"neutrophil": 2, "lymphocyte": 1}, cut=False
    )
    labels = smear.nuclei, smear.white_cells, smear.red_cells, smear.platelets
    return smear.image, Segmentation(*labels, um_per_px, "red cells")


def test_a_cell_has_the_same_size_and_place_whatever_the_pixels_of_the_image():
    areas = []
    for um_per_px in (0.1, 0.2, 0.4):
        image, found = drawn(um_per_px)
        parts = crops.cut(image, found, [1]).parts[0]
        rows, columns = np.nonzero(parts)
        assert abs(rows.mean() - 47.5) < 5 and abs(columns.mean() - 47.5) < 5
        areas.append((parts > 0).sum() * crops.UM_PER_PX**2)
        truth = (found.white_cells == 1).sum() * um_per_px**2
        assert areas[-1] == pytest.approx(truth, rel=0.08)


def test_the_crop_does_not_change_with_what_lies_around_the_cell():
    image, found = drawn()
    before = crops.cut_alone(image, found, [1])[0]
    other = image.copy()
    far = cv2.dilate((found.white_cells == 1).astype(np.uint8), np.ones((19, 19))) == 0
    far &= (found.white_cells > 0) | (found.red_cells > 0)  # the empty slide stays: it gives the light
    other[far] = (20, 200, 90)
    after = crops.cut_alone(other, found, [1])[0]
    assert np.abs(before.astype(int) - after).max() <= 2
    assert (before[:6] == 255).all() and (before[:, -6:] == 255).all()


def test_a_dimmer_lamp_gives_the_same_crop():
    image, found = drawn()
    dim = np.rint(image * [0.7, 0.6, 0.5]).astype(np.uint8)
    bright, dark = (crops.cut_alone(each, found, [2])[0].astype(float) for each in (image, dim))
    assert np.abs(bright - dark).mean() < 2


def test_a_cell_at_the_border_is_padded_with_white_and_no_cell_is_no_crop():
    image, found = drawn()
    rows, columns = np.nonzero(found.white_cells == 1)
    corner = np.s_[: int(rows.mean()), : int(columns.mean())]
    cut = replace(
        found, **{name: getattr(found, name)[corner] for name in ("nuclei", "white_cells", "red_cells", "platelets")}
    )
    crop = crops.cut(image[corner], cut, [1])
    assert (crop.parts[0] > 0).any() and (crop.pixels[0][-3:, -3:] == 255).all()
    assert crops.cut_alone(image, found, []).shape == (0, 96, 96, 3)


def test_without_red_cells_the_nuclei_give_the_scale():
    image, found = drawn(0.2)
    unknown = replace(found, um_per_px=None, scale_source=None)
    assert crops.scale(unknown) == pytest.approx(0.2, rel=0.35)
    assert crops.cut_alone(image, unknown, [1, 2, 3]).shape == (3, 96, 96, 3)

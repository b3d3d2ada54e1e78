"""Random views: labels fit the image at every scale and orientation, and a seed gives one view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leuko.cells.segmentation.learned.classes import OFFSET_UNIT_PX, RED_CELL
from leuko.training.segmenter import views
from leuko.training.segmenter.example import UNKNOWN, Example
from leuko.training.segmenter.views import draw
from tests.training.segmenter.drawn_lists import smear

SIDE = 128
SEEDS = range(12)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(views, "PARAMETERS", replace(views.PARAMETERS, side=SIDE, max_enlargement=1.2))


def disc(diameter: float = 40.0) -> Example:
    """One red cell in an image of 80 px, not in its middle."""
    y, x = np.mgrid[0:80, 0:80]
    inside = np.hypot(y - 34, x - 45) < diameter / 2
    image = np.where(inside[..., None], [190, 120, 120], [235, 230, 235]).astype(np.uint8)
    return Example(image, np.where(inside, RED_CELL, 0).astype(np.uint8), inside.astype(np.int32), diameter)


@pytest.mark.parametrize("seed", SEEDS)
def test_offsets_point_to_the_middle_of_the_cell(seed):
    view = draw([disc()], np.random.default_rng(seed))
    voted = ~np.isnan(view.offsets[0])
    cell = view.classes[::2, ::2] == RED_CELL
    assert cell.any() and (voted == cell).all()
    rows, columns = np.nonzero(voted)
    targets = np.stack([rows, columns]) + view.offsets[:, voted] * OFFSET_UNIT_PX / 2
    assert targets[0] == pytest.approx(rows.mean(), abs=0.1) and targets[1] == pytest.approx(columns.mean(), abs=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_diameter_is_that_of_the_cell_in_the_view(seed):
    view = draw([disc()], np.random.default_rng(seed))
    known = view.diameter[~np.isnan(view.diameter)]
    seen = 2 * np.sqrt((view.classes == RED_CELL).sum() / np.pi)
    if seen > 20:  # small discs have few pixels
        assert np.exp(known) == pytest.approx(seen, rel=0.08)


def test_the_same_seed_gives_the_same_view_and_another_one_another():
    example = Example.from_smear(smear(2))
    one, same, other = (draw([example, example], np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in ("image", "classes", "offsets", "diameter"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert (one.image != other.image).any()


def test_shapes_types_and_what_lies_outside_examples():
    view = draw([disc()], np.random.default_rng(0))
    assert view.image.shape == (SIDE, SIDE, 3) and view.image.dtype == np.uint8
    assert view.classes.shape == (SIDE, SIDE) and view.classes.dtype == np.uint8
    assert view.offsets.shape == (2, SIDE // 2, SIDE // 2) and view.offsets.dtype == np.float32
    assert view.diameter.shape == (SIDE // 16, SIDE // 16) and view.diameter.dtype == np.float32
    outside = view.classes == UNKNOWN
    assert outside.any() and (view.image[outside] == 127).all()


def test_examples_are_not_changed():
    example = disc()
    for array in (example.image, example.classes, example.instances):
        array.flags.writeable = False
    for seed in SEEDS:
        draw([example], np.random.default_rng(seed))

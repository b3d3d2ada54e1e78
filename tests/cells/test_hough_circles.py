"""Round things by their edges: sizes and centres that are known, and scikit-image's Hough transform as oracle."""

import cv2
import numpy as np
import pytest
from skimage.feature import canny
from skimage.transform import hough_circle

from leuko.cells.segmentation.hough_circles import CircleEdges
from leuko.cells.segmentation.red_cells import find_red_cells

SIDE = 240


def discs(centres, radius, pale=0.0):
    """Light through discs that absorb and add up, each with a paler middle if asked for; and where they are."""
    light, mask = np.ones((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.uint8)
    for x, y in centres:
        for r, factor in ((radius, 0.6), (0.4 * radius, 0.6**-pale)):
            disc = np.zeros((SIDE, SIDE), np.float32)
            cv2.circle(disc, (round(16 * x), round(16 * y)), round(16 * r), 1, cv2.FILLED, cv2.LINE_AA, 4)
            light *= factor**disc
        cv2.circle(mask, (round(x), round(y)), round(radius), 1, cv2.FILLED)
    return cv2.GaussianBlur(light, (0, 0), 0.8), mask > 0


def of(light, mask, expected):
    return CircleEdges.detect(light, mask, np.zeros_like(mask), expected)


ROW = [(40, 60), (62, 66), (150, 70), (172, 90), (60, 170), (160, 180)]  # two pairs that overlap, two alone


@pytest.mark.parametrize("radius", [9.0, 14.0, 18.5])
@pytest.mark.parametrize("wrong", [0.75, 1.0, 1.3])
def test_the_radius_is_found_from_one_that_is_a_third_off(radius, wrong):
    light, mask = discs(ROW, radius)
    assert of(light, mask, radius * wrong).typical_radius() == pytest.approx(radius, rel=0.05)


def test_scikit_images_hough_transform_finds_the_same_radius():
    light, mask = discs(ROW, 16.0, pale=0.5)
    radii = np.arange(10, 24)
    best = radii[hough_circle(canny(light, 1.0), radii).max(axis=(1, 2)).argmax()]
    assert of(light, mask, 14.0).typical_radius() == pytest.approx(best, abs=1)


@pytest.mark.parametrize("pale", [0.0, 0.8])
def test_centres_of_things_that_overlap_lie_where_they_were_drawn(pale):
    light, mask = discs(ROW, 15.0, pale)
    found = of(light, mask, 15.0).centres(15.0)[:, ::-1]
    away = np.linalg.norm(np.array(ROW)[:, None] - found[None], axis=2)
    assert len(found) == len(ROW) and away.min(axis=1).max() < 0.3 * 15


def test_edges_of_other_things_do_not_vote():
    light, mask = discs(ROW, 12.0)
    large = np.zeros_like(mask, np.uint8)
    cv2.circle(large, (120, 225), 34, 1, cv2.FILLED)
    light = np.where(large > 0, 0.2, light).astype(np.float32)
    edges = CircleEdges.detect(light, mask & (large == 0), large > 0, 12.0)
    assert edges.typical_radius() == pytest.approx(12, rel=0.06)
    centres = edges.centres(12.0)
    assert not large[tuple(centres.T)].any()


def test_an_image_turned_has_its_cells_turned():
    light, mask = discs(ROW, 15.0)
    upright, turned = (of(a, b, 15.0) for a, b in ((light, mask), (np.rot90(light).copy(), np.rot90(mask).copy())))
    assert turned.typical_radius() == pytest.approx(upright.typical_radius(), rel=0.01)
    assert len(turned.centres(15.0)) == len(upright.centres(15.0))


def test_without_edges_there_is_no_radius():
    flat = np.full((SIDE, SIDE), 0.5, np.float32)
    assert of(flat, np.ones_like(flat, bool), 15.0).typical_radius() is None


def cloudy(grain: float) -> tuple[np.ndarray, np.ndarray]:
    """Smooth noise, and its darker half."""
    noise = cv2.GaussianBlur(np.random.default_rng(1).standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), grain)
    return 0.8 - 0.1 * noise / noise.std(), noise > 0


@pytest.mark.parametrize("pale", [0.0, 0.8])
def test_discs_are_plausible_by_their_edges_and_what_has_none_is_not(pale):
    light, mask = discs(ROW, 15.0, pale)
    assert of(light, mask, 15.0).is_plausible(15.0)
    blurred = cv2.GaussianBlur(light, (0, 0), 10)
    assert not of(blurred, blurred < 0.9, 15.0).is_plausible(15.0)
    assert not of(2 - light, mask, 15.0).is_plausible(15.0)  # paler than their ground
    noise = cloudy(3.0)[0] - 0.8
    assert of(light + 0.5 * noise, mask, 15.0).is_plausible(15.0)
    assert not of(light + noise, mask, 15.0).is_plausible(15.0)  # a ground as uneven as the edges are steep
    for grain in (4.0, 8.0):
        assert not of(*cloudy(grain), 2 * grain).is_plausible(2 * grain)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_roll_of_red_cells_is_counted(count):
    chain = [(40 + 19 * i, 60 + 4 * i) for i in range(count)]
    alone = [(40, 190), (90, 200), (150, 190), (200, 150)]
    light, mask = discs(chain + alone, 14.0)
    found = find_red_cells(light, mask, np.zeros_like(mask), None)
    assert found.labels.max() == count + len(alone)
    assert found.diameter == pytest.approx(28, rel=0.12)

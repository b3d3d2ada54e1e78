"""Overlapping fields are found by what both show, whatever light and focus; other fields do not overlap."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leuko.cases.registration import Structure, find_shift, matches
from leuko.images.synthetic import rendering

WIDTH, HEIGHT = 640, 480


@pytest.fixture(scope="module")
def slide() -> np.ndarray:
    return rendering.render(
        5, width=1840, height=1200, um_per_px=0.16, white_cells={"neutrophil": 16, "blast": 9}
    ).image


def field(slide: np.ndarray, x: int, y: int) -> np.ndarray:
    return slide[y : y + HEIGHT, x : x + WIDTH]


def as_photographed_again(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    blurred = cv2.GaussianBlur(np.clip(0.9 * image + noise, 0, 255).astype(np.uint8), (0, 0), 1.5)
    return cv2.imdecode(cv2.imencode(".jpg", blurred, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize(("x", "y"), [(576, 30), (512, -40), (384, 60), (-580, 10), (20, 400), (450, 300), (0, 0)])
def test_a_shift_is_found_however_little_both_fields_show(slide, x, y):
    first, second = field(slide, 600, 300), field(slide, 600 + x, 300 + y)
    found = find_shift(Structure.of(first), Structure.of(as_photographed_again(second)))
    assert found is not None
    assert found.x == pytest.approx(x, abs=8) and found.y == pytest.approx(y, abs=8)
    assert found.share == pytest.approx((WIDTH - abs(x)) * (HEIGHT - abs(y)) / (WIDTH * HEIGHT), abs=0.03)


def test_fields_of_different_sizes_are_compared_where_the_camera_is_the_same(slide):
    part = slide[250:560, 300:760]
    found = find_shift(Structure.of(field(slide, 100, 100)), Structure.of(part))
    assert found is not None and found.x == pytest.approx(200, abs=8) and found.y == pytest.approx(150, abs=8)
    reduced = cv2.resize(part, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    assert find_shift(Structure.of(field(slide, 100, 100)), Structure.of(reduced)) is None


def test_other_fields_of_the_same_stain_do_not_overlap(slide):
    others = [rendering.render(seed, width=WIDTH, height=HEIGHT, um_per_px=0.16).image for seed in range(6)]
    structures = [Structure.of(image) for image in (field(slide, 0, 0), field(slide, 760, 520), *others)]
    assert all(find_shift(a, b) is None for a in structures for b in structures if a is not b)


def test_an_empty_field_overlaps_nothing(slide):
    empty = Structure.of(np.full((HEIGHT, WIDTH, 3), 240, np.uint8))
    assert find_shift(empty, Structure.of(field(slide, 0, 0))) is None
    assert find_shift(empty, empty) is None


def test_positions_match_if_each_is_the_nearest_of_the_other():
    first, second = np.array([[0.0, 0], [10, 0], [11, 0]]), np.array([[10.4, 0], [0.5, 0], [50, 0]])
    assert matches(first, second) == [(0, 1), (1, 0)]
    assert matches(first, np.empty((0, 2))) == []

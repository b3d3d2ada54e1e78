"""Photographs through an eyepiece and cells that were cut out: what is looked at, and what is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leuko.cells.segmentation import segment
from leuko.images import field_of_view, masked_cell_detection
from leuko.images.quality import assessment
from leuko.images.synthetic import rendering
from leuko.networks.preprocessing import to_input
from tests.drawn import cut_out


@pytest.fixture(scope="module")
def field() -> rendering.Smear:
    return rendering.render(4, width=400, height=400, um_per_px=0.14, white_cells={"blast": 3})


def through_eyepiece(
    image: np.ndarray, frame: tuple[int, int], middle: tuple[int, int], surround=(8, 6, 7), soft: float = 0.5
) -> np.ndarray:
    """The image's disc in a dark frame, height × width, around a middle, x and y; its radius is half the image."""
    radius = min(image.shape[:2]) / 2
    rows, columns = np.indices(frame)
    far = np.hypot(columns - middle[0], rows - middle[1])
    moved = np.float32([[1, 0, middle[0] - image.shape[1] / 2], [0, 1, middle[1] - image.shape[0] / 2]])
    laid = cv2.warpAffine(image, moved, frame[::-1], borderMode=cv2.BORDER_REFLECT_101).astype(float)
    light = 1 / (1 + np.exp(np.clip((far - radius) / soft, -40, 40)))[..., None]
    noise = np.random.default_rng(0).normal(0, 3, (*frame, 1))
    return np.clip(light * laid + (1 - light) * (np.array(surround) + noise), 0, 255).astype(np.uint8)


FRAMES = {
    "just around it": ((404, 404), (202, 202), {}),
    "off-centre in a photo of 4:3": ((600, 800), (230, 340), {}),
    "cut by the frame": ((420, 560), (180, 120), {}),
    "dark grey, slightly red": ((600, 600), (300, 280), {"surround": (58, 48, 50)}),
    "a soft rim": ((600, 800), (400, 300), {"soft": 8.0}),
    "small": ((1100, 1300), (800, 400), {}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_the_disc_is_found_and_the_rest_counts_for_nothing(field, name):
    frame, middle, how = FRAMES[name]
    image = through_eyepiece(field.image, frame, middle, **how)
    image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)
    view = field_of_view.find(image)
    assert np.hypot(view.middle[0] - middle[0], view.middle[1] - middle[1]) < 8
    assert 160 < view.radius <= 202
    assert assessment.assess(image).usable
    found = segment(image)
    assert found.nuclei.shape == frame and found.surround.shape == frame
    rows, columns = np.indices(frame)
    outside = np.hypot(columns - middle[0], rows - middle[1]) > 202
    for labels in (found.white_cells, found.red_cells, found.platelets, found.nuclei):
        assert not labels[outside].any()
        assert set(np.unique(labels)) <= set(range(labels.max() + 1))
    assert found.area < 1.02 * np.pi * 200**2
    assert found.white_cells.max() >= 1 and found.um_per_px == pytest.approx(0.14, rel=0.15)


def test_the_network_is_shown_the_disc_alone(field, embedded):
    how = embedded.model.preprocessing
    near = through_eyepiece(field.image, (404, 404), (202, 202))
    far = through_eyepiece(field.image, (900, 1200), (500, 400), surround=(30, 25, 25))
    assert np.abs(to_input(near, how) - to_input(far, how)).mean() < 0.25
    reading = embedded.analyse(far)
    heat = embedded.heat_map(reading, reading.finding.label)
    heat = cv2.resize(heat, far.shape[1::-1])
    x0, y0, x1, y1 = (round(side) for side in reading.field_of_view.box)
    assert heat[y0:y1, x0:x1].sum() > 0.95 * heat.sum()


def test_a_whole_field_is_not_taken_for_a_disc(field, embedded):
    dark_corner = field.image.copy()
    cv2.circle(dark_corner, (0, 0), 60, (90, 40, 120), cv2.FILLED)  # a nucleus that the corner cuts
    vignette = field.image * np.linspace(1, 0.6, 400)[:, None, None]
    for image in (field.image, dark_corner, vignette.astype(np.uint8)):
        assert field_of_view.find(image) is None and masked_cell_detection.find(image) is None
        assert field_of_view.crop_to_field_of_view(image) is image


@pytest.mark.parametrize("ground", [(0, 0, 0), (12, 12, 12), (128, 128, 128), (255, 255, 255)])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_cell_that_was_cut_out_is_one_white_cell(field, ground, compressed):
    image = cut_out(field, ground)
    if compressed:
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], cv2.IMREAD_COLOR)
    assert assessment.assess(image).issues == ()
    found = segment(image)
    assert found.white_cells.max() == 1 and found.red_cells.max() == 0 and found.um_per_px is None
    cell, nucleus = found.white_cells > 0, found.nuclei > 0
    assert nucleus.any() and not nucleus[~cell].any()
    truth = np.count_nonzero(field.white_cells == 1)
    assert cell.sum() == pytest.approx(truth, rel=0.15)
    if ground[0] < 250:
        assert found.masked_cell and found.area == cell.sum()


def test_things_on_black_that_are_no_cells_are_not_taken_for_one():
    ball = np.zeros((300, 300, 3), np.uint8)
    cv2.circle(ball, (150, 150), 80, (120, 40, 160), cv2.FILLED)  # a drawing
    leaf = np.zeros((300, 300, 3), np.uint8)
    noise = np.random.default_rng(0).normal(0, 12, (300, 300, 3))
    cv2.circle(leaf, (150, 150), 80, (40, 160, 60), cv2.FILLED)
    leaf = np.where(leaf.any(axis=2, keepdims=True), np.clip(leaf + noise, 0, 255), 0).astype(np.uint8)
    for image in (ball, leaf):
        assert masked_cell_detection.find(image) is None and not assessment.assess(image).usable

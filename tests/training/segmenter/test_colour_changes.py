"""Random colours: cells stay where they are and what they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leuko.cells.segmentation.learned.classes import RED_CELL
from leuko.training.segmenter.colour_changes import change, recolour
from leuko.training.segmenter.example import Example
from tests.training.segmenter.drawn_lists import smear

EXAMPLE = Example.from_smear(smear(3))
SEEDS = range(20)


def changed(seed: int) -> np.ndarray:
    return change(EXAMPLE.image, EXAMPLE.classes, EXAMPLE.red_diameter, np.random.default_rng(seed))


def edges(image: np.ndarray) -> np.ndarray:
    grey = cv2.GaussianBlur(image.astype(np.float32).mean(axis=2), (0, 0), 2)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_edges_stay_in_their_places(seed):
    image = changed(seed)
    assert image.shape == EXAMPLE.image.shape and image.dtype == np.uint8
    assert np.corrcoef(edges(EXAMPLE.image).ravel(), edges(image).ravel())[0, 1] > 0.5


def test_red_cells_stay_darker_than_the_background():
    red, empty = EXAMPLE.classes == RED_CELL, EXAMPLE.classes == 0
    contrasts = [float(image[empty].mean() - image[red].mean()) for image in map(changed, SEEDS)]
    assert min(contrasts) > 2


def test_colours_vary_as_between_laboratories():
    hues = np.array([changed(seed)[EXAMPLE.classes == RED_CELL].mean(axis=0) for seed in SEEDS])
    assert (hues.std(axis=0) > 15).all()


def test_a_seed_gives_the_same_colours_and_arguments_are_not_changed():
    for array in (EXAMPLE.image, EXAMPLE.classes):
        array.flags.writeable = False
    np.testing.assert_array_equal(changed(1), changed(1))
    one, same, other = (recolour(EXAMPLE.image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == EXAMPLE.image.shape and one.dtype == np.uint8 and (one != other).any()

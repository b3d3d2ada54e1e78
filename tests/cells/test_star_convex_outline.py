"""Star-shaped outlines: shapes with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from leuko.cells.segmentation.star_convex_outline import star_convex_regions

Y, X = np.mgrid[:120, :120]


def gain(inside: np.ndarray) -> np.ndarray:
    return np.where(inside, 0.6, -0.6).astype(np.float32)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("centre", [(60, 60), (52, 66)])
def test_a_disc_is_found_even_from_beside_its_middle(centre):
    disc = np.hypot(Y - 60, X - 60) < 30
    found = star_convex_regions([gain(disc)], np.array([centre], float), np.array([55.0]))[0]
    assert overlap(found, disc) > 0.95


def test_specks_are_bridged_and_a_leak_is_cut_off():
    rng = np.random.default_rng(0)
    disc = np.hypot(Y - 60, X - 60) < 30
    specked = disc ^ (rng.random(disc.shape) < 0.1)
    leaking = specked | ((abs(Y - 60) < 3) & (X > 60))
    found = star_convex_regions([gain(leaking)], np.array([[60.0, 60.0]]), np.array([58.0]))[0]
    assert overlap(found, disc) > 0.9


def test_things_are_found_each_for_itself_and_the_border_cuts_them():
    left, right = np.hypot(Y - 60, X) < 25, np.hypot(Y - 60, X - 80) < 20
    found = star_convex_regions(
        [gain(left), gain(right)], np.array([[60.0, 3.0], [60.0, 80.0]]), np.array([45.0, 40.0])
    )
    assert overlap(found[0], left) > 0.9 and overlap(found[1], right) > 0.9
    assert star_convex_regions([], np.empty((0, 2)), np.empty(0)) == []

"""White cells with the colour of red cells are none, and platelets are smaller than cells."""

from __future__ import annotations

import numpy as np

from leuko.cells.segmentation.learned.classes import BACKGROUND, CLASSES, NUCLEUS, PLATELET, RED_CELL, SMUDGE
from leuko.cells.segmentation.learned.implausible_cells import correct_platelets, correct_white_cells

RED, BLUE, PINK, GLASS = (214, 150, 160), (90, 60, 150), (205, 160, 190), (240, 240, 240)
RED_RADIUS = 8


def seen(cells: list[tuple[int, int, int, tuple[int, int, int]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The map, the labels and the image of a field with two red cells, and with white cells: x, y, radius, colour."""
    image = np.full((80, 120, 3), GLASS, np.uint8)
    classes, labels = np.full((80, 120), BACKGROUND), np.zeros((80, 120), np.int32)
    y, x = np.mgrid[:80, :120]
    for left in (12, 34):
        disc = np.hypot(x - left, y - 12) < RED_RADIUS
        image[disc], classes[disc] = RED, RED_CELL
    for number, (left, top, radius, colour) in enumerate(cells, start=1):
        disc = np.hypot(x - left, y - top) < radius
        image[disc], classes[disc], labels[disc] = colour, NUCLEUS, number
    shares = np.full((len(CLASSES), 80, 120), 0.02, np.float32)
    np.put_along_axis(shares, classes[None], 0.9, axis=0)
    return shares, labels, image


def classes_of(cells: list[tuple[int, int, int, tuple[int, int, int]]]) -> list[int]:
    """The class in the middle of each white cell after the correction."""
    shares, labels, image = seen(cells)
    kind = correct_white_cells(shares, labels, image, np.array(GLASS, float), np.pi * RED_RADIUS**2).argmax(axis=0)
    return [int(kind[y, x]) for x, y, _, _ in cells]


def test_a_red_cell_beside_a_white_cell_is_a_red_cell():
    assert classes_of([(70, 40, 16, BLUE), (100, 16, 8, RED)]) == [NUCLEUS, RED_CELL]


def test_a_large_pale_cell_beside_white_cells_is_a_smudge_cell():
    assert classes_of([(70, 40, 16, BLUE), (104, 16, 12, BLUE), (24, 56, 18, PINK)]) == [NUCLEUS, NUCLEUS, SMUDGE]


def test_the_only_white_cell_of_a_field_stays_and_so_do_pale_nuclei():
    assert classes_of([(70, 40, 16, PINK)]) == [NUCLEUS]
    paler = tuple(int((one + other) / 2) for one, other in zip(BLUE, (120, 90, 170), strict=True))
    assert classes_of([(70, 40, 16, BLUE), (100, 16, 8, paler)]) == [NUCLEUS, NUCLEUS]


def test_the_only_white_cell_is_a_red_cell_where_it_has_their_very_colour():
    assert classes_of([(70, 40, 9, RED)]) == [RED_CELL]


def test_nothing_changes_where_there_is_nothing_to_compare_with():
    shares, labels, image = seen([])
    assert correct_white_cells(shares, labels, image, np.array(GLASS, float), 200.0) is shares


def test_a_platelet_as_large_as_a_cell_is_a_white_cell_unless_the_network_is_sure():
    shares, labels, _ = seen([(70, 40, 10, BLUE), (100, 16, 4, BLUE)])
    for share, large in ((0.6, NUCLEUS), (0.95, PLATELET)):
        shares[PLATELET, labels > 0], shares[NUCLEUS, labels > 0] = share, 0.3 * (1 - share)
        kind = correct_platelets(shares, np.pi * RED_RADIUS**2).argmax(axis=0)
        assert (kind[40, 70], kind[16, 100]) == (large, PLATELET)

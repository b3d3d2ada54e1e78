"""White cells that touch are divided where each has a large nucleus; lobes of one nucleus are not."""

from __future__ import annotations

import numpy as np

from leuko.cells.segmentation.learned.clump_division import divide_clumps

RED_RADIUS = 10


def cell_with(nuclei: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels of one white cell around discs (x, y, radius), and its nuclei; and another cell with one nucleus."""
    y, x = np.mgrid[:100, :180]
    in_nucleus = np.zeros(x.shape, bool)
    labels = np.zeros(x.shape, np.int32)
    for left, top, radius in nuclei:
        in_nucleus |= np.hypot(x - left, y - top) < radius
        labels[np.hypot(x - left, y - top) < radius + 3] = 1
    beside = np.hypot(x - 160, y - 50) < 12
    in_nucleus |= beside
    labels[beside] = 2
    return labels, in_nucleus


def divided(nuclei: list[tuple[int, int, int]]) -> tuple[np.ndarray, list[int]]:
    labels, in_nucleus = cell_with(nuclei)
    found, origins = divide_clumps(labels, in_nucleus, np.pi * RED_RADIUS**2)
    assert np.array_equal(found > 0, labels > 0)
    return found, origins.tolist()


def test_a_clump_of_three_blasts_is_three_cells_that_remember_where_they_come_from():
    blasts = [(30, 30, 14), (56, 30, 14), (43, 54, 14)]
    found, origins = divided(blasts)
    assert len({int(found[y, x]) for x, y, _ in blasts}) == 3
    assert origins == [0, 1, 2, 1, 1]


def test_lobes_of_one_nucleus_and_a_dented_nucleus_stay_one_cell():
    assert divided([(30, 50, 8), (45, 44, 8), (60, 50, 8)])[1] == [0, 1, 2]  # a neutrophil
    assert divided([(34, 50, 15), (48, 50, 15)])[1] == [0, 1, 2]  # a monocyte
    assert divided([(40, 50, 20)])[1] == [0, 1, 2]


def test_two_lobes_in_much_cytoplasm_stay_one_cell():
    labels, in_nucleus = cell_with([(30, 50, 12), (70, 50, 12)])
    labels[20:80, 10:90] = 1
    assert divide_clumps(labels, in_nucleus, np.pi * RED_RADIUS**2)[1].tolist() == [0, 1, 2]

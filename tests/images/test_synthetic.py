"""Rendered fields: the ground truth must be true, or every test that rests on it is worthless."""

import cv2
import numpy as np
import pytest

from leuko.images.synthetic.rendering import STAINS, Stain, render

MIXED = {"blast": 2, "lymphocyte": 2, "neutrophil": 1, "monocyte": 1}
LABELS = ("nuclei", "white_cells", "red_cells", "platelets")


@pytest.fixture(scope="module")
def smear():
    return render(7, white_cells=MIXED)


def ids(labels):
    return set(np.unique(labels)) - {0}


def diameters_um(smear, labels):
    """Diameter of the disc as large as each label; array index i belongs to id i + 1."""
    return np.sqrt(np.bincount(labels.ravel())[1:] * 4 / np.pi) * smear.um_per_px


def whole(labels):
    """Ids that the border does not cut."""
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return sorted(ids(labels) - set(border))


def test_arrays_have_the_size_and_type_promised():
    smear = render(0, width=200, height=150, um_per_px=0.25)
    assert smear.image.shape == (150, 200, 3) and smear.image.dtype == np.uint8
    for name in LABELS:
        labels = getattr(smear, name)
        assert labels.shape == (150, 200) and labels.dtype == np.int32, name
    assert smear.um_per_px == 0.25


def test_same_seed_same_field_other_seed_other_field():
    one, again, other = (render(seed, width=320, height=240, um_per_px=0.24) for seed in (5, 5, 6))
    assert np.array_equal(one.image, again.image)
    assert all(np.array_equal(getattr(one, name), getattr(again, name)) for name in LABELS)
    assert one.kinds == again.kinds
    assert not np.array_equal(one.white_cells, other.white_cells)


def test_every_cell_asked_for_is_labelled(smear):
    assert sorted(smear.kinds) == sorted(kind for kind, count in MIXED.items() for _ in range(count))
    assert ids(smear.white_cells) == ids(smear.nuclei) == set(range(1, len(smear.kinds) + 1))
    assert len(ids(smear.platelets)) == 5


@pytest.mark.parametrize("seed", range(3))
def test_ids_have_no_gaps_even_where_cells_hide_others(seed):
    smear = render(seed, width=224, height=224, um_per_px=0.42, white_cells={"blast": 9}, red_cover=0.9, rouleaux=0.8)
    for name in LABELS:
        found = ids(getattr(smear, name))
        assert found == set(range(1, len(found) + 1)), name


def test_nothing_asked_for_nothing_drawn():
    smear = render(1, width=120, height=90, white_cells={}, red_cover=0, platelets=0, shading=0, noise=0)
    assert smear.kinds == () and not any(getattr(smear, name).any() for name in LABELS)
    assert np.ptp(smear.image[..., 1]) < 25  # bare glass


def test_every_nucleus_lies_inside_its_own_cell_and_is_one_piece(smear):
    in_nucleus = smear.nuclei > 0
    assert np.array_equal(smear.nuclei[in_nucleus], smear.white_cells[in_nucleus])
    for i, kind in enumerate(smear.kinds, start=1):
        nucleus, cell = smear.nuclei == i, smear.white_cells == i
        assert nucleus.sum() < cell.sum(), kind
        assert cv2.connectedComponents(nucleus.astype(np.uint8))[0] == 2, kind


@pytest.mark.parametrize("seed", range(4))
def test_a_rim_of_cytoplasm_surrounds_every_nucleus(seed):
    smear = render(seed, white_cells={"blast": 3, "lymphocyte": 2}, red_cover=0)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for i in ids(smear.white_cells):
        inner = cv2.erode((smear.white_cells == i).astype(np.uint8), cross)
        assert inner[smear.nuclei == i].all()


def test_nuclei_of_neutrophils_are_lobed_and_those_of_lymphocytes_round():
    smear = render(5, white_cells={"neutrophil": 3, "lymphocyte": 3})
    for i, kind in enumerate(smear.kinds, start=1):
        hull = cv2.convexHull(np.argwhere(smear.nuclei == i).astype(np.int32))
        solidity = np.sum(smear.nuclei == i) / cv2.contourArea(hull)
        assert solidity < 0.85 if kind == "neutrophil" else solidity > 0.95, kind


def test_white_cells_displace_what_lies_below_them(smear):
    below = smear.white_cells > 0
    assert not smear.red_cells[below].any() and not smear.platelets[below].any()


def test_white_cells_keep_apart_unless_told_to_touch():
    def clumps(touching):
        smear = render(3, width=400, height=400, um_per_px=0.25, white_cells={"blast": 6}, touching=touching)
        assert len(ids(smear.white_cells)) == 6
        return cv2.connectedComponents((smear.white_cells > 0).astype(np.uint8))[0] - 1

    assert clumps(0) == 6
    assert clumps(1) <= 3


def test_white_cells_are_whole():
    for seed in range(5):
        smear = render(seed, width=224, height=224, um_per_px=0.42, white_cells={"blast": 8}, touching=0.5)
        assert whole(smear.white_cells) == list(range(1, 9))


@pytest.mark.parametrize("um_per_px", [0.12, 0.42])
def test_cells_have_their_size_in_um_at_any_scale(um_per_px):
    side = round(94 / um_per_px)
    smear = render(2, width=side, height=side, um_per_px=um_per_px, white_cells=MIXED, rouleaux=0)
    expected = {"blast": (12, 18), "lymphocyte": (8, 10), "neutrophil": (12, 14), "monocyte": (14, 18)}
    cells, nuclei = (diameters_um(smear, labels) for labels in (smear.white_cells, smear.nuclei))
    for kind, cell, nucleus in zip(smear.kinds, cells, nuclei, strict=True):
        low, high = expected[kind]
        assert low * 0.95 < cell < high * 1.05, kind
        assert 0.5 * cell < nucleus < cell, kind
    red = diameters_um(smear, smear.red_cells)[np.array(whole(smear.red_cells)) - 1]
    assert 7 < np.median(red) < 8
    assert np.all((diameters_um(smear, smear.platelets) > 1.5) & (diameters_um(smear, smear.platelets) < 3.5))


def test_blasts_are_larger_than_lymphocytes_and_full_of_nucleus():
    smear = render(4, white_cells={"blast": 2, "lymphocyte": 2, "monocyte": 2})
    kinds = np.array(smear.kinds)
    cells, nuclei = (np.bincount(labels.ravel())[1:] for labels in (smear.white_cells, smear.nuclei))
    share = nuclei / cells
    assert cells[kinds == "blast"].min() > 1.3 * cells[kinds == "lymphocyte"].max()
    assert share[kinds == "blast"].min() > share[kinds == "monocyte"].max()


def test_the_scale_changes_the_pixels_not_the_scene():
    fine, coarse = (render(8, width=320 * k, height=240 * k, um_per_px=0.24 / k, white_cells=MIXED) for k in (2, 1))
    assert fine.kinds == coarse.kinds
    for name in ("nuclei", "white_cells"):
        a, b = getattr(fine, name)[::2, ::2], getattr(coarse, name)
        assert np.mean(a != b) < 0.005, name
    assert abs(len(ids(fine.red_cells)) - len(ids(coarse.red_cells))) <= 2


def test_stain_and_optics_change_the_image_not_the_truth(smear):
    other = render(7, white_cells=MIXED, stain="blue", blur_um=0.4, noise=0.05, shading=0.4)
    assert all(np.array_equal(getattr(smear, name), getattr(other, name)) for name in LABELS)
    assert np.abs(smear.image.astype(int) - other.image).mean() > 10


@pytest.mark.parametrize("stain", sorted(STAINS))
def test_glass_is_brightest_and_nuclei_are_darkest(stain):
    smear = render(9, white_cells=MIXED, stain=stain)
    green = smear.image[..., 1].astype(float)
    empty = (smear.white_cells == 0) & (smear.red_cells == 0) & (smear.platelets == 0)
    glass, red = green[empty].mean(), green[smear.red_cells > 0].mean()
    cytoplasm = green[(smear.white_cells > 0) & (smear.nuclei == 0)].mean()
    nuclei = green[smear.nuclei > 0].mean()
    assert glass > red + 15 and glass > cytoplasm + 15
    assert nuclei < min(red, cytoplasm) - 15
    assert green[smear.platelets > 0].mean() < glass - 15


def test_outlines_in_the_image_are_where_the_labels_say():
    """Half the fall of light from glass to cell is reached within a pixel of the labelled edge."""
    smear = render(3, width=320, height=320, white_cells={"blast": 1}, red_cover=0, platelets=0, noise=0)
    green = smear.image[..., 1].astype(float)
    cell = (smear.white_cells > 0).astype(np.uint8)
    dark = green < (np.median(green[cell == 0]) + np.median(green[cv2.erode(cell, np.ones((9, 9))) > 0])) / 2
    ring = np.ones((5, 5), np.uint8)
    assert not dark[cv2.dilate(cell, ring) == 0].any()
    rim = (cv2.erode(cell, np.ones((3, 3))) > 0) & (cv2.erode(cell, ring) == 0)
    assert dark[rim].mean() > 0.7


def test_red_cells_are_paler_in_the_middle_and_darker_where_they_overlap():
    smear = render(11, white_cells={}, platelets=0, noise=0, shading=0, rouleaux=0, red_cover=0.3)
    green = smear.image[..., 1].astype(float)
    paler = []
    for i in whole(smear.red_cells):
        depth = cv2.distanceTransform((smear.red_cells == i).astype(np.uint8), cv2.DIST_L2, 5)
        rim = (depth > 0.1 * depth.max()) & (depth < 0.4 * depth.max())
        paler.append(green[depth > 0.85 * depth.max()].mean() - green[rim].mean())
    assert np.median(paler) > 10
    stacked = render(11, white_cells={}, platelets=0, noise=0, shading=0, rouleaux=0.9, red_cover=0.3)
    assert stacked.image[..., 1].min() < smear.image[..., 1].min() - 10


def test_red_cover_is_close_to_what_was_asked():
    for wanted in (0.15, 0.4):
        smear = render(12, width=500, height=500, um_per_px=0.3, red_cover=wanted, rouleaux=0)
        free = smear.white_cells == 0
        assert np.mean(smear.red_cells[free] > 0) == pytest.approx(wanted, rel=0.15)


def test_blur_softens_noise_roughens_and_shading_darkens():
    plain = {
        "width": 320,
        "height": 240,
        "white_cells": {"blast": 1},
        "noise": 0,
        "shading": 0,
        "blur_um": 0.1,
    }

    def look(**change):
        return render(1, **{**plain, **change}).image[..., 1].astype(float)

    def steepest(image):
        return np.abs(np.diff(image, axis=1)).max()

    assert steepest(look(blur_um=0.6)) < 0.6 * steepest(look())
    assert (look(noise=0.05) - look()).std() > 5
    assert look(shading=0.5).mean() < look().mean() - 5


def test_a_stain_of_ones_own_sets_the_colours():
    green_stain = Stain((200, 255, 200), (150, 220, 150), (30, 40, 30), (90, 120, 90))
    smear = render(1, stain=green_stain, shading=0, noise=0)
    empty = (smear.white_cells == 0) & (smear.red_cells == 0) & (smear.platelets == 0)
    red, green, blue = np.median(smear.image[empty], axis=0)
    assert green > red + 30 and green > blue + 30


def test_wishes_that_cannot_be_met_are_refused():
    with pytest.raises(ValueError, match="no room"):
        render(1, width=200, height=200, white_cells={"blast": 20})
    with pytest.raises(ValueError, match="no room"):
        render(1, width=50, height=50, white_cells={"blast": 1})
    with pytest.raises(KeyError):
        render(1, white_cells={"unicorn": 1})
    with pytest.raises(KeyError):
        render(1, stain="invisible")

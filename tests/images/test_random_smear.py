"""Random fields that train the segmentation: labels must be exact in every one of them."""

import hashlib

import cv2
import numpy as np
import pytest

from leuko.images.synthetic import marks
from leuko.images.synthetic.kinds import KINDS
from leuko.images.synthetic.optics import Optics
from leuko.images.synthetic.random_smear import random_field
from leuko.images.synthetic.red_forms import FORMS, RedCellStyle
from leuko.images.synthetic.rendering import render
from leuko.images.synthetic.stains import random_stain

LABELS = ("nuclei", "white_cells", "red_cells", "platelets", "smudges")
SEEDS = range(24)


@pytest.fixture(scope="module")
def fields():
    return [random_field(seed, side_px=200, red_diameter_px=24) for seed in SEEDS]


def ids(labels):
    return set(np.unique(labels)) - {0}


@pytest.mark.parametrize(
    ("seed", "options", "digest", "light"),
    [
        (0, {}, "a8dd52d635f2776a", 194.154706),
        (
            7,
            {"white_cells": {"blast": 2, "lymphocyte": 2, "neutrophil": 1, "monocyte": 1}},
            "ba16adba7c78d025",
            184.448584,
        ),
        (
            3,
            {
                "width": 224,
                "height": 200,
                "um_per_px": 0.42,
                "white_cells": {"blast": 5},
                "touching": 0.8,
                "red_cover": 0.8,
                "rouleaux": 0.6,
                "platelets": 9,
                "stain": "blue",
                "blur_um": 0.4,
                "noise": 0.05,
                "shading": 0.4,
            },
            "636446a4bc4c15da",
            185.649085,
        ),
        (12, {"white_cells": {}, "width": 300, "height": 100, "stain": "pink"}, "8fd69edba43c6dc5", 202.411156),
    ],
)
def test_plain_fields_are_drawn_as_before_random_ones_existed(seed, options, digest, light):
    smear = render(seed, **options)
    found = hashlib.sha256()
    for name in ("nuclei", "white_cells", "red_cells", "platelets"):
        found.update(np.ascontiguousarray(getattr(smear, name)).tobytes())
    found.update(repr(smear.kinds).encode())
    assert found.hexdigest()[:16] == digest
    assert smear.image.mean() == pytest.approx(light, abs=1e-3)  # bit by bit, it depends on the processor
    assert not smear.smudges.any()


def test_same_seed_same_field_other_seed_other_field(fields):
    again = random_field(5, side_px=200, red_diameter_px=24)
    assert np.array_equal(again.image, fields[5].image)
    assert all(np.array_equal(getattr(again, name), getattr(fields[5], name)) for name in LABELS)
    assert not np.array_equal(fields[5].image, fields[6].image)


def test_arrays_have_the_size_and_type_promised(fields):
    for smear in fields:
        assert smear.image.shape == (200, 200, 3) and smear.image.dtype == np.uint8
        for name in LABELS:
            assert getattr(smear, name).shape == (200, 200) and getattr(smear, name).dtype == np.int32, name
        assert 7.5 / 24 / 2 <= smear.um_per_px <= 7.5 / 24


def test_small_fields_can_be_drawn_as_well():
    for seed in range(60):
        assert random_field(seed, side_px=64, red_diameter_px=20).image.shape == (64, 64, 3)


def test_ids_have_no_gaps(fields):
    for smear in fields:
        for name in ("white_cells", "red_cells", "platelets", "smudges"):
            found = ids(getattr(smear, name))
            assert found == set(range(1, len(found) + 1)), name
        assert len(ids(smear.white_cells)) == len(smear.kinds)


def test_a_pixel_is_one_thing_only(fields):
    for smear in fields:
        inside = smear.nuclei > 0
        assert np.array_equal(smear.nuclei[inside], smear.white_cells[inside])
        layers = [smear.white_cells > 0, smear.smudges > 0, smear.red_cells > 0]
        assert np.sum(layers, axis=0).max() <= 1
        assert not (smear.platelets[smear.white_cells > 0]).any()


def test_the_seeds_cover_what_fields_hold(fields):
    counts = [len(smear.kinds) for smear in fields]
    assert 0 in counts and max(counts) >= 6
    assert any(smear.smudges.any() for smear in fields)
    assert any(smear.platelets.any() for smear in fields)


@pytest.mark.parametrize("burn", [marks.burn_arrow, marks.burn_scale_bar, marks.burn_frame])
def test_burned_in_marks_are_background(burn):
    smear = render(2, width=300, height=300, um_per_px=0.25, white_cells={"blast": 5}, red_cover=0.9)
    seen = 0
    for seed in range(6):
        marked = burn(smear, np.random.default_rng(seed))
        changed = np.abs(marked.image.astype(int) - smear.image).max(axis=-1) > 140
        seen += changed.sum()
        for name in LABELS:
            assert not getattr(marked, name)[changed].any(), name
        same = (marked.image == smear.image).all(axis=-1)
        assert np.mean((marked.red_cells[same] > 0) != (smear.red_cells[same] > 0)) < 0.02  # white paper of a bar
    assert seen > 100


def test_the_surround_of_an_eyepiece_is_background():
    smear = render(2, width=300, height=300, um_per_px=0.25, white_cells={"blast": 5}, red_cover=0.9)
    seen = marks.look_through_eyepiece(smear, np.random.default_rng(3))
    dark = seen.image.max(axis=-1) < 25
    assert dark.mean() > 0.1
    assert not any(getattr(seen, name)[dark].any() for name in LABELS)


def test_nuclei_are_darker_than_cytoplasm_and_ground_in_every_stain():
    for seed in range(200):
        stain = random_stain(np.random.default_rng(seed))
        nucleus, red, cytoplasm, ground = (
            sum(colour) for colour in (stain.nucleus, stain.red_cell, stain.cytoplasm, stain.background)
        )
        assert nucleus < cytoplasm < ground and nucleus < red < ground, (seed, stain)


def test_smudge_cells_are_large_pale_and_no_white_cells():
    smear = render(1, width=400, height=400, um_per_px=0.25, white_cells={"blast": 2}, smudges=3, noise=0)
    assert len(ids(smear.smudges)) == 3
    green = smear.image[..., 1]
    glass = (smear.white_cells == 0) & (smear.red_cells == 0) & (smear.smudges == 0) & (smear.platelets == 0)
    nuclei, ground = np.median(green[smear.nuclei > 0]), np.median(green[glass])
    for i in ids(smear.smudges):
        smudge = smear.smudges == i
        assert 5 < np.sqrt(smudge.sum() * 4 / np.pi) * smear.um_per_px < 25
        assert nuclei < np.median(green[smudge]) < ground
        assert cv2.connectedComponents(smudge.astype(np.uint8))[0] == 2


def test_the_border_cuts_white_cells_only_where_told_to():
    def at_border(**options):
        count = 0
        for seed in range(8):
            labels = render(
                seed, width=240, height=240, um_per_px=0.25, white_cells={"blast": 4}, **options
            ).white_cells
            count += len(ids(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])))
        return count

    assert at_border() == 0
    assert at_border(cut=True) > 3


def test_clumps_touch():
    smear = render(3, width=400, height=400, um_per_px=0.25, white_cells={"blast": 8}, clumping=1)
    assert len(ids(smear.white_cells)) == 8
    assert cv2.connectedComponents((smear.white_cells > 0).astype(np.uint8))[0] == 2


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_its_size_and_a_nucleus_inside(kind):
    smear = render(4, width=300, height=300, um_per_px=0.15, white_cells={kind: 1}, variety=0.8)
    low, high = KINDS[kind].diameter_um
    diameter = 2 * np.sqrt(np.sum(smear.white_cells > 0) / np.pi) * smear.um_per_px
    assert smear.kinds == (kind,) and 0.85 * low < diameter < 1.15 * high
    assert 0 < np.sum(smear.nuclei > 0) < np.sum(smear.white_cells > 0)


@pytest.mark.parametrize("form", FORMS[1:])
def test_red_cells_of_a_form_differ_from_round_ones_and_are_labelled_where_they_are(form):
    def draw(**forms):
        return render(
            2, white_cells={}, platelets=0, red_cover=0.2, rouleaux=0, noise=0, red_style=RedCellStyle(forms=forms)
        )

    smear, plain = draw(**{form: 1.0}), draw()
    green = smear.image[..., 1].astype(float)
    reds = smear.red_cells > 0
    assert np.abs(green - plain.image[..., 1]).max() > 20
    assert green[reds].mean() < green[~reds].mean() - 20
    far = cv2.dilate(reds.astype(np.uint8), np.ones((9, 9))) == 0
    assert green[far].min() > green[reds].mean()
    if form == "elliptocyte":
        assert _elongation(smear.red_cells) > 1.4 > _elongation(plain.red_cells)


def _elongation(labels):
    """Median of length over width of the labelled parts."""
    parts = [cv2.minAreaRect(np.argwhere(labels == i).astype(np.float32))[1] for i in ids(labels)]
    return np.median([max(sides) / (min(sides) + 1) for sides in parts])


def test_packed_red_cells_overlap_less():
    def darkest(packed):
        style = RedCellStyle(pallor=(0, 0.1), packed=packed)
        image = render(3, white_cells={}, platelets=0, red_cover=0.9, noise=0, shading=0, red_style=style).image
        return np.quantile(image[..., 1], 0.02)

    assert darkest(packed=True) > darkest(packed=False) + 15


def test_jpeg_fringes_and_tilt_change_the_image_only():
    plain = render(5, width=200, height=200, um_per_px=0.25)
    for optics in (Optics(jpeg=40), Optics(fringe_um=0.2), Optics(tilt_um=0.8), Optics(exposure=1.2, gamma=0.8)):
        other = render(5, width=200, height=200, um_per_px=0.25, optics=optics)
        assert np.array_equal(other.white_cells, plain.white_cells)
        assert np.abs(other.image.astype(int) - plain.image).mean() > 1

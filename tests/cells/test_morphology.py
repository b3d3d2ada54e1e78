"""Morphology: shapes with known answers, scikit-image as the oracle, invariances, drawn cells, the table."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage

from leuko.cells.features import shape_descriptors, texture
from leuko.cells.features.catalogue import FEATURES, NAMES, document
from leuko.cells.features.lobes import count_lobes
from leuko.cells.features.morphology import as_json, as_matrix, describe
from leuko.images.synthetic import rendering

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Found:
    nuclei: np.ndarray
    white_cells: np.ndarray
    red_cells: np.ndarray
    platelets: np.ndarray
    um_per_px: float | None = None


def ellipse(side: int, long: float, short: float, degrees: float = 0, centre: tuple[float, float] = (0, 0)):
    """Mask of an ellipse with these half axes about the middle of a square image."""
    y, x = np.mgrid[:side, :side] - side / 2
    x, y = x - centre[0], y - centre[1]
    angle = np.deg2rad(degrees)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return ((u / long) ** 2 + (v / short) ** 2 <= 1).astype(np.uint8)


def square(side: int, width: float, degrees: float):
    y, x = np.mgrid[:side, :side] - side / 2 + 0.21
    angle = np.deg2rad(degrees)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (np.maximum(abs(u), abs(v)) <= width / 2).astype(np.uint8)


def blob(side: int, radius: float, turn: float = 0, move: tuple[float, float] = (0, 0)):
    """A lobed, dented nucleus that is the same at any size, angle and place."""
    y, x = np.mgrid[:side, :side] - side / 2
    x, y = x - move[0], y - move[1]
    angle = np.arctan2(y, x) - turn
    edge = 1 + 0.22 * np.cos(2 * angle) + 0.12 * np.cos(3 * angle + 1) - 0.3 * np.exp(6 * (np.cos(angle - 1.4) - 1))
    return (np.hypot(x, y) <= radius * edge).astype(np.uint8)


def found(nucleus: np.ndarray, cell: np.ndarray | None = None, um_per_px: float | None = None) -> Found:
    nothing = np.zeros(nucleus.shape, np.int32)
    cell = np.maximum(nucleus, cell if cell is not None else nucleus)
    return Found(nucleus.astype(np.int32), cell.astype(np.int32), nothing, nothing, um_per_px)


def measure(nucleus: np.ndarray, cell: np.ndarray | None = None, um_per_px: float | None = None) -> dict[str, float]:
    grey = np.full((*nucleus.shape, 3), 128, np.uint8)
    table = describe(grey, found(nucleus, cell, um_per_px))
    return {name: column[0] for name, column in table.items()}


# Shapes with known answers


@pytest.mark.parametrize("radius", [8, 15, 40, 120])
def test_a_disc(radius):
    rng = np.random.default_rng(radius)
    for _ in range(5):
        got = measure(ellipse(2 * radius + 9, radius, radius, centre=rng.uniform(-0.5, 0.5, 2)))
        assert got["nucleus_form_factor"] == pytest.approx(1, abs=0.01)
        assert got["nucleus_perimeter"] == pytest.approx(2 * np.pi * radius, rel=0.015)
        assert got["nucleus_diameter"] == pytest.approx(2 * radius, rel=0.015)
        assert got["nucleus_feret"] == pytest.approx(2 * radius, rel=0.05 if radius < 20 else 0.015)
        assert got["nucleus_elongation"] == pytest.approx(1, abs=0.05 if radius < 20 else 0.02)
        assert got["nucleus_solidity"] > 0.99 and got["nucleus_convexity"] > 0.99
        assert got["nucleus_eccentricity"] < 0.3
        assert got["indentation"] < 0.01 and got["lobes"] == 1
        assert got["signature_variance"] < 5e-4
        assert got["contour_dimension"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("degrees", [0, 12, 22.5, 45, 71])
def test_a_square(degrees):
    got = measure(square(300, 180, degrees))
    assert got["nucleus_perimeter"] == pytest.approx(4 * 180, rel=0.01)
    assert got["nucleus_form_factor"] == pytest.approx(np.pi / 4, rel=0.015)
    assert got["nucleus_roundness"] == pytest.approx(2 / np.pi, rel=0.02)
    assert got["nucleus_min_feret"] == pytest.approx(180, rel=0.01)
    assert got["nucleus_elongation"] == pytest.approx(np.sqrt(2), rel=0.015)
    assert int(np.argmax([got[f"fourier_{k}"] for k in range(1, 9)])) + 1 == 4


@pytest.mark.parametrize("degrees", [0, 30, 45, 80])
def test_an_ellipse(degrees):
    got = measure(ellipse(300, 120, 60, degrees))
    assert got["nucleus_major_axis"] == pytest.approx(240, rel=0.01)
    assert got["nucleus_minor_axis"] == pytest.approx(120, rel=0.01)
    assert got["nucleus_eccentricity"] == pytest.approx(np.sqrt(0.75), abs=0.005)
    assert got["nucleus_elongation"] == pytest.approx(2, rel=0.01)
    assert got["nucleus_perimeter"] == pytest.approx(581.3, rel=0.005)  # Ramanujan
    assert int(np.argmax([got[f"fourier_{k}"] for k in range(1, 9)])) + 1 == 2


def koch(depth: int) -> np.ndarray:
    """Corners of Koch's curve from 0 to 1, as complex numbers."""
    points = np.array([0, 1], complex)
    for _ in range(depth):
        start, step = points[:-1], np.diff(points) / 3
        tip = start + step + step * np.exp(-1j * np.pi / 3)
        points = np.append(np.stack([start, start + step, tip, start + 2 * step], axis=1).ravel(), points[-1])
    return points


def test_dimensions_of_koch_curve_disc_and_line():
    points = koch(7)
    pixels = np.stack([points.real * 2000 + 50, points.imag * 2000 + 700], axis=1)
    drawn = np.zeros((800, 2100), np.uint8)
    cv2.polylines(drawn, [np.round(pixels).astype(np.int32)], False, 1)
    sizes = [4, 8, 16, 32, 64]
    assert shape_descriptors.box_dimension(np.argwhere(drawn), sizes) == pytest.approx(np.log(4) / np.log(3), abs=0.03)
    assert shape_descriptors.box_dimension(np.argwhere(ellipse(700, 330, 330)), [2, 3, 4, 6, 8]) == pytest.approx(
        2, abs=0.03
    )
    for end in ((999, 0), (999, 371), (999, 999), (0, 999)):
        assert shape_descriptors.box_dimension(np.linspace((0, 0), end, 5000), sizes) == pytest.approx(1, abs=0.03)
        line = cv2.line(np.zeros((1000, 1000), np.uint8), (0, 0), end, 1)
        assert shape_descriptors.box_dimension(np.argwhere(line), sizes) == pytest.approx(1, abs=0.04)
    assert shape_descriptors.box_dimension(np.zeros((1, 2)), sizes) == pytest.approx(0)


def snowflake(scale: float) -> np.ndarray:
    side = koch(6)[:-1] - 0.5 - 1j * np.sqrt(3) / 6
    corners = np.concatenate([np.exp(2j * np.pi * k / 3) * side for k in range(3)]) * scale + scale * (1 + 1j)
    corners = np.round(np.stack([corners.real, corners.imag], axis=1)).astype(np.int32)
    return cv2.fillPoly(np.zeros((int(2 * scale), int(2 * scale)), np.uint8), [corners], 1)


def test_the_dimension_of_an_outline_shows_its_roughness():
    koch_dimension = np.log(4) / np.log(3)
    assert measure(snowflake(600))["contour_dimension"] == pytest.approx(koch_dimension, abs=0.04)
    assert measure(snowflake(75))["contour_dimension"] > 1.1 > 1.05 > measure(ellipse(200, 70, 50))["contour_dimension"]


def test_a_bite_is_as_deep_as_it_was_cut():
    mask = ellipse(300, 100, 100)
    mask[:90, 140:160] = 0  # 40 pixels into the disc
    got = measure(mask)
    assert got["indentation"] * got["nucleus_diameter"] == pytest.approx(40, abs=3)
    assert got["nucleus_solidity"] < 0.98 and got["nucleus_convexity"] < 0.92


# scikit-image as the oracle


def test_shape_agrees_with_scikit_image():
    for turn in (0, 0.7, 2):
        mask = blob(260, 80, turn)
        got, (oracle,) = measure(mask), skimage.measure.regionprops(mask.astype(int))
        exact = {"area": oracle.area, "major_axis": oracle.axis_major_length, "minor_axis": oracle.axis_minor_length}
        exact |= {"eccentricity": oracle.eccentricity, "diameter": oracle.equivalent_diameter_area}
        for name, value in exact.items():
            assert got[f"nucleus_{name}"] == pytest.approx(value, rel=1e-4), name  # it takes pixels for points
        # Its hull goes round the corners of pixels, and its perimeters are other estimates of the same length.
        assert got["nucleus_solidity"] == pytest.approx(oracle.solidity, abs=0.01)
        assert got["nucleus_feret"] == pytest.approx(oracle.feret_diameter_max, rel=0.01)
        assert got["nucleus_perimeter"] == pytest.approx(oracle.perimeter_crofton, rel=0.03)


def test_cooccurrence_agrees_with_scikit_image():
    levels = np.random.default_rng(0).integers(0, texture.LEVELS, (40, 53))
    levels = cv2.blur(levels.astype(np.float32), (3, 3)).astype(np.intp)
    ours = texture.cooccurrence(levels, np.ones(levels.shape, bool))
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    theirs = skimage.feature.graycomatrix(
        levels.astype(np.uint8), [1], angles, texture.LEVELS, symmetric=True, normed=True
    )
    figures = texture.haralick(ours)
    for name in ("contrast", "correlation", "energy", "homogeneity"):
        assert figures[name] == pytest.approx(skimage.feature.graycoprops(theirs, name).mean(), rel=1e-9), name


def test_cooccurrence_in_a_mask_agrees_with_scikit_image_on_that_rectangle_alone():
    levels = np.random.default_rng(1).integers(0, texture.LEVELS, (40, 53))
    mask = np.zeros(levels.shape, bool)
    mask[7:31, 11:40] = True
    theirs = skimage.feature.graycomatrix(levels[7:31, 11:40].astype(np.uint8), [1], [0], texture.LEVELS, True, True)
    np.testing.assert_allclose(texture.cooccurrence(levels, mask)[0], theirs[:, :, 0, 0])


def test_binary_patterns_agree_with_scikit_image():
    grey = np.random.default_rng(2).uniform(0, 100, (60, 71))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "use integers": of flat areas, of which noise has none
        theirs = skimage.feature.local_binary_pattern(grey, 8, 1, method="uniform")
    np.testing.assert_array_equal(texture.binary_patterns(grey), theirs[1:-1, 1:-1])


def test_texture_sees_nothing_outside_its_mask():
    rng = np.random.default_rng(3)
    image, mask = rng.uniform(0, 100, (40, 40)), ellipse(40, 12, 9)
    other = np.where(mask, image, rng.uniform(0, 100, (40, 40)))
    one, two = (
        texture.haralick(texture.cooccurrence((each * 0.3).astype(np.intp), mask > 0))
        | texture.pattern_statistics(texture.binary_patterns(each), mask)
        for each in (image, other)
    )
    assert one == two


def test_flat_and_empty_textures():
    flat = np.full((20, 20), 7)
    figures = texture.haralick(texture.cooccurrence(flat, np.ones((20, 20), bool)))
    assert figures == pytest.approx({"contrast": 0, "correlation": 1, "energy": 1, "homogeneity": 1})
    assert (texture.binary_patterns(np.full((20, 20), 71.3, np.float32)) == 8).all()
    nothing = np.zeros((20, 20), np.uint8)
    assert np.isnan(list(texture.haralick(texture.cooccurrence(flat, nothing > 0)).values())).all()
    assert np.isnan(texture.pattern_statistics(texture.binary_patterns(flat.astype(float)), nothing)["entropy"])


# Invariances

SHAPE_ALONE = [f.name for f in FEATURES if not f.unit and f.name.startswith(("nucleus_", "signature", "fourier"))]
SHAPE_ALONE = [name for name in SHAPE_ALONE if "glcm" not in name and "lbp" not in name]
SHAPE_ALONE += ["nc_ratio", "lobes", "indentation", "contour_dimension"]


def test_turning_moving_and_scaling_a_cell_changes_no_plain_number():
    rng = np.random.default_rng(4)
    first = measure(blob(300, 80), ellipse(300, 130, 130))
    for _ in range(12):
        scale = rng.uniform(0.5, 2)
        side = int(300 * scale)
        move, turn = rng.uniform(-3, 3, 2), rng.uniform(0, 2 * np.pi)
        got = measure(
            blob(side, 80 * scale, turn, move), ellipse(side, 130 * scale, 130 * scale, centre=move), 0.1 / scale
        )
        for name in SHAPE_ALONE:
            near = pytest.approx(first[name], rel=0.03, abs=0.05 if "kurtosis" in name or "skew" in name else 0.015)
            assert got[name] == near, (name, scale)
        assert got["nucleus_area"] == pytest.approx(first["nucleus_area"] * 0.01, rel=0.02)
        assert got["nucleus_perimeter"] == pytest.approx(first["nucleus_perimeter"] * 0.1, rel=0.01)
        assert got["cell_feret"] == pytest.approx(26, rel=0.02)


def test_quarter_turns_and_mirrors_of_a_picture_change_nothing():
    smear = rendering.render(6, width=400, height=300, white_cells={"neutrophil": 1})
    first = as_matrix(describe(smear.image, smear))[1][0]
    for change in (np.rot90, np.fliplr, np.flipud, np.ascontiguousarray):
        turned = replace(
            smear, **{name: change(getattr(smear, name)).copy() for name in ("image", "nuclei", "white_cells")}
        )
        np.testing.assert_allclose(as_matrix(describe(turned.image, turned))[1][0], first, rtol=0.02, atol=0.02)


def test_the_signature_does_not_depend_on_where_the_outline_starts():
    (outline,) = shape_descriptors.trace(blob(200, 60))
    first = shape_descriptors.descriptors(shape_descriptors.signature(outline))
    for start in (1, 17, 90):
        shifted = shape_descriptors.descriptors(shape_descriptors.signature(np.roll(outline, start, axis=0)))
        np.testing.assert_allclose(shifted, first, atol=1e-3)
    assert shape_descriptors.signature(outline).mean() == pytest.approx(1)


def test_colour_and_texture_hardly_change_with_the_magnification():
    fields = [
        rendering.render(8, width=int(48 / um), height=int(36 / um), um_per_px=um, white_cells={"blast": 1}, noise=0)
        for um in (0.06, 0.1, 0.2)
    ]
    coarse, fine = fields[-1], [describe(field.image, field) for field in fields[:-1]]
    for got in fine:
        reference = describe(coarse.image, coarse)
        assert got["cell_area"][0] == pytest.approx(reference["cell_area"][0], rel=0.02)
        assert got["nucleus_mean_l"][0] == pytest.approx(reference["nucleus_mean_l"][0], abs=1.5)
        assert got["contrast_colour"][0] == pytest.approx(reference["contrast_colour"][0], abs=4)
        assert got["nucleus_glcm_homogeneity"][0] == pytest.approx(reference["nucleus_glcm_homogeneity"][0], abs=0.15)


# Drawn cells


@pytest.mark.parametrize("um_per_px", [0.12, 0.2, 0.35])
def test_lobes_and_indentation_tell_neutrophils_from_lymphocytes_and_blasts(um_per_px):
    lobes: dict[str, list[int]] = {"neutrophil": [], "lymphocyte": [], "blast": []}
    dents: dict[str, list[float]] = {kind: [] for kind in lobes}
    for seed in range(2):
        smear = rendering.render(
            seed,
            width=int(110 / um_per_px),
            height=int(80 / um_per_px),
            um_per_px=um_per_px,
            red_cover=0.05,
            white_cells={"neutrophil": 6, "lymphocyte": 4, "blast": 2},
        )
        table = describe(smear.image, smear)
        for kind, count, dent in zip(smear.kinds, table["lobes"], table["indentation"], strict=True):
            lobes[kind].append(int(count))
            dents[kind].append(float(dent))
    assert set(lobes["lymphocyte"]) == set(lobes["blast"]) == {1}
    assert min(lobes["neutrophil"]) >= 2 and max(lobes["neutrophil"]) <= 5
    assert 3.3 <= np.mean(lobes["neutrophil"]) <= 4.5  # drawn with 3 to 5
    assert min(dents["neutrophil"]) > max(dents["lymphocyte"] + dents["blast"])


def test_lobes_agree_with_a_reconstruction_by_scikit_image():
    for seed in range(2):
        smear = rendering.render(seed, width=900, height=700, red_cover=0, white_cells={"neutrophil": 8, "monocyte": 3})
        for label in range(1, 12):
            y, x = np.nonzero(smear.nuclei == label)
            mask = np.zeros((np.ptp(y) + 3, np.ptp(x) + 3), np.uint8)
            mask[y - y.min() + 1, x - x.min() + 1] = 1
            distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            peaks = []
            # At the mask's own size and not at ours: a lobe may stand out by a little more or less.
            for rise in np.array([1.15, 0.85]) * 0.04 * np.sqrt(4 * mask.sum() / np.pi):
                flooded = skimage.morphology.reconstruction(distance - rise, distance)
                tops = skimage.morphology.local_maxima(flooded, connectivity=2) & (mask > 0)
                peaks.append(skimage.measure.label(tops, connectivity=2).max())
            assert peaks[0] <= count_lobes(mask) <= peaks[1]


def test_separate_lobes_are_one_nucleus():
    mask = ellipse(200, 30, 30, centre=(-45, 0)) | ellipse(200, 30, 30, centre=(45, 0))
    got = measure(mask, ellipse(200, 90, 90))
    assert got["lobes"] == 2
    assert got["nucleus_perimeter"] == pytest.approx(2 * 2 * np.pi * 30, rel=0.02)
    assert got["nucleus_solidity"] == pytest.approx(2 * np.pi * 900 / (np.pi * 900 + 90 * 60), rel=0.02)
    assert got["nc_ratio"] == pytest.approx(1800 / (8100 - 1800), rel=0.02)


def test_specks_do_not_change_the_shape():
    mask = ellipse(200, 50, 40)
    specked = mask.copy()
    specked[20:23, 20:23] = 1
    clean, got = measure(mask), measure(specked)
    assert got["nucleus_perimeter"] == pytest.approx(clean["nucleus_perimeter"])
    assert got["nucleus_feret"] == pytest.approx(clean["nucleus_feret"])
    assert got["lobes"] == 1


def test_colours_are_those_of_the_compartments():
    nucleus, cell = ellipse(120, 20, 20), ellipse(120, 45, 45)
    image = np.full((120, 120, 3), 240, np.uint8)
    image[cell > 0], image[nucleus > 0] = (128, 140, 200), (92, 58, 150)
    table = describe(image, found(nucleus, cell))
    for part, rgb in (("nucleus", (92, 58, 150)), ("cytoplasm", (128, 140, 200))):
        lab = skimage.color.rgb2lab(np.array(rgb, np.uint8)[None, None])[0, 0]
        for channel, value in zip("lab", lab, strict=True):
            assert table[f"{part}_mean_{channel}"][0] == pytest.approx(value, abs=0.3)
            assert table[f"{part}_sd_{channel}"][0] == pytest.approx(0, abs=0.01)
    assert table["contrast_l"][0] > 20 and table["contrast_colour"][0] > table["contrast_l"][0]


# The table


def test_lengths_are_in_pixels_without_a_scale():
    mask = ellipse(100, 30, 20)
    pixels, microns = measure(mask), measure(mask, um_per_px=0.5)
    for feature in FEATURES:
        factor = {"µm": 0.5, "µm²": 0.25}.get(feature.unit, 1)
        if feature.unit in ("µm", "µm²"):
            assert microns[feature.name] == pytest.approx(factor * pixels[feature.name])


def test_cells_at_the_border_are_marked_and_the_boxes_fit():
    labels = np.zeros((90, 120), np.int32)
    for label, (x, y) in enumerate([(0, 40), (60, 0), (105, 40), (60, 75), (50, 40)], start=1):
        labels[y : y + 15, x : x + 15] = label
    table = describe(np.zeros((90, 120, 3), np.uint8), Found(labels, labels, labels, labels))
    assert table["touches_border"].tolist() == [True, True, True, True, False]
    assert as_json(table)[4]["bbox"] == [50, 40, 65, 55]


def test_matrix_json_and_columns_say_the_same():
    smear = rendering.render(1)
    table = describe(smear.image, smear)
    names, matrix = as_matrix(table)
    cells = json.loads(json.dumps(as_json(table), allow_nan=False))
    assert names == NAMES and matrix.shape == (3, len(FEATURES)) and np.isfinite(matrix).all()
    for row, cell in zip(matrix, cells, strict=True):
        assert [cell[name] for name in names] == pytest.approx(row.tolist(), rel=1e-5)
    assert set(table) == {"id", "x0", "y0", "x1", "y1", "touches_border", *names}
    assert [cell["id"] for cell in cells] == [1, 2, 3] and isinstance(cells[0]["lobes"], int)


def test_cells_without_nucleus_or_cytoplasm_and_fields_without_cells():
    nothing = np.zeros((60, 60), np.uint8)
    bare = measure(nothing, ellipse(60, 20, 20))
    assert bare["nucleus_area"] == bare["nc_ratio"] == bare["lobes"] == 0
    assert np.isnan(bare["nucleus_perimeter"]) and np.isnan(bare["nucleus_mean_l"]) and np.isnan(bare["contrast_l"])
    naked = measure(ellipse(60, 20, 20))
    assert np.isnan(naked["nc_ratio"]) and naked["nucleus_share"] == 1
    empty = describe(np.zeros((60, 60, 3), np.uint8), found(nothing))
    assert as_json(empty) == [] and as_matrix(empty)[1].shape == (0, len(FEATURES))


@pytest.mark.parametrize("mask", [(1, 1), (1, 2), (1, 9), (9, 1), (2, 2), (3, 3), (4, 3)])
def test_tiny_cells_are_described_without_a_warning(mask):
    labels = np.zeros((12, 12), np.uint8)
    labels[1 : 1 + mask[0], 1 : 1 + mask[1]] = 1
    with np.errstate(all="raise"):
        got = measure(labels)
    assert got["nucleus_area"] == mask[0] * mask[1] and got["lobes"] == 1
    assert 0 < got["nucleus_form_factor"] < 1.6 and got["nucleus_solidity"] <= 1
    assert not np.isinf([got[name] for name in NAMES]).any()


def test_any_mask_whatever_is_described():
    rng = np.random.default_rng(9)
    masks = [rng.random((40, 40)) < share for share in (0.002, 0.02, 0.3, 0.6, 0.98)]
    crumbs = np.zeros((60, 60), bool)
    crumbs[::4, ::4] = True
    for mask in [*masks, crumbs]:
        for um_per_px in (None, 0.03, 3.0):
            got = measure(mask.astype(np.uint8), np.ones(mask.shape, np.uint8), um_per_px)
            assert not np.isinf([got[name] for name in NAMES]).any()
            assert np.isfinite(got["nucleus_perimeter"]) and got["lobes"] >= 1


def test_a_segmentation_of_another_size_is_refused():
    with pytest.raises(ValueError, match="segmentation"):
        describe(np.zeros((50, 60, 3), np.uint8), found(np.zeros((60, 50), np.uint8)))


def test_the_document_is_up_to_date_and_every_reference_has_a_doi():
    assert (ROOT / "docs" / "morphology.md").read_text(encoding="utf-8") == document(), (
        "run python -m leuko.cells.features.catalogue > docs/morphology.md"
    )
    assert len(set(NAMES)) == len(NAMES)
    assert all("doi:10." in feature.reference for feature in FEATURES)


def test_sixty_cells_of_a_large_field_are_all_measured():
    cells = {"lymphocyte": 20, "neutrophil": 15, "blast": 15, "monocyte": 10}
    small = rendering.render(1, width=1296, height=972, um_per_px=0.16, red_cover=0.05, white_cells=cells)
    large = {
        name: np.repeat(np.repeat(getattr(small, name), 2, 0), 2, 1) for name in ("image", "nuclei", "white_cells")
    }
    smear = replace(small, **large, um_per_px=0.08)
    assert len(describe(smear.image, smear)["id"]) == 60

"""Cells found in drawn fields with exact truth, in real ones, and by the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from leuko.cells.segmentation import METHODS, segment
from leuko.images.decode import decode
from leuko.images.synthetic import rendering
from tests.conftest import ROOT

KINDS = {"lymphocyte": 1, "neutrophil": 1, "blast": 1}


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return (found & truth).sum() / (found | truth).sum()


@pytest.mark.parametrize("stain", rendering.STAINS)
@pytest.mark.parametrize("um_per_px", [0.12, 0.2])
def test_white_cells_of_drawn_fields_are_all_found_and_well_outlined(stain, um_per_px):
    cells, nuclei = [], []
    for seed in range(4):
        smear = rendering.render(seed, stain=stain, um_per_px=um_per_px, white_cells=KINDS)
        found = segment(smear.image)
        assert found.white_cells.max() == 3
        cells.append(overlap(found.white_cells > 0, smear.white_cells > 0))
        nuclei.append(overlap(found.nuclei > 0, smear.nuclei > 0))
        assert found.um_per_px == pytest.approx(um_per_px, rel=0.15)
    assert np.mean(cells) > 0.8 and np.mean(nuclei) > 0.7


def test_labels_are_counted_without_gaps_and_nuclei_belong_to_cells():
    found = segment(rendering.render(5, white_cells=KINDS).image)
    for labels in (found.white_cells, found.red_cells, found.platelets):
        assert set(np.unique(labels)) == set(range(labels.max() + 1)) and labels.dtype == np.int32
    inside = found.nuclei > 0
    assert (found.nuclei[inside] == found.white_cells[inside]).all()
    assert not ((found.white_cells > 0) & (found.red_cells > 0)).any()
    assert {0, 64, 128, 255} <= set(np.unique(found.mask())) <= {0, 32, 64, 128, 255}


@pytest.mark.parametrize("stain", rendering.STAINS)
def test_fields_without_white_cells_have_none(stain):
    for seed in range(3):
        found = segment(rendering.render(seed, stain=stain, white_cells={}).image)
        assert found.white_cells.max() == 0 and found.nuclei.max() == 0
        assert found.red_cells.max() > 10


@pytest.mark.parametrize("seed", range(3))
def test_pale_cells_beside_a_dark_one_are_found(seed):
    smear = rendering.render(seed, um_per_px=0.2, stain="pink", white_cells={"blast": 5})
    pale = smear.white_cells > 1  # all but one
    image = smear.image.astype(float)
    image[pale] += 0.45 * ((240, 215, 235) - image[pale])
    assert segment(image.astype(np.uint8)).white_cells.max() == 5


@pytest.mark.parametrize("image", [np.full((64, 80, 3), 255, np.uint8), np.zeros((64, 80, 3), np.uint8)])
def test_empty_images_have_no_cells(image):
    found = segment(image)
    assert found.white_cells.max() == found.red_cells.max() == found.platelets.max() == 0
    assert found.um_per_px is None


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_the_same_of_its_cells_and_the_learned_one_how_sure_it_is(method):
    found = segment(rendering.render(2, white_cells=KINDS, um_per_px=0.2).image, method)
    assert found.method == method and found.white_cells.max() >= 2
    assert len(found.doubtful) == found.white_cells.max()
    if method == "learned":
        assert found.smudges.shape == found.white_cells.shape and found.smudges.dtype == np.int32
        assert found.confidence.shape == found.doubtful.shape and found.confidence.dtype == np.float32
        assert (found.confidence >= 0).all() and (found.confidence <= 1).all()
        assert np.array_equal(found.doubtful, found.confidence < 0.5)
    else:
        assert found.smudges is None and found.confidence is None and not found.doubtful.any()


@pytest.mark.parametrize("method", METHODS)
def test_turning_and_enlarging_change_nothing(method):
    image = rendering.render(2, white_cells=KINDS, um_per_px=0.2).image
    plain = segment(image, method)
    turned = segment(np.ascontiguousarray(np.rot90(image)), method)
    assert overlap(np.rot90(plain.white_cells) > 0, turned.white_cells > 0) > 0.95
    large = segment(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), method)
    assert large.white_cells.max() == plain.white_cells.max()
    assert large.um_per_px == pytest.approx(plain.um_per_px / 2, rel=0.1)


ODD = {
    "one pixel": np.full((1, 1, 3), 90, np.uint8),
    "all nucleus": np.full((60, 80, 3), (90, 30, 140), np.uint8),
    "two colours": np.repeat([[[255, 255, 255]] * 40 + [[90, 30, 140]] * 40], 60, axis=0).astype(np.uint8),
    "one dark pixel": np.where(np.arange(4800).reshape(60, 80, 1) == 2000, (90, 30, 140), 255).astype(np.uint8),
    "noise in the dark": np.random.default_rng(0).integers(0, 12, (60, 80, 3), dtype=np.uint8),
    "stained noise": np.random.default_rng(1).normal((90, 30, 140), 8, (60, 80, 3)).clip(0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("method", METHODS)
def test_images_of_nearly_nothing_are_segmented_without_an_error(name, method):
    found = segment(ODD[name], method)
    assert found.nuclei.shape == ODD[name].shape[:2] and found.um_per_px is None


def test_noise_is_not_reported_as_reliable_cells():
    noise = np.random.default_rng(0).normal(0, 45, (300, 400, 3)) + 128
    found = segment(noise.clip(0, 255).astype(np.uint8))
    assert not found.reliable and found.unreliable_reason.endswith(".")
    assert segment(rendering.render(2, white_cells=KINDS).image).reliable


def test_the_scale_of_a_file_is_used_where_red_cells_give_none_and_named_where_they_contradict_it():
    image = rendering.render(2, white_cells=KINDS, um_per_px=0.2).image
    plain = segment(image)
    assert plain.scale_source == "red cells" and plain.scale_conflict is None and plain.red_cells_plausible
    agreeing = segment(image, um_per_px=0.21)
    assert agreeing.um_per_px == plain.um_per_px and agreeing.scale_conflict is None
    wrong = segment(image, um_per_px=0.5)
    assert wrong.um_per_px == plain.um_per_px and wrong.scale_source == "red cells"
    assert "0.5" in wrong.scale_conflict and wrong.scale_conflict.endswith(".")
    alone = rendering.render(2, width=200, height=200, um_per_px=0.1, white_cells={"blast": 1}, red_cover=0).image
    assert segment(alone).um_per_px is None and segment(alone).scale_source is None
    stated = segment(alone, um_per_px=0.1)
    assert stated.um_per_px == 0.1 and stated.scale_source == "file" and stated.scale_conflict is None


def test_the_scale_of_a_file_makes_no_smear_of_a_blurred_image(embedded):
    image = rendering.render(3, width=224, height=224, um_per_px=0.42, white_cells={"blast": 8}).image
    blurred = cv2.GaussianBlur(image, (0, 0), 6)
    assert segment(blurred, um_per_px=0.42).red_cells_plausible is False
    assert embedded.classify(blurred, um_per_px=0.42).decision == "uncertain"


def test_real_single_cells_are_outlined_as_by_hand(data):
    overlaps = []
    for number in range(5, 300, 30):
        truth = cv2.imread(str(data / "jtsc" / f"{number:03d}.png"), cv2.IMREAD_GRAYSCALE)
        found = segment(decode(data / "jtsc" / f"{number:03d}.bmp"))
        overlaps.append(max(overlap(found.white_cells == i, truth > 64) for i in range(1, found.white_cells.max() + 1)))
    assert np.median(overlaps) > 0.93


def test_the_command_line_writes_lines_masks_and_overlays(tmp_path):
    smear = rendering.render(1, white_cells=KINDS)
    Image.fromarray(smear.image).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    command = [sys.executable, "-m", "leuko", "field", str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    command += ["--json", str(tmp_path / "out.jsonl"), "--masks", str(tmp_path / "m"), "--overlay", str(tmp_path / "o")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    good, bad = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert bad["image"] == "b.png" and "not an image" in bad["error"]
    assert good["counts"]["white_cells"] == 3 and good["um_per_px"] == pytest.approx(0.12, rel=0.15)
    kinds = [cell["kind"] for cell in good["cells"]]
    assert all(kinds.count(kind[:-1]) == (number or 0) for kind, number in good["counts"].items())
    assert all(len(cell["bbox"]) == 4 and cell["touches_border"] in (True, False) for cell in good["cells"])
    mask, picture = Image.open(tmp_path / "m" / "a.png"), Image.open(tmp_path / "o" / "a.png")
    assert mask.size == (640, 480) and mask.mode == "L"
    assert (np.asarray(mask) == 255).sum() > 0 and picture.size == (640, 480)


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (5000, 3), (30, 640), (480, 12)])
def test_a_strip_of_an_image_is_looked_at_too(shape):
    smear = rendering.render(4, width=640, height=480, white_cells={"blast": 3}).image
    strip = np.resize(smear, (*shape, 3)) if shape[0] > 480 else smear[: shape[0], : shape[1]].copy()
    found = segment(strip)
    assert found.red_cells.shape == found.nuclei.shape == shape

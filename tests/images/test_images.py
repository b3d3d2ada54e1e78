"""The door for bytes, the quality verdict, scale bars."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leuko.images import scale_bar
from leuko.images.decode import MAX_BYTES, ImageError, decode
from leuko.images.quality import assessment
from leuko.images.synthetic import rendering
from tests import bad_files


@pytest.fixture(scope="module")
def files(tmp_path_factory, smear) -> Path:
    folder = tmp_path_factory.mktemp("files")
    bad_files.write_all(folder, smear[:180])
    return folder


@pytest.mark.parametrize(("name", "words"), bad_files.REFUSED.items())
def test_unusable_files_are_refused_in_one_sentence(files, name, words):
    with pytest.raises(ImageError, match=words) as refusal:
        decode(files / name)
    assert str(refusal.value).count("\n") == 0 and str(refusal.value).endswith(".")


@pytest.mark.parametrize("name", bad_files.ACCEPTED)
def test_odd_files_come_out_as_upright_rgb(files, smear, name):
    image = decode(files / name)
    assert image.dtype == np.uint8 and image.shape == (180, 224, 3)
    truth = smear[:180].astype(float).mean(axis=2)
    assert np.corrcoef(image.astype(float).mean(axis=2).ravel(), truth.ravel())[0, 1] > 0.8


def test_transparency_is_laid_on_white(files):
    assert (decode(files / "rgba.png")[:38, :38] == 255).all()


def test_deep_grey_keeps_its_brightness_whatever_the_bit_depth(files):
    shallow = decode(files / "grey.png").astype(int)
    for name in ("deep.png", "deep.tif"):
        assert np.abs(decode(files / name).astype(int) - shallow).max() <= 1


def test_the_byte_limit_holds_without_reading_on(tmp_path):
    file = tmp_path / "huge.png"
    with file.open("wb") as f:
        f.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageError, match="larger than 50 MB"):
        decode(file)


def test_bytes_paths_and_open_files_are_the_same(tmp_path, smear):
    file = tmp_path / "a.png"
    Image.fromarray(smear).save(file)
    with file.open("rb") as opened:
        for source in (file, str(file), file.read_bytes(), opened):
            assert (decode(source) == smear).all()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda i: (i * 0.3).astype(np.uint8), "dark"),
        (lambda i: np.full_like(i, 250), "over-exposed"),
        (lambda i: np.full_like(i, 200), "blank"),
        (lambda i: cv2.GaussianBlur(i, (0, 0), 8), "focus"),
        (lambda i: np.repeat(i.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2), "colour"),
        (lambda i: i[:40, :40], "small"),
    ],
)
def test_unfit_images_are_named(smear, spoil, word):
    verdict = assessment.assess(spoil(smear))
    assert not verdict.usable
    assert any(word in issue for issue in verdict.issues)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda i: (i * 0.45).astype(np.uint8), "dim"),
        (lambda i: (i * 0.22 + 190).astype(np.uint8), "contrast"),
        (lambda i: i[:80, :80], "small"),
    ],
)
def test_images_that_are_not_good_but_can_be_judged_are_judged_with_a_warning(smear, spoil, word):
    verdict = assessment.assess(spoil(smear))
    assert verdict.usable and any(word in warning for warning in verdict.warnings)


def test_a_good_image_has_no_warnings(smear):
    assert assessment.assess(smear) == assessment.Quality()


@pytest.mark.parametrize("light", [0.6, 0.8, 1.2, 1.4])
def test_light_alone_refuses_no_smear(light):
    for stain in rendering.STAINS:
        for cells in ({"lymphocyte": 1}, {"blast": 4}):
            field = rendering.render(6, width=512, height=512, um_per_px=0.2, white_cells=cells, stain=stain).image
            assert assessment.assess(np.clip(field * light, 0, 255).astype(np.uint8)).issues == ()


def test_what_is_no_smear_is_refused_in_any_light(smear):
    page = np.full((300, 400, 3), 255, np.uint8)
    for y in range(20, 300, 14):
        cv2.putText(page, "lorem ipsum dolor sit amet", (5, y), cv2.FONT_HERSHEY_PLAIN, 1, (40, 20, 60), 1, cv2.LINE_AA)
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    for image in (page, noise, 255 - smear):
        assert not assessment.assess(image).usable


def test_real_and_drawn_smears_are_fit(real_files, data, smear):
    others = sorted((data / "bccd" / "JPEGImages").iterdir())[::40] + sorted((data / "jtsc").glob("*.bmp"))[::30]
    for image in [smear, *map(decode, real_files + others)]:
        assert assessment.assess(image).issues == ()


def test_drawn_captions_are_found_and_removed(smear):
    clean = cv2.GaussianBlur(smear, (0, 0), 0.5)
    assert not scale_bar.find(clean).any()
    for seed in range(20):
        marked = scale_bar.burn(clean, np.random.default_rng(seed))
        touched = (marked != clean).any(axis=2)
        ink = touched & (marked[..., 1:].max(axis=2) < 60)  # black or red
        assert scale_bar.find(marked)[ink].mean() > 0.9
        left = scale_bar.find(scale_bar.remove(marked))
        assert left.sum() < 0.2 * touched.sum()


def test_captions_of_the_real_images_are_found(data):
    """Pro images all carry a caption in the same place."""
    files = sorted((data / "aria" / "Pro").iterdir())[::20]
    found = [scale_bar.find(decode(file))[205:, 190:].any() for file in files]
    assert np.mean(found) > 0.95
    fields = sorted((data / "bccd" / "JPEGImages").iterdir())[::20]
    assert not any(scale_bar.find(decode(file)).any() for file in fields)

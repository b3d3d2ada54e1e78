"""The public names of `leuko`: cheap to import, and the same finding from a file, an array and a Pillow image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import leuko
from leuko.images.decode import decode
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def file(smear, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("image") / "smear.png"
    Image.fromarray(smear).save(path)
    return path


def test_a_file_an_array_and_a_pillow_image_have_one_finding(embedded, file, smear):
    findings = [embedded.classify(image) for image in (file, str(file), smear, Image.fromarray(smear))]
    assert all(finding == findings[0] for finding in findings)
    assert isinstance(findings[0], leuko.Finding) and findings[0].decision


def test_read_image_gives_what_every_other_door_gives(file, smear):
    assert np.array_equal(leuko.read_image(file), smear) and np.array_equal(decode(file), smear)


def test_segment_takes_files_arrays_and_pillow_images(file, smear):
    results = [leuko.segment(image) for image in (file, smear, Image.fromarray(smear))]
    assert all(isinstance(result, leuko.Segmentation) and result.white_cells.max() > 0 for result in results)
    assert all(np.array_equal(result.white_cells, results[0].white_cells) for result in results)


def test_a_grey_array_and_a_turned_pillow_image_are_understood(embedded, smear, tmp_path):
    grey = np.asarray(Image.fromarray(smear).convert("L"))
    assert embedded.classify(grey) == embedded.classify(np.stack([grey] * 3, axis=2))
    turned = Image.fromarray(np.rot90(smear).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert embedded.classify(opened) == embedded.classify(tmp_path / "turned.png")


@pytest.mark.parametrize(
    "array", [np.zeros((8, 8, 3)), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8, 3), np.uint8), np.zeros(8, np.uint8)]
)
def test_arrays_that_are_no_images_are_refused_with_what_to_give(embedded, array):
    with pytest.raises(leuko.ImageError, match="give uint8, height × width × 3"):
        embedded.classify(array)


def test_a_file_of_several_pictures_and_a_missing_model_are_refused(embedded, smear, tmp_path):
    frames = [Image.fromarray(np.roll(smear, 50 * i, axis=0)) for i in range(2)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(leuko.ImageError, match="holds 2 pictures"):
        embedded.classify(tmp_path / "two.tif")
    with pytest.raises(leuko.ModelFolderError, match="no model folder"):
        leuko.load("./nowhere")


def test_every_public_name_is_there_and_no_other():
    assert all(getattr(leuko, name) is not None for name in leuko.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = leuko.nothing
    assert (Path(leuko.__file__).parent / "py.typed").is_file()


def test_importing_leuko_imports_no_library():
    code = "import sys, leuko; print([m for m in ('numpy', 'PIL', 'cv2', 'onnxruntime', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

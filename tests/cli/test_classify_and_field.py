"""The commands `classify` and `field` on good and bad images, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuko.__main__ import main
from leuko.cells.segmentation import DEFAULT_METHOD, segment
from leuko.images.decode import decode
from tests import bad_files
from tests.conftest import ROOT

FIELDS = {
    "image", "label", "pattern", "probabilities", "leukaemia_probability", "evidence", "decision", "headline",
    "reasons", "quality", "in_distribution", "model",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory, smear) -> Path:
    folder = tmp_path_factory.mktemp("files")
    bad_files.write_all(folder, smear[:180])
    return folder


def leuko(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "leuko", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_line_answers_every_image_and_fails_only_the_bad(files, tmp_path):
    done = leuko("classify", files, "--json", tmp_path / "out.jsonl", "--cam", tmp_path / "cam", "--class", "Early")
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    answers = {a["image"]: a for a in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert set(answers) == set(bad_files.REFUSED) | set(bad_files.ACCEPTED)
    for name, words in bad_files.REFUSED.items():
        assert set(answers[name]) == {"image", "error"} and words in answers[name]["error"]
    for name in bad_files.ACCEPTED:
        answer = answers[name]
        assert set(answer) == FIELDS
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert answer["decision"] in ("suspicious", "not suspicious", "uncertain")
        cam = np.load(tmp_path / "cam" / f"{Path(name).stem}.npy")
        assert cam.dtype == np.float32 and cam.shape == (180, 224) and cam.min() >= 0 and cam.max() <= 1
        assert decode(tmp_path / "cam" / f"{Path(name).stem}.png").shape == (180, 224, 3)
    assert answers["grey.png"]["decision"] == "uncertain" and not answers["grey.png"]["quality"]["usable"]


def test_images_of_one_name_are_not_written_over_one_another(tmp_path, smear):
    for folder, image in (("a", smear), ("b", smear[::-1]), ("x/b", smear), ("y/b", smear)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "in" / folder / "1.png")
    (tmp_path / "empty").mkdir()
    done = leuko("field", tmp_path / "in", tmp_path / "empty", "--masks", tmp_path / "out")
    *found, nothing = map(json.loads, done.stdout.splitlines())
    assert len(found) == 4 and all(each["counts"] for each in found) and "no image in this folder" in nothing["error"]
    assert done.returncode == 1 and "written as b-1" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 4
    share = found[0]["blast_share"]  # as the page tells it
    assert 0 <= share["interval"][0] <= share["share"] <= share["interval"][1] <= 1
    for name, image in (("1.png", smear), ("b-1.png", smear[::-1])):
        assert np.array_equal(np.array(Image.open(tmp_path / "out" / name)), segment(image).mask())


def test_the_method_of_segmentation_can_be_chosen(tmp_path, smear, capsys):
    Image.fromarray(smear).save(tmp_path / "a.png")
    for chosen in (None, "otsu", "k-means"):
        options = ["--method", chosen] if chosen else []
        assert main(["field", str(tmp_path / "a.png"), *options, "--masks", str(tmp_path / str(chosen))]) == 0
        assert json.loads(capsys.readouterr().out)["method"] == (chosen or DEFAULT_METHOD)
        mask = segment(smear, chosen or DEFAULT_METHOD).mask()
        assert np.array_equal(np.array(Image.open(tmp_path / str(chosen) / "a.png")), mask)
    with pytest.raises(SystemExit):
        main(["field", str(tmp_path / "a.png"), "--method", "magic"])
    assert "learned" in capsys.readouterr().err  # the choices are named


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--class", "Nope"], "There is no class 'Nope'"), (["--model", "no/such/model"], "There is no model folder")],
)
def test_the_command_line_refuses_in_one_line(files, arguments, words):
    done = leuko("classify", files / "rgba.png", *arguments)
    assert done.returncode == 1 and words in done.stderr and len(done.stderr.strip().splitlines()) == 1

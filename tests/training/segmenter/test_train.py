"""`leuko train-segmenter` from lists on disk to a network that segments an image, with an interruption on the way."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from leuko.cells.segmentation import segment
from leuko.cells.segmentation.learned.classes import CLASSES
from leuko.cells.segmentation.learned.network import SegmentationNetwork
from leuko.cli.main import main
from leuko.data.errors import DataError
from leuko.training import fit_state
from leuko.training.segmenter import fit, train, views
from leuko.training.segmenter.train import read_lists, shares
from leuko.training.segmenter.unet import SegmentationUNet
from tests.training.segmenter.drawn_lists import smear, write_list

OPTIONS = ("--steps", "3", "--second-steps", "2", "--drawn", "2")


@dataclass(frozen=True)
class Run:
    lists: tuple[str, ...]
    output: Path
    printed: tuple[str, str]  # before and after the interruption

    def command(self, *options: str) -> list[str]:
        return ["train-segmenter", *self.lists, "--output", str(self.output), *OPTIONS, *options]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run of two rounds on six images; the second round is interrupted when it begins to fit."""
    folder = tmp_path_factory.mktemp("lists")
    lists = (str(write_list(folder, "lab", range(6))),)
    done, before, after = Run(lists, tmp_path_factory.mktemp("run") / "out", ("", "")), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "PARAMETERS", replace(fit.PARAMETERS, batch=2))
        patch.setattr(views, "PARAMETERS", replace(views.PARAMETERS, side=96))
        with pytest.MonkeyPatch.context() as interruption, redirect_stdout(before):
            interruption.setattr(fit_state, "load_average", interrupt)
            assert main(done.command()) == 130
        with redirect_stdout(after):
            assert main(done.command("--resume")) == 0
    return replace(done, printed=(before.getvalue(), after.getvalue()))


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_is_continued_where_it_was_interrupted(run):
    before, after = run.printed
    assert "lab: 6 of 6 images labelled." in before and before.count("labelled") == 2
    assert "2 smears drawn." in before and "Step 3 of 3" in before
    assert "Round 1 is done." in after and "Step 2 of 2" in after and f"Written: {run.output / 'network.onnx'}" in after
    assert "labelled" not in after and "drawn." not in after


@pytest.mark.slow
def test_the_folder_holds_no_pickle_and_says_what_the_network_was_trained_on(run):
    endings = {file.suffix for file in run.output.rglob("*") if file.is_file()}
    assert endings == {".json", ".npz", ".onnx", ".safetensors"}
    report = json.loads((run.output / "training.json").read_text())
    assert report["lists"]["lab"]["images"] == 6 and len(report["lists"]["lab"]["sha256"]) == 64
    assert [part["steps"] for part in report["rounds"]] == [3, 2] and report["seed"] == 0 and report["drawn"] == 2
    for part in report["rounds"]:
        assert part["lists"]["lab"] == {"examples": 6, "left_out": {}}
        assert part["losses"].keys() == {"entropy", "dice", "offsets", "diameter"}
        assert all(np.isfinite(list(part["losses"].values())))
    assert report["versions"]["torch"] == torch.__version__.split("+")[0]
    assert str(run.output) not in json.dumps(report) and ".png" not in json.dumps(report)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 96), (176, 160)])
def test_the_onnx_file_computes_what_pytorch_computes(run, size):
    network = SegmentationUNet().eval()
    fit_state.load_average(run.output / "round-2" / "state.safetensors", network)
    pixels = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(pixels)
    session = onnxruntime.InferenceSession(run.output / "network.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["classes", "offsets", "diameter"]
    for ours, theirs in zip(session.run(None, {"pixels": pixels.numpy()}), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
    assert (run.output / "network.onnx").stat().st_size < 5e6


@pytest.mark.slow
def test_the_network_segments_an_image(run):
    network, image = SegmentationNetwork(run.output / "network.onnx"), smear(9).image
    look = network.look(image)
    assert look.shares.shape == (len(CLASSES), 80, 80)
    assert look.shares.sum(axis=0) == pytest.approx(np.ones((80, 80)), abs=1e-5)
    assert segment(image, "learned", network=network).white_cells.shape == image.shape[:2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [(("--seed", "1"), "--seed 0, this one has --seed 1"), (("--rounds", "3"), "--rounds 2, this one has --rounds 3")],
)
def test_a_run_with_other_options_is_not_continued(run, options, words, capsys):
    assert main(run.command("--resume", *options)) == 1
    told = capsys.readouterr().err
    assert words in told and "without --resume" in told and told.count("\n") == 1


@pytest.mark.slow
def test_a_run_with_other_images_is_not_continued(run, tmp_path, capsys):
    other = replace(run, lists=(str(write_list(tmp_path, "lab", [1, 2])),))
    assert main(other.command("--resume")) == 1
    assert "other lists or images" in capsys.readouterr().err


def test_a_folder_with_other_files_is_not_touched(tmp_path, capsys):
    lists = (str(write_list(tmp_path, "lab", [1])),)
    assert main(Run(lists, tmp_path, ("", "")).command()) == 1
    assert "holds other files" in capsys.readouterr().err
    assert {file.stem for file in tmp_path.iterdir()} == {"lab", "lab-1", "lab-1-mask"}


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_weights_that_cannot_be_used_are_refused_before_anything_is_written(content, tmp_path, capsys):
    weights = tmp_path / "w.safetensors"
    if content:
        weights.write_bytes(content)
    lists, output = (str(write_list(tmp_path, "lab", [1])),), tmp_path / "out"
    assert main(Run(lists, output, ("", "")).command("--weights", str(weights))) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and str(weights) in told and not output.exists()


def test_a_list_of_no_use_is_named_with_the_reasons(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "draw_smears", None)
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "lab.csv").write_text("image\na.png\n")
    command = ["train-segmenter", str(tmp_path / "lab.csv"), "--output", str(tmp_path / "out"), "--drawn", "0"]
    assert main(command) == 1
    told = capsys.readouterr()
    assert "0 of 1 images labelled; left out 1: It cannot be read as an image." in told.out
    assert "No image of lab can be used" in told.err


def test_every_source_has_a_name_of_its_own(tmp_path):
    write_list(tmp_path, "drawn", [1])
    (tmp_path / "more").mkdir()
    one, two = write_list(tmp_path, "lab", [1]), write_list(tmp_path / "more", "lab", [2])
    assert list(read_lists([one])) == ["lab"]
    for files in ([one, two], [tmp_path / "drawn.csv"]):
        with pytest.raises(DataError, match="is taken; rename"):
            read_lists(files)


def test_shares_lie_between_those_of_laboratories_and_those_of_images():
    found = shares({"small": 100, "large": 1600, "drawn": 5})
    assert sum(found.values()) == pytest.approx(1) and found["drawn"] == pytest.approx(2 / 7)
    assert found["large"] / found["small"] == pytest.approx(2)
    assert shares({"alone": 7}) == {"alone": 1}

"""`leuko train-kinds` from lists on disk to a network that tells kinds, with an interruption on the way."""

from __future__ import annotations

import csv
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leuko.cells.kinds.conformal import Calibration
from leuko.cells.kinds.names import KINDS, NORMAL_KINDS
from leuko.cells.kinds.network import KindNetwork, as_input
from leuko.cli.main import main
from leuko.images.synthetic import rendering
from leuko.training.kinds import fit, train
from leuko.training.kinds.augment import change, stain_map
from leuko.training.kinds.calibrate import FALSE_FORM, Judged, contamination, form_bias, pooled, refit_form, replaceable
from leuko.training.kinds.cells import Cells, read_cells
from leuko.training.kinds.export import export
from leuko.training.kinds.two_views import TwoViewNetwork
from leuko.training.kinds.views import coarse, coarse_matrix
from leuko.training.segmenter.settings import TRUNK

OPTIONS = ("--steps", "2", "--fold-steps", "1", "--folds", "2", "--drawn", "12")


def lists(root: Path) -> list[str]:
    """A laboratory of cells of every normal kind, one of a few of these, and one of malignant and benign fields."""
    rows = {name: [["image", "label", "x", "y", "group"]] for name in ("singles", "fields", "few")}
    for i, kind in enumerate(NORMAL_KINDS * 2):
        smear = rendering.render(i, width=200, height=200, um_per_px=0.2, white_cells={kind: 1}, cut=False)
        Image.fromarray(smear.image).save(root / f"s{i}.png")
        rows["singles"].append([f"s{i}.png", kind, "", "", f"{kind}-{i // len(NORMAL_KINDS)}"])
        if kind in ("neutrophil", "monocyte"):
            rows["few"].append([f"s{i}.png", kind, "", "", f"{i}"])
    for i in range(4):
        cells = {"blast": 4} if i % 2 else {"lymphocyte": 4}
        smear = rendering.render(i, width=320, height=320, um_per_px=0.3, white_cells=cells, cut=False)
        Image.fromarray(smear.image).save(root / f"f{i}.png")
        rows["fields"].append([f"f{i}.png", "malignant" if i % 2 else "benign", "", "", f"{'ab'[i % 2]}-{i // 2}"])
    for name, content in rows.items():
        with (root / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(content)
    return [str(root / f"{name}.csv") for name in rows]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run that is interrupted before the last fit, and continued."""
    root = tmp_path_factory.mktemp("lists")
    output = tmp_path_factory.mktemp("run") / "out"
    command = ["train-kinds", *lists(root), "--output", str(output), *OPTIONS]
    small = replace(fit.PARAMETERS, fine=8, field=4, named=4, drawn=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "fit", lambda *arguments: fit.fit(*arguments, parameters=small))
        with pytest.MonkeyPatch.context() as interruption:
            interruption.setattr(train.calibrate, "temperature", interrupt)
            assert main(command) == 130
        kept = (output / "fold-0.npz").stat().st_mtime_ns
        assert main([*command, "--resume"]) == 0
        assert (output / "fold-0.npz").stat().st_mtime_ns == kept
        assert main([*command, "--resume", "--seed", "3"]) == 1  # another run
    return output


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_gives_a_network_its_calibration_and_what_it_was_trained_on(run):
    look = KindNetwork(run / "network.onnx").look(np.full((3, 96, 96, 3), 200, np.uint8))
    assert look.probabilities.shape == (3, len(KINDS)) and look.features.shape == (3, 384)
    assert look.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5) and (look.novelty >= 0).all()
    calibration = Calibration.read(run / "calibration.json")
    assert all(len(scores) for scores in calibration.probabilities)
    report = json.loads((run / "training.json").read_text())
    assert report["folds"] == 2 and set(report["cells"]) == {"singles", "fields", "few", "drawn"}
    assert str(run) not in (run / "training.json").read_text()


@pytest.mark.slow
def test_every_cell_is_judged_by_a_network_that_has_not_seen_its_group(run):
    with np.load(run / "out_of_fold.npz") as stored:
        pairs = set(
            zip(stored["laboratories"].tolist(), stored["groups"].tolist(), stored["folds"].tolist(), strict=True)
        )
        assert len(pairs) == len({pair[:2] for pair in pairs})
        assert set(stored["folds"]) == {0, 1} and np.isfinite(stored["probabilities"]).all()


@pytest.mark.slow
def test_a_laboratory_whose_kinds_others_show_is_judged_by_a_network_without_it(run):
    for name in ("without-few", "fold-0", "fold-1"):
        assert KindNetwork(run / f"{name}.onnx").look(np.full((2, 96, 96, 3), 200, np.uint8)).novelty.shape == (2,)
    assert not (run / "without-singles.onnx").exists()  # nothing else shows all of its kinds
    with np.load(run / "without-few.npz") as judged:
        assert len(judged["form"]) == len(Cells.read(run / "few.npz"))


def test_the_exported_network_says_what_the_trained_one_says(tmp_path):
    torch.manual_seed(0)
    network = TwoViewNetwork().eval()
    network.load_trunk(TRUNK)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    export(network, tmp_path / "network.onnx")
    with torch.no_grad():
        probabilities, features, _ = network(torch.from_numpy(as_input(pixels)))
    look = KindNetwork(tmp_path / "network.onnx").look(pixels)
    assert np.abs(look.probabilities - probabilities.numpy()).max() < 0.05
    assert np.corrcoef(look.features.ravel(), features.numpy().ravel())[0, 1] > 0.99
    assert (tmp_path / "network.onnx").stat().st_size < 5e6


def test_the_coarse_view_in_the_network_is_the_one_of_training():
    pixels = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    matrix = coarse_matrix()
    inside = np.stack([matrix @ pixels[..., c].astype(np.float32) @ matrix.T for c in range(3)], axis=2)
    assert np.abs(inside - coarse(pixels)).max() <= 1.5  # rounding


def test_a_stain_map_takes_one_laboratory_to_another():
    source = np.array([[1.0, 1.7, 0.4], [0.2, 0.3, 0.15]])
    target = np.array([[0.4, 0.6, 0.1], [0.3, 0.25, 0.1]])
    mapped = source @ stain_map(source, target).T
    assert np.abs(mapped[0] - target[0]).max() < 0.1
    assert np.allclose(stain_map(source, source), np.eye(3), atol=1e-9)


def test_a_changed_cell_is_alone_on_white_and_the_same_for_the_same_seed(run):
    cells = Cells.read(run / "singles.npz")
    stain = np.stack([cells.nucleus_density[0], cells.red_density[0]])
    views = [
        change(cells.pixels[0], cells.parts[0], stain, stain * 0.7, np.random.default_rng(seed)) for seed in (5, 5, 6)
    ]
    assert (views[0] == views[1]).all() and (views[0] != views[2]).any()
    assert views[0].shape == (96, 96, 3) and (views[0][0, 0] == 255).all()


def test_the_share_of_other_cells_in_malignant_fields_is_estimated():
    rng = np.random.default_rng(0)
    pure = rng.beta(2, 6, 2000)
    mixed = np.concatenate([rng.beta(2, 6, 300), rng.beta(9, 2, 700)])
    assert contamination(mixed, pure) == pytest.approx(0.3, abs=0.06)


def some_cells(labels: dict[str, dict[str, int]]) -> Cells:
    """Cells of laboratories, so many of each kind; only what is known of them."""
    rows = [(kind, name) for name, kinds in labels.items() for kind, number in kinds.items() for _ in range(number)]
    kinds, names = (np.array(column) for column in zip(*rows, strict=True))
    unused = {field.name: np.zeros(len(rows)) for field in fields(Cells)}
    return Cells(**unused | {"labels": kinds, "laboratories": names})


def test_a_laboratory_is_left_out_where_others_show_all_of_its_kinds():
    cells = some_cells(
        {"a": {"neutrophil": 2, "monocyte": 1}, "b": {"neutrophil": 1}, "c": {"malignant": 1}, "drawn": {"blast": 1}}
    )
    assert replaceable(cells) == ["b"]
    with_fields = some_cells({"a": {"neutrophil": 1}, "b": {"neutrophil": 1, "malignant": 1}})
    assert replaceable(with_fields) == ["a"]  # the other has the only fields of leukaemia


def test_without_drawn_blasts_no_cell_is_a_blast_by_its_form():
    cells = some_cells({"a": {"neutrophil": 50}, "c": {"benign": 50}})
    judged = Judged.empty(len(cells))
    judged.form[:], judged.odds[:], judged.logits[:] = 0, -5, 0
    assert judged.probabilities(1, 0, form_bias(cells, judged))[:, -1].max() < 0.01


def test_laboratories_count_alike_in_the_scores_of_a_kind():
    scores = np.concatenate([np.full(300, 0.9), np.full(30, 0.1), np.full(2, 0.5)])
    both = pooled(scores, np.array(["a"] * 300 + ["b"] * 30 + ["c"] * 2))
    assert (both == 0.1).sum() == (both == 0.9).sum() and 0.5 not in both  # two cells say little of a laboratory
    assert 30 < len(both) < 120  # not as sure as 330 cells of one laboratory would be
    assert (pooled(scores[:300], np.array(["a"] * 300)) == scores[:300]).all()


def test_the_form_of_drawn_blasts_is_not_that_of_cells_of_benign_fields():
    rng = np.random.default_rng(0)
    cells = some_cells({"a": {"neutrophil": 200}, "c": {"benign": 200}, "drawn": {"blast": 200, "lymphocyte": 200}})
    network = TwoViewNetwork()
    features = rng.normal(size=(len(cells), 384)).astype(np.float32)
    benign, blasts = cells.labels == "benign", cells.labels == "blast"
    features[benign, 0], features[blasts, 1], features[blasts, 0] = 3, 3, 3
    network.form.weight.data[:] = torch.eye(192)[:1]  # benign cells look like blasts to the layer that was learnt
    refit_form(network, cells, features)
    with torch.no_grad():
        odds = network.form_odds(torch.from_numpy(features[:, :192])).numpy()
    assert (odds[blasts] > 0).mean() > 0.95 and (odds[~blasts] < 0).mean() > 0.95


def test_hardly_any_normal_cell_of_any_laboratory_has_the_form_of_a_blast():
    rng = np.random.default_rng(0)
    cells = some_cells({"a": {"neutrophil": 400}, "b": {"lymphocyte": 400}, "drawn": {"blast": 400}})
    judged = Judged.empty(len(cells))
    judged.form[:] = np.concatenate([rng.normal(middle, 1, 400) for middle in (-4, -1, 4)])
    found = judged.form + form_bias(cells, judged) > 0
    assert found[:400].mean() == 0 and 0 < found[400:800].mean() <= FALSE_FORM + 0.005 and found[800:].mean() > 0.9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image\na.png\n", "is no list of cells"),
        ("image,label\nmissing.png,blast\n", "line 2: there is no file missing.png"),
        ("image,label\nhere.png,unicorn\n", "line 2: the label 'unicorn' must be one of"),
    ],
)
def test_a_list_that_cannot_be_used_names_the_line(text, words, tmp_path, capsys):
    Image.fromarray(np.full((64, 64, 3), 220, np.uint8)).save(tmp_path / "here.png")
    (tmp_path / "lab.csv").write_text(text)
    assert main(["train-kinds", str(tmp_path / "lab.csv"), "--output", str(tmp_path / "out"), "--drawn", "0"]) == 1
    assert words in capsys.readouterr().err


def test_a_labelled_place_without_a_cell_is_left_out_and_counted(tmp_path, capsys):
    smear = rendering.render(1, width=300, height=300, um_per_px=0.2, white_cells={"neutrophil": 1}, cut=False)
    Image.fromarray(smear.image).save(tmp_path / "a.png")
    ys, xs = np.nonzero(smear.white_cells)
    far = 20 if xs.mean() > 150 else 280
    (tmp_path / "lab.csv").write_text(
        f"image,label,x,y\na.png,neutrophil,{xs.mean()},{ys.mean()}\na.png,neutrophil,{far},{300 - ys.mean()}\n"
    )
    assert len(read_cells(tmp_path / "lab.csv")) == 1
    assert "cells in 1 of 2 images; the others are left out" in capsys.readouterr().out

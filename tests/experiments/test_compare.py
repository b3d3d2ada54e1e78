"""Systems side by side: a whole small comparison, what it learns from, and the tests of significance."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import leuko
from leuko.__main__ import main
from leuko.cells.features.catalogue import NAMES
from leuko.cells.segmentation import segment
from leuko.data.splitting.groups import Groups
from leuko.data.splitting.split import Split
from leuko.experiments import baselines, methods
from leuko.images.decode import decode
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.networks import classical_features, classical_onnx
from leuko.networks.model_folder import ModelFolderError
from leuko.networks.runtime import OnnxRuntime
from leuko.serving.analysis import analyse
from leuko.serving.tabs import heat_map
from leuko.stats import paired_tests
from tests.drawn import draw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn"), 21, 21)


OPTIONS = ["--weights", "none", "--scratch-epochs", "1", "--scratch-size", "32"]


@pytest.fixture(scope="module")
def compared(drawn, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("compared")
    chosen = ["colours", "cells-tree-smote", "kazemi", "deep-svm", "sampathila"]
    assert main(["compare", str(drawn), "--output", str(output), "--systems", *chosen, *OPTIONS]) == 0
    return output


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "comparison.csv").open(encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_the_table_has_all_that_was_run_and_parts_what_was_not_trained_enough(compared):
    rows = table(compared)
    assert set(rows) == {"colours", "cells-tree-smote", "kazemi", "sampathila"}  # without weights, no deep features
    for row in rows.values():
        assert 0 <= float(row["f1_low"]) <= float(row["f1"]) <= float(row["f1_high"]) <= 1
        assert float(row["train_seconds"]) > 0 and float(row["megabytes"]) > 0 and float(row["latency_ms"]) > 0
    assert rows["sampathila"]["note"] == "from scratch, 1 epochs at 32 px, not converged"
    assert rows["sampathila"]["p_mcnemar"] == ""
    page = (compared / "comparison.md").read_text()
    above, below = page.split("no conclusions are drawn")
    assert "SMOTE" in above and "compact CNN" not in above.split("| method |")[1] and "compact CNN" in below
    assert "SVM on frozen tf_efficientnet_lite0: not run: the ImageNet weights" in page
    assert "SMOTE" in (compared / "comparison.html").read_text()
    assert (compared / "comparison.png").stat().st_size > 1000


def test_two_folds_and_strange_weights_are_refused(drawn, tmp_path, capsys):
    (tmp_path / "lenet.safetensors").write_bytes(b"")
    for options, words in (
        (["--folds", "2"], "3 and more"),
        (["--weights", str(tmp_path / "lenet.safetensors")], "not named after a network"),
    ):
        assert main(["compare", str(drawn), "--output", str(tmp_path / "out"), *options]) == 1
        assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_colour_row_is_what_scikit_learn_says(compared, drawn):
    split = json.loads((compared / "split.json").read_text())["files"]
    x, y = ({"train": [], "test": []} for _ in range(2))
    for file, (part, _) in split.items():
        if part in x:
            x[part].append(colour_statistics(decode(drawn / file)))
            y[part].append(file.split("/")[0])
    scale = StandardScaler().fit(x["train"])
    neighbours = KNeighborsClassifier(5).fit(scale.transform(x["train"]), y["train"])
    wanted = neighbours.score(scale.transform(x["test"]), y["test"])
    assert float(table(compared)["colours"]["accuracy"]) == pytest.approx(wanted)


def test_what_was_run_is_kept_and_what_is_missing_run(compared, drawn, capsys):
    before = table(compared)
    row = compared / "rows" / "cells-tree-smote.npz"
    row.write_bytes(row.read_bytes()[:100])  # as a full disk would leave it
    (compared / "features" / "cells.npz").touch()
    measured = (compared / "features" / "cells.npz").stat().st_mtime_ns
    chosen = ["colours", "cells-tree-smote", "sampathila"]
    assert main(["compare", str(drawn), "--output", str(compared), "--systems", *chosen, *OPTIONS]) == 0
    said = {line.split(":")[0]: line for line in capsys.readouterr().out.splitlines() if "accuracy" in line}
    assert len(said) == 3
    assert [title for title, line in said.items() if "(stored result)" not in line] == [
        "decision tree on cells and colours, SMOTE"
    ]
    assert (compared / "features" / "cells.npz").stat().st_mtime_ns == measured
    assert table(compared)["cells-tree-smote"]["f1"] == before["cells-tree-smote"]["f1"]


def test_in_cross_validation_every_group_is_tested_once(drawn, tmp_path, capsys):
    options = ["compare", str(drawn), "--output", str(tmp_path), "--systems", "colours", "--folds", "3", *OPTIONS]
    assert main(options) == 0
    splits = [json.loads(file.read_text())["files"] for file in sorted(tmp_path.glob("fold-*/split.json"))]
    assert len(splits) == 3
    tested = [{group for part, group in split.values() if part == "test"} for split in splits]
    assert sum(map(len, tested)) == len(set().union(*tested)) == len({group for _, group in splits[0].values()})
    for split, own in zip(splits, tested, strict=True):
        parts = {part: {g for p, g in split.values() if p == part} for part in ("train", "validation")}
        assert parts["train"] and parts["validation"]
        assert not parts["train"] & parts["validation"] and not own & (parts["train"] | parts["validation"])
    said = [
        float(line.split("accuracy ")[1][:5]) for line in capsys.readouterr().out.splitlines() if "accuracy" in line
    ]
    sizes = [sum(part == "test" for part, _ in split.values()) for split in splits]
    assert float(table(tmp_path)["colours"]["accuracy"]) == pytest.approx(np.average(said, weights=sizes), abs=1e-3)
    assert "3 folds" in (tmp_path / "comparison.md").read_text()
    assert main(options) == 0
    assert capsys.readouterr().out.count("(stored result)") == 3


def test_a_trained_row_is_a_model_that_can_be_served(compared, smear):
    classifier = leuko.load(str(compared / "models" / "sampathila"))
    assert classifier.labels == ("blast", "healthy")
    assert sum(classifier.classify(smear).probabilities.values()) == pytest.approx(1)
    assert "import leuko.networks.backbones" in (compared / "models" / "sampathila" / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--systems", "alexnett"], "alexnett"), (["--weights", "no/such.safetensors"], "no/such.safetensors")],
)
def test_wrong_options_are_said_in_one_sentence(drawn, tmp_path, options, words, capsys):
    assert main(["compare", str(drawn), "--output", str(tmp_path / "out"), *options]) == 1
    assert words in capsys.readouterr().err


@pytest.fixture(scope="module")
def with_weights(drawn, tmp_path_factory) -> Path:
    """A comparison with weights at hand of one network and none of another, which therefore sees smaller images."""
    output = tmp_path_factory.mktemp("weights")
    files = []
    for name in ("efficientnet_lite0", methods.FROZEN):
        files.append(str(output / f"{name}.safetensors"))
        save_file(timm.create_model(name).state_dict(), files[-1])
    chosen = ["--systems", "sampathila+lite0", "deep-tree", "--weights", *files, "--image-size", "64", "--epochs", "1"]
    done = main(["compare", str(drawn), "--output", str(output / "out"), *chosen, "--scratch-size", "32"])
    assert done == 0
    return output / "out"


def test_an_average_of_networks_is_one_model(with_weights, smear):
    rows = table(with_weights)
    assert rows["sampathila+lite0"]["part"] == rows["sampathila"]["part"] == "scratch"
    assert rows["lite0"]["part"] == rows["deep-tree"]["part"] == "measured"
    names = ("sampathila+lite0", "sampathila", "lite0")
    both, *each = (leuko.load(str(with_weights / "models" / name)) for name in names)
    assert [one.model.preprocessing.size for one in (both, *each)] == [(64, 64), (32, 32), (64, 64)]
    mean = np.mean([list(one.classify(smear).probabilities.values()) for one in each], axis=0)
    found = np.array(list(both.classify(smear).probabilities.values()))
    sharpened = mean ** (1 / both.model.metadata.temperature)
    assert found == pytest.approx(sharpened / sharpened.sum(), abs=0.01)  # one member's image is made smaller twice
    card = (with_weights / "models" / "sampathila+lite0" / "README.md").read_text()
    assert "train.py" not in card and "leuko compare" in card and "import leuko.networks.backbones" in card


@pytest.mark.parametrize("name", ["colours", "cells-tree-smote", "kazemi"])
def test_a_classifier_on_measures_is_a_model_that_can_be_served(compared, name, smear, tmp_path, capsys):
    place = compared / "models" / name
    assert {f.suffix for f in place.rglob("*") if f.is_file()} <= {
        ".json",
        ".onnx",
        ".md",
        ".png",
        ".yaml",
    }  # no pickle
    classifier = leuko.load(str(place))
    finding = classifier.classify(smear)
    assert list(finding.probabilities) == ["blast", "healthy"]
    assert sum(finding.probabilities.values()) == pytest.approx(1)
    assert finding.model["backbone"] == name and classifier.describe()["input_size"] is None
    card = (place / "README.md").read_text()
    assert f"--systems {name} --output DIR" in card
    assert "train.py" not in card and "timm.create_model" not in card
    file = tmp_path / "a.png"
    Image.fromarray(smear).save(file)
    assert main(["classify", str(file), "--model", str(place)]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == finding.label
    assert main(["classify", str(file), "--model", str(place), "--cam", str(tmp_path / "cam")]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("There is no heat map: Grad-CAM shows where a network looks")
    shown = heat_map.view(analyse(classifier, file))
    assert "There is no heat map" in shown and "<img" not in shown


def tested(compared: Path) -> list[str]:
    files = json.loads((compared / "split.json").read_text())["files"]
    return [name for name, (part, _) in files.items() if part == "test"]


def test_what_is_served_is_what_the_table_says(compared, drawn):
    classifier = leuko.load(str(compared / "models" / "cells-tree-smote"))
    files = tested(compared)
    right = [classifier.classify(decode(drawn / name)).label == name.split("/")[0] for name in files]
    assert np.mean(right) == pytest.approx(float(table(compared)["cells-tree-smote"]["accuracy"]))


def test_a_served_classifier_is_evaluated_like_any_model(compared, drawn, tmp_path, capsys):
    assert main(["evaluate", str(compared / "models" / "colours"), str(drawn), "--output", str(tmp_path / "e")]) == 0
    report = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert report["data"]["own_data"] and report["images"] == len(tested(compared))


def test_features_of_a_frozen_trunk_are_served_too(with_weights, smear):
    place = with_weights / "models" / "deep-tree"
    classifier = leuko.load(str(place))
    assert (place / "onnx" / "trunk.onnx").is_file() and classifier.model.preprocessing.size == (64, 64)
    assert sum(classifier.classify(smear).probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "onnx/model.onnx").write_bytes(b"x"), "not the file that was written"),
        (lambda f: (f / "onnx/model.onnx").unlink(), "missing"),
        (lambda f: edit(f, kind="quantum"), "unknown kind (quantum)"),
        (lambda f: edit(f, measures="smell"), "not known (smell)"),
        (lambda f: edit(f, positive=["nothing"]), "damaged"),
        (lambda f: edit(f, sha256={}), "damaged"),
    ],
)
def test_a_spoilt_classifier_is_refused(compared, tmp_path, spoil, words):
    place = tmp_path / "model"
    shutil.copytree(compared / "models" / "colours", place)
    spoil(place)
    with pytest.raises(ModelFolderError, match=re.escape(words)):
        leuko.load(str(place))


def edit(place: Path, **changes) -> None:
    content = json.loads((place / "leuko.json").read_text())
    (place / "leuko.json").write_text(json.dumps(content | changes))


@pytest.mark.parametrize("kind", ["svm", "forest", "tree", "neighbours"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_file_says_what_scikit_learn_says(kind, classes, tmp_path):
    rng = np.random.default_rng(0)
    truth = np.arange(120) % classes
    measures = (rng.normal(size=(120, 6)) + truth[:, None]).astype(np.float32)
    measures[::5, 2], measures[:, 4] = np.nan, np.nan
    groups = Groups(np.arange(120), np.zeros(120, bool), (), "")
    split = Split(np.arange(0, 60), np.arange(60, 90), np.arange(90, 120), np.array([], int), groups, "", 0)
    fitted = baselines.fit(kind, measures, truth, split, smote=False, seed=0)
    file = tmp_path / "model.onnx"
    file.write_bytes(classical_onnx.as_onnx(fitted.prepare, fitted.classifier, classes, 1.7))
    found = OnnxRuntime(file).run(measures[split.test])
    assert np.stack([o.logits for o in found]) == pytest.approx(fitted.logits(measures[split.test]) / 1.7, abs=1e-4)
    prepared = fitted.prepare.transform(measures[split.test])
    assert np.stack([o.features for o in found]) == pytest.approx(prepared, abs=1e-5)
    if kind == "svm":
        decided = fitted.classifier.predict(prepared)
        assert np.array_equal(np.stack([o.logits for o in found]).argmax(axis=1), decided)


def test_an_average_brings_its_members_along():
    names = [system.name for system in methods.choose(["ding", "cells-tree*"])]
    assert names == ["cells-tree", "cells-tree-smote", "vgg16", "resnet50", "densenet201", "ding"]


def test_smote_and_scales_see_the_training_part_alone():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [60, 20])
    measures = rng.normal(size=(80, 4)) + 2 * truth[:, None]
    measures[5, 2] = np.nan
    train, validation, test = np.r_[0:40, 60:70], np.r_[40:50, 70:75], np.r_[50:60, 75:80]
    groups = Groups(np.arange(80), np.zeros(80, bool), (), "")
    split = Split(train, validation, test, np.array([], int), groups, "", 0)
    fitted = baselines.fit("tree", measures, truth, split, smote=True, seed=0)
    assert fitted.classifier.tree_.n_node_samples[0] == 80  # 40 of each class
    assert fitted.prepare[0].statistics_ == pytest.approx(np.nanmedian(measures[train], axis=0))
    wild = measures.copy()
    wild[test] = 1e6
    again = baselines.fit("tree", wild, truth, split, smote=True, seed=0)
    assert np.array_equal(again.logits(measures[test]), fitted.logits(measures[test]))
    plain = baselines.fit("tree", measures, truth, split, smote=False, seed=0)
    assert plain.classifier.tree_.n_node_samples[0] == 50


def test_measures_of_cells_are_pooled_over_whole_cells(smear):
    pooled = classical_features.cells_and_colours(smear)
    found = segment(smear, "fuzzy")  # whatever the default is: stored classifiers know these measurements
    assert len(pooled) == 3 * len(NAMES) + 4 + 9
    white, red, platelets, _ = pooled[3 * len(NAMES) :][:4]
    assert (white, red, platelets) == (found.white_cells.max(), found.red_cells.max(), found.platelets.max())
    area = NAMES.index("nucleus_area")
    assert pooled[2 * len(NAMES) + area] >= pooled[area]  # the largest nucleus, and the mean
    blank = classical_features.cells_and_colours(np.full((96, 96, 3), 230, np.uint8))
    assert np.isnan(blank[: 3 * len(NAMES)]).all() and np.isfinite(blank[3 * len(NAMES) :]).all()


def test_mcnemar_is_the_binomial_test_of_what_only_one_gets_right():
    first = np.repeat([True, True, False, False], [50, 9, 1, 7])
    second = np.repeat([True, False, True, False], [50, 9, 1, 7])
    assert paired_tests.mcnemar(first, second) == pytest.approx(22 / 1024)  # 2 (1 + 10) / 2^10
    assert paired_tests.mcnemar(second, first) == pytest.approx(22 / 1024)
    assert paired_tests.mcnemar(first, first) == 1


def test_whole_groups_change_places():
    groups = np.repeat(np.arange(5), 10)
    first, second = np.ones(50, bool), np.ones(50, bool)
    second[::10] = False  # one image of each group
    assert paired_tests.group_permutation_test(first, second, groups) == pytest.approx(2 / 32, abs=0.005)
    assert paired_tests.group_permutation_test(first, first, groups) == 1
    second[:] = True
    second[:10] = False  # ten images, but of one group
    assert paired_tests.mcnemar(first, second) < 0.01
    assert paired_tests.group_permutation_test(first, second, groups) == pytest.approx(1)


def test_holm_corrects_for_the_number_of_tests():
    assert paired_tests.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired_tests.holm([0.6, 0.9]) == pytest.approx([1, 1]) and paired_tests.holm([]) == []

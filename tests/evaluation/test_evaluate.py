"""python -m leuko evaluate, on drawn smears; what the embedded model answers does not matter here."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from leuko.__main__ import main
from leuko.cells.segmentation import segment
from leuko.data.labels.positive_classes import class_meanings
from leuko.data.load import load
from leuko.evaluation import corruptions, error_analysis, shortcut_audit
from leuko.evaluation.evaluation_set import gather
from leuko.evaluation.predict_dataset import EvaluatedDataset, predict_dataset
from leuko.images.quality import assessment
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.images.stain.profile import StainProfile
from leuko.images.synthetic import rendering
from leuko.inference.classifier import Classifier
from leuko.networks.model_folder import EMBEDDED, LEUKO

pytestmark = pytest.mark.slow

STAINS = ("neutral", "pink", "blue")


def draw(seed: int, cells: str = "blast", **how) -> Image.Image:
    how = {"width": 112, "height": 112, "um_per_px": 0.7, "stain": STAINS[seed % 3], "white_cells": {cells: 3}} | how
    return Image.fromarray(rendering.render(seed, **how).image)


@pytest.fixture(scope="module")
def smears(tmp_path_factory) -> Path:
    """30 fields that stand under two classes each, so that whatever a model says, half is wrong; one file is broken."""
    root = tmp_path_factory.mktemp("data") / "smears"
    for name in ("Benign", "Pre"):
        (root / name).mkdir(parents=True)
        for i in range(30):
            draw(i).save(root / name / f"{name}-{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def own(smears, tmp_path_factory) -> Path:
    """The embedded model, as if it had learnt from these smears."""
    model = tmp_path_factory.mktemp("models") / "own"
    shutil.copytree(EMBEDDED, model)
    rows = load(str(smears))["train"]
    parts = {"0": "test", "1": "train", "2": "validation"}  # by the first digit of a file's number: each fills a part
    files = {
        file: [parts[file[-6]], int(file[-6]) + 3 * label]
        for file, label in zip(rows.files, rows.labels.tolist(), strict=True)
    }
    files |= {file: ["guard", group] for file, (_, group) in files.items() if file[-5] > "1" and group % 3 == 0}
    (model / "evaluation" / "split.json").write_text(json.dumps({"files": files}))
    content = json.loads((model / LEUKO).read_text())
    content["training"]["fingerprint"] = rows.fingerprint()
    (model / LEUKO).write_text(json.dumps(content))
    return model


@pytest.fixture(scope="module")
def evaluated(own, smears, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("out") / "evaluation"
    assert main(["evaluate", str(own), str(smears), "--output", str(output), "--robustness", "--shortcuts"]) == 0
    return output


def table(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_of_the_models_own_data_the_test_part_alone_is_evaluated(evaluated, own):
    files = json.loads((own / "evaluation" / "split.json").read_text())["files"]
    test = {file for file, (part, _) in files.items() if part == "test"}
    report = json.loads((evaluated / "metrics.json").read_text())
    assert {line["image"] for line in table(evaluated)} == test and report["images"] == len(test) == 4
    assert "only its test part" in report["data"]["description"][0] and report["data"]["own_data"]
    assert report["groups"] == len({files[file][1] for file in test})
    for figure in (report["f1"], report["per_class"]["Pre"]["recall"], report["colour_baseline"]["intervals"]["f1"]):
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert 0 <= report["accuracy"]["value"] <= 0.5


def test_the_page_carries_all_it_shows(evaluated):
    page = (evaluated / "report.html").read_text()
    assert "<script" not in page and "<link" not in page and "url(" not in page
    sources = re.findall(r'\ssrc="([^"]*)"', page)
    assert len(sources) > 10 and all(source.startswith("data:image/") for source in sources)
    plots = {file.stem for file in (evaluated / "plots").glob("*.png")}
    assert plots == {
        "confusion_matrix", "roc", "precision_recall", "reliability", "risk_coverage", "robustness", "shortcuts",
    }  # fmt: skip
    assert "Grad-CAM" in page and "Research use only" in page and "may name patients" in page
    wrong = [line for line in table(evaluated) if line["right"] == "False"]
    assert wrong and all(line["likely_reason"] and f">{line['image'].split('/')[1]}<" in page for line in wrong)


def test_images_are_also_judged_corrupted_and_in_parts(evaluated):
    report = json.loads((evaluated / "metrics.json").read_text())
    assert len(report["robustness"]) == 1 + 6 * 5 and {"blur 1", "stain 3", "scale 5"} <= set(report["robustness"])
    untouched = report["robustness"]["as they are"]["network"]
    assert untouched["f1"]["value"] == pytest.approx(report["f1"]["value"]) and untouched["lost"]["value"] == 0
    shortcuts = report["shortcuts"]
    assert {"scale-bar corner covered", "border only", "background only", "cells only", "grey"} < set(shortcuts)
    assert sum(name.startswith("stain of") for name in shortcuts) == 3
    for view in shortcuts.values():
        for figures in (view["network"], view["colour_baseline"]):
            assert 0 <= figures["f1"]["low"] <= figures["f1"]["value"] <= figures["f1"]["high"] <= 1
        assert 0 <= view["familiar"] <= 1


def test_an_earlier_evaluation_is_replaced_and_every_run_says_the_same(own, smears, tmp_path, evaluated):
    shutil.copytree(evaluated, tmp_path / "again")
    (tmp_path / "again" / "plots" / "old.png").write_bytes(b"")
    assert main(["evaluate", str(own), str(smears), "--output", str(tmp_path / "again")]) == 0
    first, second = (json.loads((f / "metrics.json").read_text()) for f in (evaluated, tmp_path / "again"))
    assert second == {name: value for name, value in first.items() if name not in ("robustness", "shortcuts")}
    assert not (tmp_path / "again" / "plots" / "old.png").exists()


def test_data_with_other_classes_are_compared_two_way(tmp_path, capsys):
    for name, cells in {"ALL": "blast", "Non-ALL": "lymphocyte"}.items():
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(6):
            draw(i, cells).save(tmp_path / "d" / name / f"{i}.png")
    (tmp_path / "d" / "ALL" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(["evaluate", "embedded", str(tmp_path / "d"), "--output", str(tmp_path / "out")]) == 0
    assert "Compared two-way. Leukaemia: ALL; no leukaemia: Non-ALL." in capsys.readouterr().out
    report, lines = json.loads((tmp_path / "out" / "metrics.json").read_text()), table(tmp_path / "out")
    broken = [line for line in lines if line["error"]]
    assert [line["image"] for line in broken] == ["ALL/broken.png"] and report["data"]["unreadable"] == 1
    read = [line for line in lines if not line["error"]]
    score, ill = [float(line["leukaemia_probability"]) for line in read], [line["class"] == "ALL" for line in read]
    assert report["leukaemia"]["auc_roc"]["value"] == pytest.approx(sk.roc_auc_score(ill, score), abs=0.03)
    decided = [line for line in read if line["decision"] != "uncertain"]
    assert report["decisions"]["coverage"]["value"] == pytest.approx(len(decided) / len(read))
    assert set(report["per_class"]) == {"not leukaemia", "leukaemia"}


def test_healthy_images_alone_will_do(tmp_path):
    (tmp_path / "d" / "anything").mkdir(parents=True)
    for i in range(4):
        draw(i, "neutrophil").save(tmp_path / "d" / "anything" / f"{i}.png")
    given = ["evaluate", "embedded", str(tmp_path / "d"), "--positive", "--output", str(tmp_path / "out")]
    assert main(given) == 0
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["leukaemia"]["specificity"]["value"] is not None and report["leukaemia"]["auc_roc"]["value"] is None
    assert report["colour_baseline"] is None and "suspicious" in report["decisions"]


def test_one_class_of_the_models_own_data_will_do(own, smears, tmp_path):
    shutil.copytree(smears / "Benign", tmp_path / "smears" / "Benign")
    output = tmp_path / "out"
    assert main(["evaluate", str(own), str(tmp_path / "smears"), "--output", str(output), "--shortcuts"]) == 0
    report = json.loads((output / "metrics.json").read_text())
    assert report["data"]["own_data"] and report["f1"]["value"] is None and report["accuracy"]["value"] is not None
    assert "No images of" in report["data"]["description"][1] and (output / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--positive", "blasts"], "There is no class 'blasts'"),
        (["--split", "no/split.json"], "does not hold a split"),
        (["--output", "INSIDE"], "lies inside the data"),
        (["--output", "LETTERS"], "holds other files and no evaluation"),
        (["--shortcuts", "--stain-references", "no.png"], "The stain reference no.png"),
        (["--stain-references", "no.png"], "give both"),
    ],
)
def test_refusals_are_one_sentence(options, words, smears, tmp_path, capsys):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    places = {"INSIDE": str(smears / "out"), "LETTERS": str(tmp_path / "letters")}
    options = ["--output", str(tmp_path / "out"), *(places.get(option, option) for option in options)]
    assert main(["evaluate", "embedded", str(smears), *options]) == 1
    said = capsys.readouterr().err.strip()
    assert words in said and len(said.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_patients_are_the_groups_where_the_data_name_them(embedded, tmp_path):
    for name in ("Benign", "Pre"):
        for patient in range(3):
            (tmp_path / name / f"{name}{patient}").mkdir(parents=True)
            for i in range(2):
                draw(i).save(tmp_path / name / f"{name}{patient}" / f"{i}.png")
    evaluation_set = gather(str(tmp_path), EMBEDDED, embedded.labels, embedded.model.metadata)
    groups, how = evaluation_set.groups(np.zeros((12, 9)))
    names = [file.split("/")[1] for file in evaluation_set.rows.files]
    assert how == "the groups the data set names"
    assert len(set(zip(groups, names, strict=True))) == len(set(groups)) == 6


def test_classes_without_a_known_meaning_are_refused(tmp_path, capsys):
    for name in ("monocyte", "eosinophil"):
        (tmp_path / "d" / name).mkdir(parents=True)
        draw(1).save(tmp_path / "d" / name / "1.png")
    assert main(["evaluate", "embedded", str(tmp_path / "d"), "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "--positive" in said and "monocyte" in said and "Pre" in said


def test_own_data_without_their_split_are_refused(own, smears, tmp_path, capsys):
    shutil.copytree(own, tmp_path / "model")
    (tmp_path / "model" / "evaluation" / "split.json").unlink()
    assert main(["evaluate", str(tmp_path / "model"), str(smears), "--output", str(tmp_path / "out")]) == 1
    assert "--split FILE" in capsys.readouterr().err


def test_what_a_model_has_learnt_from_is_left_out_of_other_data(own, smears, tmp_path):
    model = Classifier.load(own)
    files = json.loads((own / "evaluation" / "split.json").read_text())["files"]
    learnt = [file for file, (part, _) in files.items() if part == "train"][:4]
    for name in ("Benign", "Pre"):
        (tmp_path / "smears" / name).mkdir(parents=True)
        for i in range(5):
            draw(i).save(tmp_path / "smears" / name / f"new-{i}.png")
    for file in learnt:
        shutil.copy(smears / file, tmp_path / "smears" / file)
    evaluation_set = gather(str(tmp_path / "smears"), own, model.labels, model.model.metadata)
    assert len(evaluation_set.rows) == 10 and not set(learnt) & set(evaluation_set.rows.files)
    assert "10 of 14 images" in evaluation_set.description[0]


def test_a_model_of_several_sources_knows_its_images_in_each(own, smears, tmp_path):
    shutil.copytree(own, tmp_path / "model")
    split = tmp_path / "model" / "evaluation" / "split.json"
    files = json.loads(split.read_text())["files"]
    split.write_text(json.dumps({"files": {f"smears/{file}": of for file, of in files.items()}}))
    content = json.loads((tmp_path / "model" / LEUKO).read_text())
    content["training"]["fingerprint"] = "that of all sources"
    (tmp_path / "model" / LEUKO).write_text(json.dumps(content))
    model = Classifier.load(tmp_path / "model")
    evaluation_set = gather(str(smears), tmp_path / "model", model.labels, model.model.metadata)
    assert set(evaluation_set.rows.files) == {file for file, (part, _) in files.items() if part == "test"}
    (tmp_path / "model" / "evaluation" / "split.json").unlink()
    evaluation_set = gather(str(smears), tmp_path / "model", model.labels, model.model.metadata)
    assert "is not known" in evaluation_set.description[0]


def test_names_of_classes_are_understood():
    names = ["ALL", "Non-ALL", "healthy", "not leukaemia", "hem", "monocyte"]
    assert class_meanings(names).leukaemia == ("ALL",)
    assert class_meanings(names).absence == ("Non-ALL", "healthy", "not leukaemia", "hem")


def test_corruptions_grow_with_their_strength_and_are_the_same_every_time(smear):
    views = corruptions.corrupted(smear, (0, 7))
    assert all(view.shape == smear.shape and view.dtype == np.uint8 for view in views.values())
    again = corruptions.corrupted(smear, (0, 7))
    assert all((views[name] == again[name]).all() for name in views)
    assert any((view != corruptions.corrupted(smear, (0, 8))[name]).any() for name, view in views.items())
    for kind in ("blur", "noise", "JPEG", "brightness", "stain"):
        change = [np.abs(views[f"{kind} {level}"].astype(int) - smear).mean() for level in range(1, 6)]
        assert change[0] > 0 and change == sorted(change)
    sharpness = [assessment.contrast_and_sharpness(views[f"blur {level}"])[1] for level in range(1, 6)]
    assert sharpness == sorted(sharpness, reverse=True)


@pytest.mark.parametrize("seed", range(4))
def test_another_scale_makes_things_larger_or_smaller_by_its_factor(seed):
    image = np.full((200, 260, 3), 240, np.uint8)
    cv2.circle(image, (130, 100), 30, (90, 40, 130), cv2.FILLED)
    seen = corruptions.scale(image, 1.5, np.random.default_rng(seed))
    assert seen.shape == image.shape
    ratio = ((seen[..., 1] < 140).sum() / (image[..., 1] < 140).sum()) ** 0.5
    assert min(abs(ratio - 1.5), abs(ratio - 1 / 1.5)) < 0.03


def test_another_stain_leaves_the_glass(smear):
    look = StainProfile.from_image(smear)
    seen = StainProfile.from_image(corruptions.stain(smear, 0.3, np.random.default_rng(0)))
    assert np.abs(seen.background - look.background).max() < 6
    assert np.abs(seen.mean - look.mean).max() > 3


def test_parts_of_an_image_hold_what_they_say():
    drawn = rendering.render(5, width=224, height=224, um_per_px=0.42, white_cells={"neutrophil": 6}, blur_um=0.3)
    parts = corruptions.parts(drawn.image)
    assert all(part.shape == drawn.image.shape for part in parts.values())
    covered = parts["scale-bar corner covered"]
    assert (covered[:160] == drawn.image[:160]).all() and len(
        np.unique(covered[170:, 170:].reshape(-1, 3), axis=0)
    ) == 1
    border = parts["border only"]
    assert (border[:14] == drawn.image[:14]).all() and len(
        np.unique(border[16:-16, 16:-16].reshape(-1, 3), axis=0)
    ) == 1
    cells = drawn.white_cells > 0
    found = segment(parts["background only"]).white_cells > 0
    assert (found & cells).sum() < 0.05 * cells.sum()
    kept = (parts["cells only"] != corruptions.BACKGROUND_GREY).any(axis=-1)
    assert (kept & cells).sum() / (kept | cells).sum() > 0.75
    assert np.ptp(parts["grey"].astype(int), axis=-1).max() == 0


def test_colours_alone_are_shown_to_fail_where_colours_change(embedded, smears):
    """Two classes told apart by their stain alone: nearest neighbours are perfect, until all have one."""
    rows = load(str(smears))["train"].select(range(12))
    stains = np.arange(12) % 3 == 1
    colours = np.array([colour_statistics(rows.open_image(row)) for row in range(len(rows))])
    found = shortcut_audit.evaluate_views(
        embedded.model,
        rows,
        lambda _, image: corruptions.restained(image, {"one": StainProfile.from_image(np.asarray(draw(3)))}),
        stains.astype(int),
        np.arange(12),
        progress=lambda items, *_: items,
        reference=shortcut_audit.TrainingColours(np.repeat(colours, 5, axis=0), np.repeat(stains, 5).astype(int)),
    )
    assert found["as they are"]["colour_baseline"]["f1"]["value"] == 1
    assert found["stain of one"]["colour_baseline"]["f1"]["value"] < 0.7
    assert found["stain of one"]["colour_baseline"]["lost"]["value"] > 0.3


def test_what_stands_out_about_an_image_is_named(embedded: Classifier, tmp_path):
    """A blurred one and a crowded one among sharp fields of lonely cells."""
    for name in embedded.labels:
        (tmp_path / name).mkdir()
    for i in range(12):  # under the class that the model gives them, so that all are judged right
        field = draw(i, width=160, height=160)
        field.save(tmp_path / embedded.classify(np.asarray(field)).label / f"{i}.png")
    draw(1, width=160, height=160, blur_um=1.2).save(tmp_path / "Benign" / "blurred.png")
    heap = draw(3, width=160, height=160, white_cells={"blast": 14}, touching=1.0)
    heap.save(tmp_path / "Pre" / "heap.png")
    evaluation_set = gather(str(tmp_path), EMBEDDED, embedded.labels, embedded.model.metadata)
    evaluated = EvaluatedDataset(evaluation_set, predict_dataset(embedded, evaluation_set.rows))
    usual, bound = error_analysis.UsualRange.of(evaluated), embedded.model.metadata.ood_detector.bound
    files = evaluation_set.rows.files

    def why(file: str) -> str:
        number = files.index(file)
        return "; ".join(
            error_analysis.likely_reasons(evaluated.predictions, number, evaluated.image(number), usual, bound)
        )

    assert "sharp" in why("Benign/blurred.png") or "focus" in why("Benign/blurred.png")
    assert "touch or overlap" in why("Pre/heap.png")
    assert sum("sharp" in why(file) for file in files) <= 2

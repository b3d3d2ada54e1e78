"""`leuko adapt` with cells: folders by kind, and places in fields; the corrected kinds are used and measured."""

from __future__ import annotations

import csv
import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuko.adaptation.cell_kinds import LabelledCells, adapt_kinds, balanced_accuracy, fit_correction
from leuko.cells.kinds.conformal import Calibration
from leuko.cells.kinds.model import KindModel, KindModelError
from leuko.cells.kinds.names import KINDS
from leuko.cells.kinds.network import Look
from leuko.cli.main import main
from leuko.images.synthetic import rendering

SHOWN = ("neutrophil", "monocyte")


def singles(root: Path, count: int = 8) -> Path:
    """Single cells of two kinds, of four patients each."""
    for kind in SHOWN:
        folder = root / f"{kind.capitalize()}s"
        folder.mkdir(parents=True)
        for i in range(count):
            smear = rendering.render(i, width=240, height=240, um_per_px=0.15, white_cells={kind: 1}, stain="blue")
            Image.fromarray(smear.image).save(folder / f"patient_{i // 2:03d}_{i % 2}.png")
    return root


@pytest.fixture(scope="module")
def adapted(tmp_path_factory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("lab")
    source, output = singles(root / "cells"), root / "kinds"
    (source / "Plasma_cells").mkdir()
    Image.fromarray(np.full((100, 100, 3), 200, np.uint8)).save(source / "Plasma_cells" / "patient_009_0.png")
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["adapt", str(source), "--output", str(output)]) == 0
    return output, printed.getvalue()


def test_before_and_after_are_shown_and_stored(adapted):
    output, printed = adapted
    report = json.loads((output / "metrics.json").read_text())
    assert set(report["kinds"]) == set(SHOWN) and set(report["balanced_accuracy"]) == {"before", "after"}
    assert all(each["groups"] == 4 for each in report["kinds"].values())  # patients, not images
    assert "before" in printed and "balanced accuracy" in printed and f"--kinds {output}" in printed
    assert "'Plasma_cells' is no kind of cell that is told apart; its 1 image is left out." in printed


def test_adapted_kinds_are_used_by_field_and_classify(adapted, tmp_path):
    output, _ = adapted
    cells = {"neutrophil": 2, "monocyte": 1, "blast": 6}
    smear = rendering.render(77, width=480, height=400, um_per_px=0.2, white_cells=cells)
    Image.fromarray(smear.image).save(tmp_path / "a.png")
    said, by_cells = {}, []
    for name, options in (("as shipped", []), ("adapted", ["--kinds", str(output)])):
        for command in ("field", "classify"):
            file = tmp_path / f"{name} {command}.json"
            assert main([command, str(tmp_path / "a.png"), "--json", str(file), *options]) == 0
        said[name] = json.loads((tmp_path / f"{name} field.json").read_text())
        by_cells.append(json.loads((tmp_path / f"{name} classify.json").read_text())["evidence"]["cells"])
    first, second = (
        [cell["type_probabilities"] for cell in said[name]["cells"] if cell["kind"] == "white_cell"] for name in said
    )
    assert first and len(first) == len(second) and first != second
    assert by_cells[0] is not None and by_cells[0] != by_cells[1]


def test_a_second_run_replaces_the_first_and_nothing_else(adapted, tmp_path):
    source = singles(tmp_path / "cells")
    output = tmp_path / "kinds"
    for _ in range(2):
        assert main(["adapt", str(source), "--output", str(output)]) == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert main(["adapt", str(source), "--output", str(tmp_path / "full")]) == 1
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def fields(root: Path, form: str) -> Path:
    """Fields with a list of places of their cells: points, or boxes."""
    root.mkdir()
    rows = []
    for i in range(3):
        smear = rendering.render(
            i, width=480, height=400, um_per_px=0.2, white_cells={"neutrophil": 3, "monocyte": 3}, cut=False
        )
        Image.fromarray(smear.image).save(root / f"{i}.png")
        for label, kind in enumerate(smear.kinds, start=1):
            ys, xs = np.nonzero(smear.white_cells == label)
            box = xs.min(), ys.min(), xs.max(), ys.max()
            place = (xs.mean(), ys.mean()) if form == "points" else box
            rows.append([f"{i}.png", kind, *place])
    with (root / "cells.csv").open("w", newline="") as file:
        columns = ["x", "y"] if form == "points" else ["x0", "y0", "x1", "y1"]
        csv.writer(file).writerows([["image", "kind", *columns], *rows])
    return root


def test_a_table_of_single_cells_gives_kinds_and_patients(tmp_path, capsys):
    source = singles(tmp_path / "cells")
    rows = [["file", "patient", "diagnosis", "cell"]]
    rows += [
        [f"{folder.name}/{file.name}", i // 2, "AML", folder.name]
        for folder in sorted(source.iterdir())
        for i, file in enumerate(sorted(folder.iterdir()))
    ]
    rows.append(["Neutrophils/patient_000_0.png", 0, "AML", "Plasma_cells"])
    with (source / "cells.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert main(["adapt", str(source), "--output", str(tmp_path / "kinds")]) == 0
    assert "'Plasma_cells' is no kind of cell that is told apart; its 1 cell is left out." in capsys.readouterr().out
    report = json.loads((tmp_path / "kinds" / "metrics.json").read_text())
    assert {kind: (each["cells"], each["groups"]) for kind, each in report["kinds"].items()} == dict.fromkeys(
        SHOWN, (8, 4)
    )


@pytest.mark.parametrize("form", ["points", "boxes"])
def test_places_in_fields_are_understood(form, tmp_path, capsys):
    assert main(["adapt", str(fields(tmp_path / "fields", form)), "--output", str(tmp_path / "kinds")]) == 0
    report = json.loads((tmp_path / "kinds" / "metrics.json").read_text())
    assert sum(each["cells"] for each in report["kinds"].values()) >= 15
    assert KindModel.load(tmp_path / "kinds").correction is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,kind,x,y\n0.png,unicorn,1,1\n", "two kinds or more"),
        ("image,kind,x,y\n9.png,blast,1,1\n", "line 2: there is no file '9.png'"),
        ("image,kind,x,y\n0.png,blast,here,1\n", "must be given in numbers"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(text, words, tmp_path, capsys):
    source = fields(tmp_path / "fields", "points")
    (source / "cells.csv").write_text(text)
    assert main(["adapt", str(source), "--output", str(tmp_path / "kinds")]) == 1
    assert words in capsys.readouterr().err and not (tmp_path / "kinds").exists()


def test_too_few_cells_are_refused(tmp_path, capsys):
    assert main(["adapt", str(singles(tmp_path / "cells", 2)), "--output", str(tmp_path / "kinds")]) == 1
    assert "two kinds or more" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "{}", '{"network": "0"}'])
def test_a_folder_without_usable_kinds_is_refused_in_one_sentence(content, tmp_path):
    with pytest.raises(KindModelError, match="holds no adapted kinds"):
        KindModel.load(tmp_path)
    (tmp_path / "kinds.json").write_text(content)
    with pytest.raises(KindModelError, match=r"damaged|another version"):
        KindModel.load(tmp_path)


def shifted_laboratory(count: int) -> LabelledCells:
    """Cells whose features tell their kind, of a network that is always mistaken in the same way."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], count)
    features = rng.normal(size=(3 * count, 16)).astype(np.float32)
    features[np.arange(3 * count), kinds] += 5
    probabilities = np.full((3 * count, len(KINDS)), 0.02, np.float32)
    probabilities[np.arange(3 * count), (kinds + 1) % 3] = 0.86
    groups = np.tile(np.arange(count) // 2, 3)
    return LabelledCells((Look(probabilities, features, np.zeros(3 * count, np.float32)),), kinds, groups)


def test_a_correction_mends_what_a_laboratory_shifts():
    cells = shifted_laboratory(20)
    result = adapt_kinds(cells, Calibration(tuple(np.zeros(1) for _ in KINDS), np.zeros(1)))
    assert balanced_accuracy(cells.kinds, result.before) == 0
    assert balanced_accuracy(cells.kinds, result.after) > 0.9


def test_kinds_that_were_not_shown_are_not_corrected():
    correction = fit_correction(shifted_laboratory(20), 0.03)
    assert (correction.weight[3:] == 0).all() and (correction.bias[3:] == 0).all()
    assert np.abs(fit_correction(shifted_laboratory(20), 1e6).weight).max() < 1e-3

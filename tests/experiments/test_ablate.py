"""`leuko ablate`: a whole small ablation, kept where it was interrupted."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from leuko.__main__ import main
from leuko.experiments import ablate
from tests.drawn import draw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn"), 15, 15)


def run(drawn: Path, output: Path, *more: str) -> int:
    options = ["--backbone", "compact_cnn", "--weights", "none", "--image-size", "32", "--epochs", "1", "--no-clean"]
    return main(["ablate", str(drawn), "--output", str(output), *options, *more])


def test_rows_are_measured_on_the_same_splits_and_what_is_done_is_kept(drawn, tmp_path, capsys, monkeypatch):
    output = tmp_path / "out"
    assert run(drawn, output, "--splits", "2", "--rows", ablate.CELLS, "no aug*") == 0
    printed = capsys.readouterr().out
    results = json.loads((output / "ablation.json").read_text())
    assert set(results["rows"]) == {ablate.BASELINE, ablate.CELLS, "no augmentation"}
    assert all(set(splits) == {"0", "1"} for splits in results["rows"].values())
    with (output / "ablation.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    for row in rows.values():
        low, value, high = (float(row[f"own colours{end}"]) for end in (" low", "", " high"))
        assert 0 <= low <= value <= high <= 1 and low < high
    assert all(name in printed and name in (output / "ablation.md").read_text() for name in rows)
    assert "drawn smears" in printed

    def forbidden(*_: object) -> None:
        raise AssertionError("what was measured is measured again")

    monkeypatch.setattr(ablate.Ablation, "measure", forbidden)
    assert run(drawn, output, "--splits", "2", "--rows", "no aug*") == 0
    assert json.loads((output / "ablation.json").read_text()) == results
    assert run(drawn, output, "--splits", "1", "--images", "7") == 1
    assert "holds an ablation with other images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "nonsense"], "No row is named 'nonsense'"),
        (["--stain-references", "no.png"], "no.png cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(drawn, tmp_path, options, words, capsys):
    assert run(drawn, tmp_path / "out", "--splits", "1", *options) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert words in said[-1]

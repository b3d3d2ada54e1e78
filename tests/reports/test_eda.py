"""The data report, through the command line, on a small data set of drawn smears with planted faults."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from leuko.__main__ import main
from leuko.images.synthetic import rendering
from leuko.reports.wording import count, listed, percent

pytestmark = pytest.mark.slow

CLASSES = {"blast": {"blast": 4}, "healthy": {"neutrophil": 3}}


def draw(seed: int, kind: str) -> Image.Image:
    stain = "pink" if kind == "blast" else "neutral"
    smear = rendering.render(seed, width=96, height=96, um_per_px=0.7, white_cells=CLASSES[kind], stain=stain)
    return Image.fromarray(smear.image)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """40 blasts and 16 healthy fields, with a copy, a mirrored copy, a broken file and a wrong label."""
    root = tmp_path_factory.mktemp("faulty")
    for kind, number in {"blast": 40, "healthy": 16}.items():
        (root / kind).mkdir()
        for i in range(number):
            draw(i, kind).save(root / kind / f"{kind}-{i:02d}.png")
    draw(3, "blast").save(root / "blast" / "same-again.png")
    draw(5, "blast").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "blast" / "mirrored.png")
    draw(99, "blast").save(root / "healthy" / "wrong-label.png")
    (root / "healthy" / "broken.png").write_bytes((root / "healthy" / "healthy-00.png").read_bytes()[:900])
    return root


def digest(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def report(faulty, tmp_path_factory) -> Path:
    before = digest(faulty)
    output = tmp_path_factory.mktemp("out") / "report"
    assert main(["eda", str(faulty), "--output", str(output)]) == 0
    assert digest(faulty) == before  # nothing was added, changed or removed
    return output


@pytest.fixture(scope="module")
def page(report) -> str:
    return (report / "report.html").read_text()


def section(page: str, key: str) -> str:
    return re.search(rf'<section id="{key}">.*?</section>', page, re.S)[0]


def test_the_page_carries_all_it_shows(page, report):
    assert "<script" not in page and "<link" not in page and "@import" not in page and "url(" not in page
    sources = re.findall(r'\ssrc="([^"]*)"', page)
    assert len(sources) > 20 and all(source.startswith("data:image/") for source in sources)
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))
    plots = {file.stem for file in (report / "plots").glob("*.png")}
    assert {"classes", "sizes", "colours", "means", "correlations", "scatter", "order", "audit"} <= plots
    assert {"pca-colour", "pca-deep"} <= plots
    assert "Research use only" in page and "may name patients" in page


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("exact", "blast/same-again.png"),
        ("near", "blast/mirrored.png"),
        ("unfit", "healthy/broken.png"),
        ("labels", "healthy/wrong-label.png"),
        ("labels", "labelled healthy; of the 10 images most like it: 10 blast"),
        ("classes", "blast has 2.3 times as many images as healthy"),
        ("audit", "from the colour statistics alone"),
        ("summary", "1 file cannot be read"),
    ],
)
def test_the_page_names_what_was_planted(page, key, words):
    assert words in section(page, key).replace("\u00a0", " ")


def test_the_figures_are_there_for_programs(report):
    figures = json.loads((report / "figures.json").read_text())
    assert figures["images"] == 60 and figures["readable"] == 59
    assert figures["classes"] == {"blast": 42, "healthy": 18}
    assert set(figures["audit"]["views"]) == {"colour statistics", "image border", "scale-bar corner"}
    for kinds in figures["audit"]["views"].values():
        for kind in ("random", "grouped"):
            accuracy = kinds[kind]["accuracy"]
            assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    # Drawn in two stains: colours give everything away, and the report says so first.
    assert figures["audit"]["views"]["colour statistics"]["grouped"]["accuracy"]["value"] > 0.9
    assert any("colour statistics alone" in point for point in figures["attention"])
    assert json.loads((report / "cleaning.json").read_text())["findings"]["unreadable"] == 1


def test_two_sources_are_shown_apart_and_an_earlier_report_is_replaced(tmp_path, page):
    for number, source in enumerate(("first", "second")):
        for kind in CLASSES:
            (tmp_path / source / kind).mkdir(parents=True)
            for i in range(12):
                draw(100 * number + i, kind).save(tmp_path / source / kind / f"{i}.png")
    output = tmp_path / "report"
    (output / "plots").mkdir(parents=True)
    (output / "report.html").write_text(page)
    (output / "plots" / "old.png").write_bytes(b"")
    (output / "mine.txt").write_text("notes")
    assert main(["eda", str(tmp_path / "first"), str(tmp_path / "second"), "--output", str(output)]) == 0
    figures = json.loads((output / "figures.json").read_text())
    assert figures["sources"] == {name: {"blast": 12, "healthy": 12} for name in ("first", "second")}
    written = (output / "report.html").read_text()
    assert "of the same source" in written and "mirrored.png" not in written
    assert (output / "mine.txt").read_text() == "notes" and not (output / "plots" / "old.png").exists()


@pytest.mark.parametrize(
    ("data", "output", "words"),
    [
        ("no/such/folder", "report", "There is no folder"),
        ("faulty", "letters", "holds other files and no data report"),
        ("faulty", "inside", "lies inside the data"),
    ],
)
def test_refusals_are_one_sentence(data, output, words, faulty, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    target = faulty / "report" if output == "inside" else tmp_path / output
    source = str(faulty) if data == "faulty" else data
    assert main(["eda", source, "--output", str(target)]) == 1
    said = capsys.readouterr().err.strip()
    assert words in said and len(said.splitlines()) == 1
    assert not target.exists() or [file.name for file in target.iterdir()] == ["letter.txt"]


def test_numbers_read_as_sentences():
    assert count(1, "image") == "1\u00a0image" and count(2768, "image") == "2,768\u00a0images"
    assert percent(0.004) == "under 1\u00a0%" and percent(0) == "0\u00a0%"
    assert listed(["a", "b", "c"]) == "a, b and c"

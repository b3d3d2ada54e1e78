"""Adapting to a laboratory: the command, what it refuses, what it claims, and the app's tab."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score
from transformers import AutoModelForImageClassification

import leuko
from leuko.adaptation.adapt import adapt
from leuko.adaptation.candidate_backbones import candidates, input_enlargement
from leuko.adaptation.size_leak import size_leak
from leuko.data.errors import DataError
from leuko.data.sources.archive import ArchiveError, unpack
from leuko.decision.calibration import OperatingPoint
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.images.augmentation import restain
from leuko.images.decode import decode
from leuko.images.synthetic import rendering
from leuko.networks import model_folder
from leuko.networks.backbones import create
from leuko.networks.model_folder import digest
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.networks.runtime import OnnxRuntime
from leuko.serving.tabs.adapted_models import AdaptedModel, AdaptedModels
from leuko.stats import proportions, small_sample_intervals
from tests.conftest import ROOT
from tests.no_pytorch import run_without_pytorch

pytestmark = pytest.mark.slow

CELLS = {"blasts": {"blast": 5}, "healthy": {"neutrophil": 3}}


def draw(seed: int, cells: dict[str, int], size: int = 160) -> np.ndarray:
    return rendering.render(seed, width=size, height=size * 3 // 4, um_per_px=0.5, white_cells=cells).image


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory) -> Path:
    """Ten drawn fields a class, all in another stain than the project's own."""
    root = tmp_path_factory.mktemp("images") / "laboratory"
    for name, cells in CELLS.items():
        (root / name).mkdir(parents=True)
        for i in range(10):
            image = restain(draw(i, cells), np.array([0.8, 1.25, 1.1]))
            Image.fromarray(image).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A small network of random weights, as a model folder; adapting to it takes seconds."""
    torch.manual_seed(0)
    return write_base(tmp_path_factory.mktemp("models") / "base", "resnet10t")


def write_base(place: Path, backbone: str) -> Path:
    network = create(backbone, 3, weights="none").eval().requires_grad_(False)
    network.round_to_half_precision()
    point = OperatingPoint(0.5, (0.25, 0.75), "by hand")
    ood_detector = MahalanobisOOD.fit(np.eye(2), np.eye(2))
    metadata = model_folder.ModelMetadata("Base", ("b",), 1.0, point, ood_detector, {"steps": 1})
    with model_folder.new_folder(place) as draft:
        how = Preprocessing((64, 64), "bicubic", (0.5,) * 3, (0.25,) * 3)
        model_folder.write_network(draft, network, ("a", "b", "c"), how, metadata)
    return place


@pytest.fixture(scope="session")
def adapted(laboratory, base, tmp_path_factory) -> tuple[Path, str]:
    output = tmp_path_factory.mktemp("models") / "adapted"
    done = run(laboratory, "--model", base, "--output", output)
    assert done.returncode == 0, done.stderr[-2000:]
    return output, done.stdout


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "leuko", "adapt", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_command_writes_a_whole_model_folder_that_leuko_and_timm_load(adapted, laboratory):
    output, _ = adapted
    written = {str(f.relative_to(output)) for f in output.rglob("*") if f.is_file()}
    assert written == {
        "README.md", "config.json", "leuko.json", "model.safetensors", "onnx/model.onnx",
        "evaluation/metrics.json", "evaluation/cleaning.json", "evaluation/confusion_matrix.png", "evaluation/roc.png",
        "evaluation/precision_recall.png",
    }  # fmt: skip
    ours = leuko.load(str(output))
    assert ours.labels == ("blasts", "healthy") and ours.model.metadata.positive == ("blasts",)
    pixels = torch.from_numpy(to_input(decode(laboratory / "blasts" / "0.png"), ours.model.preprocessing))[None]
    with torch.no_grad():
        theirs = timm.create_model(f"local-dir:{output}", pretrained=True).eval()(pixels)
        assert torch.allclose(theirs, ours.model.network(pixels), atol=1e-4)


def test_the_command_needs_no_pytorch_and_timm_and_transformers_load_what_it_wrote(laboratory, base, adapted, tmp_path):
    output = tmp_path / "model"
    code = (
        "from leuko.__main__ import main; sys.exit(main(['adapt', sys.argv[1], '--model', sys.argv[2], *sys.argv[3:]]))"
    )
    done = run_without_pytorch(code, laboratory, base, "--output", output)
    assert done.returncode == 0, done.stderr[-2000:]
    assert digest(output / "model.safetensors") == digest(adapted[0] / "model.safetensors")
    size = model_folder.load(output).preprocessing.size
    pixels = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(np.float32)
    ours = np.stack([each.logits for each in OnnxRuntime(output / model_folder.ONNX).run(pixels)])
    with torch.no_grad():
        by_timm = timm.create_model(f"local-dir:{output}", pretrained=True).eval()(torch.from_numpy(pixels))
        by_transformers = AutoModelForImageClassification.from_pretrained(output)(torch.from_numpy(pixels)).logits
    assert by_timm.numpy() == pytest.approx(ours, abs=1e-4)
    assert by_transformers.numpy() == pytest.approx(ours, abs=1e-4)


def test_new_fields_of_the_laboratory_are_told_apart(adapted):
    ours = leuko.load(str(adapted[0]))
    right = []
    for name, cells in CELLS.items():
        for seed in range(100, 106):
            finding = ours.classify(restain(draw(seed, cells), np.array([0.8, 1.25, 1.1])))
            right.append(finding.label == name)
    assert np.mean(right) >= 0.9


def test_the_rest_of_the_network_is_as_it_was(adapted, base):
    before, after = (model_folder.load(place).network.timm_model.state_dict() for place in (base, adapted[0]))
    changed = [n for n in before if before[n].shape != after[n].shape or not torch.equal(before[n], after[n])]
    assert set(changed) == {"fc.weight", "fc.bias"}


def test_small_cells_are_shown_larger_and_large_ones_smaller():
    base = model_folder.load()
    known = draw_at(0.43 * 224 / 400)  # squashed to 224 pixels, their cells are as large as in training
    assert input_enlargement(known.__getitem__, 5, base, 0) == pytest.approx(1, abs=0.2)
    assert input_enlargement(draw_at(2 * 0.43 * 224 / 400).__getitem__, 5, base, 0) == pytest.approx(2, abs=0.3)
    for larger, first in ((1.4, 320), (0.1, 128), (9, 448), (1.02, 224)):
        found = [trunk.preprocessing.size[0] for trunk in candidates(base, larger)]
        assert found == 2 * list(dict.fromkeys([first, 224]))  # of the model's trunk and of the general one
    assert [trunk.preprocessing.size[0] for trunk in candidates(base, None)] == [224, 448] * 2


def draw_at(um_per_px: float) -> list[np.ndarray]:
    return [rendering.render(seed, width=400, height=400, um_per_px=um_per_px).image for seed in range(5)]


def test_the_card_and_the_screen_say_what_was_measured_and_no_more(adapted):
    output, printed = adapted
    report = json.loads((output / "evaluation" / "metrics.json").read_text())
    card = (output / "README.md").read_text()
    assert report["accuracy"]["low"] < report["accuracy"]["value"] <= report["accuracy"]["high"]
    line = f"| Accuracy | {report['accuracy']['value']:.3f} | {report['accuracy']['low']:.3f} to"
    assert line in card and line in printed
    assert "Colour statistics alone" in card and "adapted to one laboratory" in card and "20 images" in card
    assert "--positive " in card and "--model MODEL" in card
    assert "Research use only" in card and str(output) not in card and str(ROOT) not in card
    shown = {
        m["type"]: m["value"] for m in yaml.safe_load(card.split("---")[1])["model-index"][0]["results"][0]["metrics"]
    }
    assert shown["accuracy"] == round(report["accuracy"]["value"], 4)
    assert sum(map(sum, report["confusion"])) == 20


def test_the_same_seed_gives_the_same_model(adapted, laboratory, base, tmp_path):
    adapt(str(laboratory), tmp_path / "again", model=str(base), on_message=lambda line: None)
    first, again = (json.loads((f / "leuko.json").read_text()) for f in (adapted[0], tmp_path / "again"))
    assert first["sha256"]["model.safetensors"] == again["sha256"]["model.safetensors"]
    assert first["operating_point"] == again["operating_point"]


def test_few_images_are_adapted_to_but_nothing_is_promised(laboratory, base, tmp_path):
    """Six images of one class, one of them twice and one broken."""
    for name in CELLS:
        shutil.copytree(laboratory / name, tmp_path / "few" / name)
    for i in range(6, 10):
        (tmp_path / "few" / "blasts" / f"{i}.png").unlink()
    first = Image.open(tmp_path / "few" / "blasts" / "0.png")
    first.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "few" / "blasts" / "0b.jpg")
    (tmp_path / "few" / "healthy" / "broken.png").write_bytes(b"no image")
    said: list[str] = []
    report = adapt(str(tmp_path / "few"), tmp_path / "model", model=str(base), on_message=said.append)
    assert any(line.startswith("Left out: healthy/broken.png: ") for line in said)
    assert any(
        note.startswith("The figures are not reliable: of class blasts there are only 6 images")
        for note in report["notes"]
    )
    assert "The figures are not reliable" in (tmp_path / "model" / "README.md").read_text()
    # The mirrored copy is never judged by a model that saw the original.
    assert report["images_per_class"] == {"blasts": 7, "healthy": 10} and sum(map(sum, report["confusion"])) == 16


def only(laboratory: Path, target: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        (target / name).mkdir(parents=True)
        for file in sorted((laboratory / name).iterdir())[:count]:
            shutil.copy(file, target / name)
    return target


@pytest.mark.parametrize(
    ("counts", "positive", "words"),
    [
        ({"blasts": 10}, None, "there is only one class"),
        ({"blasts": 10, "healthy": 4}, None, r"Too few usable images of healthy \(4\)"),
        ({"blasts": 5, "healthy": 5}, ["sick"], "There is no class 'sick'"),
        ({"blasts": 5, "healthy": 5}, ["blasts", "healthy"], "nothing to tell them from"),
    ],
)
def test_what_cannot_be_adapted_to_is_refused_in_one_sentence(laboratory, base, tmp_path, counts, positive, words):
    with pytest.raises(DataError, match=words) as refusal:
        adapt(str(only(laboratory, tmp_path / "some", counts)), tmp_path / "model", model=str(base), positive=positive)
    assert "\n" not in str(refusal.value) and not (tmp_path / "model").exists()


def test_patients_are_kept_together_and_one_a_class_is_too_few(laboratory, base, tmp_path):
    for name, patients in {"blasts": ("A", "B"), "healthy": ("C",)}.items():
        for number, patient in enumerate(patients):
            (tmp_path / "named" / name / patient).mkdir(parents=True)
            for file in sorted((laboratory / name).iterdir())[5 * number : 5 * number + 5]:
                shutil.copy(file, tmp_path / "named" / name / patient)
    with pytest.raises(DataError, match="at least two patients"):
        adapt(str(tmp_path / "named"), tmp_path / "model", model=str(base), on_message=lambda line: None)


def test_a_network_without_a_linear_last_layer_is_refused(laboratory, tmp_path):
    other = write_base(tmp_path / "conv", "dla46x_c")
    with pytest.raises(model_folder.ModelFolderError, match="does not end in one linear layer"):
        adapt(str(laboratory), tmp_path / "model", model=str(other))


def test_the_command_refuses_in_one_line(laboratory, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there: the Hub is out of reach
    done = run(laboratory, "--output", tmp_path / "model", "--model", "no/such")
    assert done.returncode == 1 and "There is no model folder" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "model").exists()


def test_an_output_that_would_cost_something_is_refused(laboratory, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="other files and no model"):
        adapt(str(laboratory), tmp_path / "full")
    with pytest.raises(DataError, match="lies inside the data"):
        adapt(str(laboratory), laboratory / "model")
    (tmp_path / "model" / "images").mkdir(parents=True)
    (tmp_path / "model" / model_folder.LEUKO).write_text("{}")
    with pytest.raises(DataError, match="lie inside"):
        adapt(str(tmp_path / "model" / "images"), tmp_path / "model")


def test_a_size_that_tells_the_class_is_named():
    truth = np.repeat([0, 1], 10)
    leak = size_leak(np.where(truth == 1, "1712 × 1368", "2592 × 1944"), truth, ["healthy", "sick"])
    assert leak and "1712 × 1368: 10 sick" in leak and "100%" in leak
    assert size_leak(np.tile(["640 × 480", "800 × 600"], 10), truth, ["healthy", "sick"]) is None
    assert size_leak(np.full(20, "640 × 480"), truth, ["healthy", "sick"]) is None


def test_intervals_of_few_images():
    """Wilson's as SciPy computes it; the area's has a width without an error and narrows with more images."""
    for right, count in ((20, 20), (17, 20), (0, 5)):
        expected = binomtest(right, count).proportion_ci(method="wilson")
        found = proportions.proportion_interval(right / count, count)
        assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert (
        small_sample_intervals.auc_interval(1.0, 10, 10)["low"]
        < small_sample_intervals.auc_interval(1.0, 50, 50)["low"]
        < 1
        == small_sample_intervals.auc_interval(1.0, 50, 50)["high"]
    )
    rng = np.random.default_rng(0)  # Newcombe's covers the truth about 95 times in 100
    labels, true, hits = np.repeat([0, 1], 15), norm.cdf(1.5 / 2**0.5), 0
    for _ in range(300):
        area = roc_auc_score(labels, rng.standard_normal(30) + 1.5 * labels)
        interval = small_sample_intervals.auc_interval(area, 15, 15)
        hits += interval["low"] <= true <= interval["high"]
    assert 0.9 <= hits / 300 <= 0.99


def zipped(place: Path, files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(place, "w", how) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return place


@pytest.fixture(scope="module")
def png(laboratory) -> bytes:
    return (laboratory / "blasts" / "0.png").read_bytes()


def test_a_zip_is_unpacked_without_the_folder_around_it_and_what_file_managers_leave(tmp_path, png):
    files = {"lab/a/1.png": png, "lab/b/x/2.PNG": png, "__MACOSX/lab/a/._1.png": b"x", "lab/a/.DS_Store": b"x"}
    (tmp_path / "out").mkdir()
    unpack(zipped(tmp_path / "a.zip", files | {"lab/notes.txt": b"read me"}), tmp_path / "out")
    found = {str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*") if f.is_file()}
    assert found == {"a/1.png", "b/x/2.PNG"} and (tmp_path / "out/a/1.png").read_bytes() == png


def encrypted(place: Path, png: bytes) -> Path:
    data = bytearray(zipped(place, {"a/1.png": png}).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    place.write_bytes(data)
    return place


def linked(place: Path, png: bytes) -> Path:
    link = zipfile.ZipInfo("a/1.png")
    link.external_attr = 0o120777 << 16
    return zipped(place, {link: b"/etc/passwd", "a/2.png": png})


def overstated(place: Path, png: bytes) -> Path:
    """The directory says ten bytes, and there is more."""
    data = bytearray(zipped(place, {"a/1.png": png}, zipfile.ZIP_STORED).read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    place.write_bytes(data)
    return place


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place, png: place.write_bytes(b"no zip") and place, "not a zip"),
        (lambda place, png: place, "no longer there"),
        (lambda place, png: zipped(place, {"../1.png": png}), "leads out of its folder"),
        (lambda place, png: zipped(place, {"a\\..\\..\\1.png": png}), "leads out of its folder"),
        (lambda place, png: zipped(place, {"/a/1.png": png}), "leads out of its folder"),
        (lambda place, png: zipped(place, {"C:/a/1.png": png}), "leads out of its folder"),
        (lambda place, png: zipped(place, {"a/1.png": png, "a/more.zip": b"PK"}), "another archive"),
        (lambda place, png: zipped(place, {"a/1.png": b"\0" * 3 * 10**6}), "times its size"),
        (lambda place, png: zipped(place, {f"a/{i}.png": b"x" for i in range(501)}), "501 files"),
        (lambda place, png: zipped(place, {"a/1.txt": b"x"}), "holds no images"),
        (lambda place, png: zipped(place, {"a/1.png": huge(30_000)}), "megapixels together"),
        (lambda place, png: zipped(place, {f"a/{i}.png": huge(7_000) for i in range(40)}), "megapixels together"),
        (lambda place, png: zipped(place, {"a/1.png": png}, zipfile.ZIP_BZIP2), "unusual way"),
        (lambda place, png: zipped(place, {"a/1.png": png}, zipfile.ZIP_LZMA), "unusual way"),
        (lambda place, png: zipped(place, {f"a/{i}.txt": b"" for i in range(20_000)}), "lists too many files"),
        (encrypted, "encrypted"),
        (linked, "holds a link"),
        (overstated, "damaged|more than it states"),
    ],
)
def test_a_zip_that_is_not_safe_is_refused_in_one_sentence(tmp_path, png, make, words):
    (tmp_path / "in" / "out").mkdir(parents=True)
    with pytest.raises(ArchiveError, match=words) as refusal:
        unpack(make(tmp_path / "in" / "a.zip", png), tmp_path / "in" / "out")
    assert "\n" not in str(refusal.value)
    assert {f.name for f in (tmp_path / "in").iterdir()} <= {"a.zip", "out"} and list(tmp_path.iterdir()) == [
        tmp_path / "in"
    ]


def test_a_page_that_is_closed_while_it_waits_leaves_no_model(embedded):
    sessions, page, other = AdaptedModels(), SimpleNamespace(session_hash="a"), SimpleNamespace(session_hash="b")
    sessions.expect(page)
    sessions.expect(other)
    sessions.end_session(page)
    for request in (page, other):
        sessions.keep(request, AdaptedModel(embedded, b""))
    assert sessions.of(page) is None and sessions.of(other)
    sessions.drop(other)  # wants the common model, and adapts again
    sessions.keep(other, AdaptedModel(embedded, b""))
    assert sessions.of(other)


def huge(side: int) -> bytes:
    """A PNG of a few bytes whose header claims side × side pixels."""
    data = io.BytesIO()
    Image.new("L", (16, 16)).save(data, "PNG")
    head = bytearray(data.getvalue())
    head[16:24] = side.to_bytes(4, "big") * 2
    head[29:33] = zlib.crc32(bytes(head[12:29])).to_bytes(4, "big")
    return bytes(head)


def choose(page, archive, answer):
    """Give the page a zip, and wait for what it says of it; while the page still draws an answer it loses the file, and
    a person would choose it once more."""
    from playwright.sync_api import TimeoutError as Late

    for _ in range(4):
        try:
            page.locator("#lab-zip input[type=file]").set_input_files(archive, timeout=15_000)
            return page.get_by_text(answer).last.wait_for(timeout=15_000)
        except Late:
            continue
    raise AssertionError(f"{archive.name} never appeared on the page: {page.locator('body').inner_text()}")


def test_in_a_browser_a_zip_becomes_the_model_of_this_page(browser, app_url, laboratory, tmp_path):
    from playwright.sync_api import expect

    some = {f"lab/{name}/{i}.png": (laboratory / name / f"{i}.png").read_bytes() for name in CELLS for i in range(6)}
    archive = zipped(tmp_path / "lab.zip", some)
    page, other = (browser.new_page(viewport={"width": 1280, "height": 900}) for _ in range(2))
    page.goto(app_url)
    page.get_by_role("tab", name="Adapt").click()
    page.get_by_role("button", name="Adapt", exact=True).click()
    page.get_by_text("Choose a zip with one folder").wait_for()
    choose(page, zipped(tmp_path / "bad.zip", {"../1.png": b"x"}), "leads out of its folder")
    one = {name: data for name, data in some.items() if "blasts" in name}
    choose(page, zipped(tmp_path / "one.zip", one), "Your images: there is only one class (blasts)")  # no server's path

    # What a class means is asked where its name does not say it, and nothing is done before the answer.
    unclear = {name.replace("healthy", "controls 2"): data for name, data in some.items()} | {"lab/notes.txt": b"x"}
    choose(page, zipped(tmp_path / "unclear.zip", unclear), "The zip contains 6 blasts, 6 controls 2.")
    expect(page.locator("#adapt-state")).to_contain_text("notes.txt")
    page.get_by_role("button", name="Adapt", exact=True).click()
    page.get_by_text("not answered: controls 2").wait_for(timeout=60_000)
    page.locator("#lab-zip").get_by_role("button", name="Clear").click()

    choose(page, archive, "The zip contains 6 blasts, 6 healthy.")
    page.get_by_role("button", name="Adapt", exact=True).click()
    page.get_by_text("Adapted model in use").wait_for(timeout=400_000)
    expect(page.locator("#adapt-figures")).to_contain_text("Accuracy")
    expect(page.locator("#adapt-state")).to_contain_text("The figures are not reliable")
    page.get_by_role("button", name="Prepare the download").click()
    with page.expect_download() as download:
        page.locator("#adapt-download").click()
    page.screenshot(path=str(tmp_path / "adapt.png"))
    with zipfile.ZipFile(download.value.path()) as packed:
        packed.extractall(tmp_path / "model")
    assert leuko.load(str(tmp_path / "model")).labels == ("blasts", "healthy")

    page.get_by_role("button", name="Adapt", exact=True).click()
    page.get_by_text("The model that was adapted before stays in use").wait_for(timeout=60_000)
    expect(page.locator("#adapt-figures")).to_contain_text("Accuracy")

    # The other tab of this page answers with the new classes, another page with the old ones.
    for each, label in ((page, "blasts"), (other, "Benign")):
        each.goto(app_url) if each is other else each.get_by_role("tab", name="One image").click()
        each.locator("input[type=file]").first.set_input_files(laboratory / "blasts" / "7.png")
        each.get_by_text("Leukaemia probability", exact=True).wait_for(timeout=60_000)
        assert each.get_by_role("radio", name=label).count() == 1
    page.close()
    other.close()

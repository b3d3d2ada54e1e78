"""What a user of `inspect` notices: what is found, what is done about it, and that nothing else happens."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leuko.data.cleaning.clean import ACTIONS, inspect
from leuko.data.cleaning.duplicates import Fingerprints
from leuko.data.errors import DataError
from leuko.data.load import load
from leuko.data.splitting.groups import find_groups
from leuko.images.decode import decode, format_of
from leuko.images.synthetic.rendering import render
from tests.drawn import cut_out

CLASSES = {"blast": "pink", "lymphocyte": "neutral"}


def draw(seed: int, kind: str = "blast") -> np.ndarray:
    cells = {kind: 3}
    return render(seed, width=224, height=224, um_per_px=0.3, white_cells=cells, stain=CLASSES[kind], platelets=1).image


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[np.ndarray]]:
    return {kind: [draw(seed, kind) for seed in range(10)] for kind in CLASSES}


@pytest.fixture
def folder(tmp_path: Path, drawn) -> Path:
    """Ten distinct fields a class."""
    for kind, images in drawn.items():
        for i, image in enumerate(images):
            save(image, tmp_path / kind / f"{i}.png")
    return tmp_path


def save(image: np.ndarray, file: Path, **options: int) -> None:
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image)).save(file, **options)


def findings(folder: Path, **how) -> dict[str, set[tuple[str, str]]]:
    """(kind, action) by file."""
    found: dict[str, set[tuple[str, str]]] = {}
    for issue in inspect(load(str(folder))["train"], **how).issues:
        found.setdefault(Path(issue.file).name, set()).add((issue.kind, issue.action))
    return found


def test_nothing_is_found_among_distinct_fit_images(folder):
    cleaning = inspect(load(str(folder))["train"])
    assert cleaning.issues == () and len(cleaning.kept) == 20
    assert "20 of 20" in cleaning.summary()


def test_unreadable_files_are_named_and_dropped(folder):
    png = (folder / "blast" / "0.png").read_bytes()
    jpeg = io.BytesIO()
    Image.open(folder / "blast" / "0.png").save(jpeg, "JPEG")
    broken = {
        "empty.png": b"",
        "text.jpg": b"not an image\n" * 40,
        "half.png": png[: len(png) // 2],
        "half.jpg": jpeg.getvalue()[: len(jpeg.getvalue()) // 2],
        "start.png": png[:20],
    }
    for name, data in broken.items():
        (folder / "blast" / name).write_bytes(data)
    assert findings(folder) == {name: {("unreadable", "dropped")} for name in broken}


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("too-small", lambda image: cv2.resize(image, (50, 50), interpolation=cv2.INTER_AREA)),
        ("dark", lambda image: (image * 0.3).astype(np.uint8)),
        ("over-exposed", lambda image: np.full_like(image, 250)),
        ("blank", lambda image: np.full_like(image, 200)),
        ("no-colour", lambda image: np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)),
        ("blurred", lambda image: cv2.GaussianBlur(image, (0, 0), 8)),
        ("not-a-smear", lambda image: image[..., [0, 2, 1]]),  # green cells
        ("not-a-smear", lambda image: np.random.default_rng(0).integers(0, 256, image.shape).astype(np.uint8)),
    ],
)
def test_unfit_images_are_named_and_dropped(folder, drawn, kind, spoil):
    save(spoil(drawn["blast"][0]), folder / "blast" / "unfit.png")
    assert findings(folder) == {"unfit.png": {(kind, "dropped")}}


def test_single_cells_on_black_are_kept(tmp_path):
    for number in range(4):
        field = render(number, width=200, height=200, um_per_px=0.14, white_cells={"blast": 1})
        save(cut_out(field, (0, 0, 0)), tmp_path / ("all", "hem")[number % 2] / f"{number}.bmp")
    assert len(inspect(load(str(tmp_path))["train"]).kept) == 4


def test_charts_and_photographs_are_not_smears(folder):
    import matplotlib
    from matplotlib.figure import Figure
    from sklearn.datasets import load_sample_images

    for i, photo in enumerate(load_sample_images().images):
        save(photo, folder / "blast" / f"photo{i}.png")
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    (folder / "blast" / "portrait.jpg").write_bytes(portrait.read_bytes())
    figure = Figure(figsize=(4, 3))
    figure.subplots().bar(range(5), range(5), color="indigo")
    figure.savefig(folder / "blast" / "chart.png")
    names = ("photo0.png", "photo1.png", "portrait.jpg", "chart.png")
    assert findings(folder) == {name: {("not-a-smear", "dropped")} for name in names}


def test_a_wrong_suffix_is_flagged_and_the_image_stays(folder):
    (folder / "blast" / "0.png").rename(folder / "blast" / "0.jpg")
    assert findings(folder) == {"0.jpg": {("wrong-suffix", "flagged")}}


def test_formats_are_told_by_content(drawn):
    for wanted in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"):
        file = io.BytesIO()
        Image.fromarray(drawn["blast"][0]).save(file, wanted)
        assert format_of(file.getvalue()) == wanted
    assert format_of(b"") is None and format_of(b"text") is None


def test_of_identical_pixels_the_first_file_stays(folder):
    save(decode(folder / "blast" / "3.png"), folder / "blast" / "99.tif")  # another format, the same pixels
    (folder / "blast" / "98.png").write_bytes((folder / "blast" / "3.png").read_bytes())
    copy = {("exact-duplicate", "dropped")}
    assert findings(folder) == {"98.png": copy, "99.tif": copy}


CHANGES = {
    "compressed": lambda image: image,
    "resized": lambda image: cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA),
    "cropped": lambda image: image[3:-9, 2:-10],
    "mirrored": lambda image: image[:, ::-1],
    "turned": lambda image: np.rot90(image),
    "turned and mirrored": lambda image: np.rot90(image, 3)[::-1],
    "brighter": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.9).astype(np.uint8),
    "everything": lambda image: (np.rot90(CHANGES["resized"](image[2:-8, 9:-3])) * 0.9).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_duplicates_are_grouped(folder, drawn, change):
    save(CHANGES[change](drawn["blast"][4]), folder / "blast" / "again.jpg", quality=60)
    rows = load(str(folder))["train"]
    cleaning = inspect(rows)
    assert [(Path(i.file).name, i.kind, i.action) for i in cleaning.issues] == [
        ("again.jpg", "near-duplicate", "grouped")
    ]
    assert Path(cleaning.issues[0].partner).name == "4.png"
    assert len(cleaning.kept) == 21
    again, first = (next(i for i, f in enumerate(rows.files) if f.endswith(name)) for name in ("again.jpg", "4.png"))
    assert cleaning.duplicates.picture[again] == first
    assert len(np.unique(cleaning.duplicates.picture)) == 20


def turned(image: np.ndarray, angle: float, corners: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    side = image.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1)
    return cv2.warpAffine(image, matrix, (side, side), borderValue=corners)


PARTS = {
    "turned by 15°": lambda image: turned(image, 15),
    "turned by 45°": lambda image: turned(image, 45),
    "turned by 70°, mirrored": lambda image: turned(image, 70)[:, ::-1],
    "cropped to 80 %": lambda image: image[20:199, 30:209],
    "cropped to 60 %, darker": lambda image: (image[60:194, 20:154] * 0.9).astype(np.uint8),
    "cropped to 60 %, enlarged": lambda image: cv2.resize(image[10:144, 70:204], (224, 224)),
}


@pytest.mark.parametrize("change", PARTS)
def test_turned_and_cropped_copies_are_grouped(folder, drawn, change):
    save(PARTS[change](drawn["blast"][4]), folder / "blast" / "again.jpg", quality=85)
    found = findings(folder)
    assert found.keys() == {"again.jpg"}
    assert found["again.jpg"] <= {("near-duplicate", "grouped"), ("overlap", "grouped")}


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    """A field of which others show parts."""
    return render(123, width=420, height=320, um_per_px=0.3, white_cells={"blast": 6}, stain="pink").image


@pytest.mark.parametrize(("x", "y"), [(30, 0), (60, 40), (90, 10), (0, 100)])
def test_overlapping_fields_stay_and_are_kept_together(folder, large, x, y):
    save(large[:224, :224], folder / "blast" / "a.png")
    save(large[y : y + 224, x : x + 224], folder / "blast" / "b.png")
    rows = load(str(folder))["train"]
    cleaning = inspect(rows)
    assert len(cleaning.kept) == 22
    (issue,) = cleaning.issues
    assert issue.action == "grouped" and Path(issue.file).name == "b.png" and Path(issue.partner).name == "a.png"
    a, b = (next(i for i, f in enumerate(rows.files) if f.endswith(name)) for name in ("a.png", "b.png"))
    assert cleaning.duplicates.field[b] == cleaning.duplicates.field[a] == a
    assert len(np.unique(cleaning.duplicates.field)) == 21
    groups = find_groups(rows.labels, given=[str(i) for i in range(22)], pictures=cleaning.duplicates.field)
    assert groups.group[a] == groups.group[b] and len(np.unique(groups.group)) == 21


def test_fields_that_overlap_under_two_labels_are_kept_and_said(folder, large):
    save(large[:224, :224], folder / "blast" / "a.png")
    save(large[60:284, 80:304], folder / "lymphocyte" / "b.png")
    (issue,) = inspect(load(str(folder))["train"]).issues
    assert (issue.kind, issue.action) == ("overlap", "grouped")
    assert issue.message.endswith("Their labels differ: blast and lymphocyte.")


def test_a_scale_bar_or_a_black_surround_in_common_is_no_picture_in_common(tmp_path):
    """What the microscope or a program put on every image is much alike; the cells decide."""
    for kind in CLASSES:
        for seed in range(8):
            image = draw(seed, kind)
            if kind == "blast":
                image[205:209, 140:214] = 0
                cv2.putText(image, "200 px", (150, 200), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 2)
            else:  # photographed through the eyepiece
                y, x = np.mgrid[:224, :224]
                image[(y - 112) ** 2 + (x - 112) ** 2 > 105**2] = 0
            save(image, tmp_path / kind / f"{seed}.png")
    cleaning = inspect(load(str(tmp_path))["train"], keep=["dark", "not-a-smear"])
    assert len(np.unique(cleaning.duplicates.field)) == 16


def test_single_cells_masked_on_black_are_told_apart_and_found_again(tmp_path):
    """Only the cell is compared: the outlines of two round cells are as good as equal."""
    images = []
    for seed in range(12):
        cell = cv2.resize(draw(seed)[62:162, 62:162], (224, 224), interpolation=cv2.INTER_CUBIC)
        y, x = np.mgrid[:224, :224]
        cell[(y - 112) ** 2 + (x - 112) ** 2 > 90**2] = 0
        images.append(cell)
    prints = Fingerprints(13)
    images.append(turned(images[0], 45, (0, 0, 0)))
    for row, image in enumerate(images):
        prints.add(row, image)
    found = prints.find(lambda row: images[row])
    assert np.array_equal(found.field, [*range(12), 0])


def test_images_without_any_structure_have_nothing_in_common(drawn):
    images = [np.full((100, 120, 3), 230, np.uint8), np.full((100, 120, 3), 225, np.uint8), drawn["blast"][0]]
    prints = Fingerprints(4)  # of the fourth, nothing is known
    for row, image in enumerate(images):
        prints.add(row, image)
    assert np.array_equal(prints.find(lambda row: images[row]).field, range(4))


def test_a_picture_under_two_labels_is_dropped_under_both(folder, drawn):
    save(drawn["blast"][2][:, ::-1], folder / "lymphocyte" / "turncoat.png")
    two = {("two-labels", "dropped")}
    assert findings(folder) == {"2.png": two, "turncoat.png": two}


def test_neighbouring_fields_of_real_slides_are_not_taken_for_one_another(data, tmp_path):
    """Single cells in the middle of their images are the hardest to tell apart."""
    for kind in ("neutrophil", "lymphocyte"):
        (tmp_path / kind).mkdir()
        for file in sorted((data / "pbc" / kind).iterdir())[:40]:
            (tmp_path / kind / file.name).symlink_to(file)
    assert findings(tmp_path) == {}


def test_keep_overrides_by_kind_and_by_file(folder, drawn):
    save(drawn["blast"][0], folder / "blast" / "copy.png")
    save(cv2.resize(draw(77), (50, 50)), folder / "blast" / "tiny.png")
    dropped = {"copy.png": {("exact-duplicate", "dropped")}, "tiny.png": {("too-small", "dropped")}}
    assert findings(folder) == dropped
    assert findings(folder, keep=["exact-duplicate"]) == dropped | {"copy.png": {("exact-duplicate", "kept")}}
    tiny = next(file for file in load(str(folder))["train"].files if file.endswith("tiny.png"))
    assert findings(folder, keep=[tiny]) == dropped | {"tiny.png": {("too-small", "kept")}}
    assert len(inspect(load(str(folder))["train"], keep=["exact-duplicate", tiny]).kept) == 22


def test_what_cannot_be_kept_is_said(folder):
    rows = load(str(folder))["train"]
    with pytest.raises(DataError, match=r"Cannot keep nonsense: .*exact-duplicate.*two-labels"):
        inspect(rows, keep=["nonsense"])
    with pytest.raises(DataError, match="Unreadable files cannot be kept"):
        inspect(rows, keep=["unreadable"])
    (folder / "blast" / "empty.png").touch()
    rows = load(str(folder))["train"]
    empty = next(file for file in rows.files if file.endswith("empty.png"))
    (issue,) = inspect(rows, keep=[empty]).issues
    assert issue.action == "dropped" and "cannot be kept" in issue.message


def test_the_report_names_everything_and_the_files_are_untouched(folder, drawn, tmp_path_factory):
    save(drawn["blast"][0], folder / "blast" / "copy.png")
    save(drawn["blast"][1][:, ::-1], folder / "lymphocyte" / "mirrored.png")
    save(drawn["blast"][3][::-1], folder / "blast" / "near.png")
    (folder / "blast" / "empty.png").touch()

    def state() -> dict[str, str]:
        return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.rglob("*") if f.is_file()}

    before = state()
    file = tmp_path_factory.mktemp("run") / "cleaning.json"
    cleaning = inspect(load(str(folder))["train"])
    cleaning.save(file)
    assert state() == before
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["rows"] == 24 and report["kept"] == len(cleaning.kept) == 20
    assert report["findings"] == {"unreadable": 1, "exact-duplicate": 1, "two-labels": 2, "near-duplicate": 1}
    assert len(report["issues"]) == 5
    for issue in report["issues"]:
        assert issue["kind"] in ACTIONS and issue["file"] and issue["action"] and issue["message"].endswith(".")
        assert ("duplicate" in issue["kind"] or issue["kind"] == "two-labels") == (issue["partner"] is not None)
    assert "dropped: " in cleaning.summary() and "1 near-duplicate" in cleaning.summary()


def simple(rows) -> np.ndarray:
    """A coarse picture: enough to tell the drawn stains apart."""
    return np.stack([cv2.resize(decode(image), (4, 4), interpolation=cv2.INTER_AREA).ravel() for image in rows.images])


def test_wrong_labels_and_outliers_are_flagged(folder):
    for seed in range(10, 30):
        for kind in CLASSES:
            save(draw(seed, kind), folder / kind / f"{seed}.png")
    wrong = {"blast": ("11.png", "25.png"), "lymphocyte": ("17.png",)}
    for kind, names in wrong.items():
        other = next(k for k in CLASSES if k != kind)
        for name in names:
            (folder / kind / name).rename(folder / other / f"wrong_{name}")
    odd = render(5, width=224, height=224, um_per_px=0.3, white_cells={}, red_cover=0.02, stain="blue").image
    save(odd, folder / "blast" / "odd.png")
    found = findings(folder, features=simple)
    assert ("outlier", "flagged") in found.pop("odd.png")
    suspected = {name for name, what in found.items() if ("label-error", "flagged") in what}
    assert suspected == {"wrong_11.png", "wrong_25.png", "wrong_17.png"}
    assert all(action == "flagged" for what in found.values() for _, action in what)

"""Data sets as people have them: folders, tables, the field's file names, parquet, several at once."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as Picture

from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.labels.filename_conventions import FileNameInfo, natural_sort_key, parse_file_name
from leuko.data.labels.positive_classes import choose_positive, class_meanings
from leuko.data.load import load
from leuko.images.decode import ImageError
from tests.clients import run
from tests.no_pytorch import run_without_pytorch
from tests.standin_hub import StandInHub


@pytest.fixture(scope="module")
def tile(smear: np.ndarray) -> Picture.Image:
    return Picture.fromarray(smear[:48, :48])


def fill(folder: Path, tile: Picture.Image, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tile.save(folder / name)
    return folder


def write_table(file: Path, header: list[str], *lines: list[str]) -> None:
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([header, *lines])


def rows_of(source: Path, **options) -> list[dict]:
    """Rows of the training part, with class names."""
    rows = load(str(source), **options)["train"]
    assert rows.open_image(0).shape == (48, 48, 3)
    columns = {"file": rows.files, "label": rows.label_names, "source": rows.sources}
    columns |= {"group": rows.groups} if rows.groups else {}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_class_folders_load_in_natural_order_with_and_without_splits(tmp_path, tile):
    for part in ("train", "val", "test"):
        fill(tmp_path / part, tile, *[f"{name}/Im{i}.png" for name in ("Benign", "Pro") for i in (1, 2, 10)])
    splits = load(str(tmp_path))
    assert set(splits) == {"train", "validation", "test"}
    assert splits["train"].files[:3] == [f"train/Benign/Im{i}.png" for i in (1, 2, 10)]
    assert splits["test"].files[3] == "test/Pro/Im1.png"
    assert splits["test"].class_names == ("Benign", "Pro")
    rows = load(str(tmp_path / "train"))
    assert rows["train"].files[0] == "Benign/Im1.png"
    assert list(rows) == ["train"] and rows["train"].groups is None
    assert set(rows["train"].sources) == {"train"}
    assert natural_sort_key("b9") < natural_sort_key("b10")


def test_folders_within_class_folders_are_patients(tmp_path, tile):
    fill(tmp_path, tile, "all/p1/1.png", "all/p2/1.png", "hem/p3/1.png", "hem/C/1.png", "hem/9.png")
    found = {(row["label"], row["group"]) for row in rows_of(tmp_path)}
    assert found == {("all", "p1"), ("all", "p2"), ("hem", "p3"), ("hem", "C"), ("hem", "")}


@pytest.mark.parametrize("header", [["image_id", "label"], ["file_name", "class"], ["Filename", "Diagnosis"]])
def test_a_table_names_images_with_or_without_suffix_and_folder(tmp_path, tile, header):
    fill(tmp_path, tile, "images/a.png", "images/b.png", "images/c.png")
    write_table(tmp_path / "labels.csv", header, ["a", "ALL"], ["b.png", "healthy"], ["images/c.png", "ALL"])
    assert [(row["file"], row["label"]) for row in rows_of(tmp_path)] == [
        ("images/a.png", "ALL"),
        ("images/c.png", "ALL"),
        ("images/b.png", "healthy"),
    ]


def test_patients_are_found_by_the_column_or_given(tmp_path, tile):
    fill(tmp_path, tile, "a.png", "b.png")
    header = ["file_name", "label", "patient_id", "batch"]
    write_table(tmp_path / "metadata.csv", header, ["a.png", "x", "P1", "7"], ["b.png", "y", "P2", "8"])
    assert [row["group"] for row in rows_of(tmp_path)] == ["P1", "P2"]
    assert [row["group"] for row in rows_of(tmp_path, group_column="batch")] == ["7", "8"]
    with pytest.raises(DataError, match=r"no column 'ward' .*patient_id"):
        load(str(tmp_path), group_column="ward")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Im001_1.jpg", FileNameInfo("ALL")),
        ("L1/Im130_0.tif", FileNameInfo("healthy")),
        ("UID_11_2_1_all.bmp", FileNameInfo("all", "11")),
        ("fold_0/hem/UID_H10_1_1_hem.bmp", FileNameInfo("hem", "H10")),
        ("WBC-Malignant-Pre-001.jpg", FileNameInfo("Pre")),
        ("WBC-Benign-504.jpg", FileNameInfo("Benign")),
        ("MMY_102433.jpg", FileNameInfo("ig")),
        ("SNE_12.jpg", FileNameInfo("neutrophil")),
        ("smear.jpg", None),
        ("Im001.jpg", None),
        ("XYZ_12.jpg", None),
    ],
)
def test_file_names_of_the_field_tell_class_and_subject(name, told):
    assert parse_file_name(name) == told


def test_c_nmc_loads_from_its_nested_folds_with_its_subjects(tmp_path, tile):
    fill(
        tmp_path,
        tile,
        "fold_0/all/UID_11_2_1_all.bmp",
        "fold_0/hem/UID_H10_1_1_hem.bmp",
        "fold_1/all/UID_12_1_1_all.bmp",
    )
    rows = rows_of(tmp_path)
    assert {(row["label"], row["group"]) for row in rows} == {("all", "11"), ("all", "12"), ("hem", "H10")}


def test_flat_folders_of_named_files_need_no_table(tmp_path, tile):
    fill(tmp_path, tile, "Im001_1.png", "Im002_0.png", "Im010_1.png")
    assert [(row["file"], row["label"]) for row in rows_of(tmp_path)] == [
        ("Im001_1.png", "ALL"),
        ("Im010_1.png", "ALL"),
        ("Im002_0.png", "healthy"),
    ]


def test_parquet_gives_the_same_rows_as_the_folder(tmp_path, tile):
    folder = fill(tmp_path / "folder", tile, "blast/1.png", "blast/2.png", "healthy/10.png")
    files = sorted(folder.rglob("*.png"))
    features = Features({"picture": Image(), "label": ClassLabel(names=["healthy", "blast"]), "slide": Value("int32")})
    content = {"picture": [str(f) for f in files], "label": [1, 1, 0], "slide": [4, 4, 5]}
    (tmp_path / "table" / "data").mkdir(parents=True)
    Dataset.from_dict(content, features=features).to_parquet(tmp_path / "table/data/train-00000-of-00001.parquet")
    table, plain = load(str(tmp_path / "table"))["train"], load(str(folder))["train"]
    assert table.files == plain.files
    assert (table.labels == plain.labels).all() and table.class_names == plain.class_names
    assert table.groups == ["4", "4", "5"]
    assert all((table.open_image(row) == plain.open_image(row)).all() for row in range(3))


@pytest.mark.parametrize(
    ("labels", "feature"),
    [(["a", None], Value("string")), ([0, -1], ClassLabel(names=["a", "b"])), ([0.0, None], Value("float64"))],
)
def test_images_without_a_label_are_counted_and_refused(tmp_path, tile, labels, feature):
    tile.save(tmp_path / "1.png")
    content = {"image": [str(tmp_path / "1.png")] * 2, "label": labels}
    (tmp_path / "table").mkdir()
    Dataset.from_dict(content, features=Features({"image": Image(), "label": feature})).to_parquet(
        tmp_path / "table" / "train.parquet"
    )
    with pytest.raises(DataError, match=r"1 of the 2 images .* have no label"):
        load(str(tmp_path / "table"))


def parquet(*images: dict | None) -> bytes:
    """A table of images, as the Hub keeps them, with the labels a, b, a, b …"""
    features = Features({"image": Image(), "label": Value("string")})
    stored = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, stored), "label": [*"ab" * len(images)][: len(images)]})
    written = io.BytesIO()
    said = {"huggingface": json.dumps({"info": {"features": features.to_dict()}})}
    pq.write_table(table.replace_schema_metadata(said), written)
    return written.getvalue()


def test_a_row_without_an_image_is_said_when_it_is_opened(tmp_path, tile):
    tile.save(tmp_path / "1.png")
    (tmp_path / "train.parquet").write_bytes(parquet({"bytes": None, "path": str(tmp_path / "1.png")}, None))
    rows = load(str(tmp_path))["train"]
    assert rows.open_image(0).shape == (48, 48, 3)
    with pytest.raises(ImageError, match="no image in this row"):
        rows.open_image(1)


def test_a_data_set_of_the_hub_reads_no_file_of_this_disk(tmp_path, tile):
    private = tmp_path / "private.png"
    tile.save(private)
    own = {"bytes": private.read_bytes(), "path": "1.png"}
    greedy = parquet(own, {"bytes": None, "path": str(private)})
    with StandInHub(tokens={"hf_test": "tester"}) as hub:
        hub.put("dataset", "tester/fine", {"data/train.parquet": parquet(own, own)})
        hub.put("dataset", "tester/greedy", {"data/train.parquet": greedy})
        environment = hub.environment(tmp_path / "home", token="hf_test")
        program = "from leuko.data.load import load; print(len(load('tester/{}')['train']))"
        fine, refused = (run(environment, "-c", program.format(name)) for name in ("fine", "greedy"))
    assert fine.stdout.split()[-1] == "2", fine.stderr
    assert "which is not read" in refused.stderr.splitlines()[-1], refused.stderr


def test_without_datasets_folders_load_and_other_sources_name_the_command_that_adds_it(tmp_path, tile):
    tile.save(tmp_path / "1.png")
    (tmp_path / "table").mkdir()
    content = parquet({"bytes": (tmp_path / "1.png").read_bytes(), "path": None})
    (tmp_path / "table" / "train.parquet").write_bytes(content)
    folder = fill(tmp_path / "folder", tile, "blast/1.png", "healthy/1.png")
    code = "from leuko.data.load import load; print(len(load(sys.argv[1])['train']))"
    assert run_without_pytorch(code, folder).stdout == "2\n"
    for source in (tmp_path / "table", "tester/smears"):
        refused = run_without_pytorch(code, source).stderr.splitlines()[-1]
        assert "DataError" in refused and "needs the package datasets" in refused
        assert 'pip install "leuko[train]"' in refused and "make install" in refused


def test_a_table_of_images_can_be_pickled_for_workers(tmp_path, tile):
    """Also one whose images lie in a parquet file."""
    fill(tmp_path / "folder", tile, "blast/1.png", "healthy/1.png")
    (tmp_path / "table").mkdir()
    data = (tmp_path / "folder/blast/1.png").read_bytes()
    (tmp_path / "table/train.parquet").write_bytes(parquet(*[{"bytes": data, "path": None}] * 4))
    for source in ("folder", "table"):
        rows = load(str(tmp_path / source))["train"]
        rows = ImageTable.concatenate([rows, rows.select([1, 0, 0])])
        again = pickle.loads(pickle.dumps(rows))
        assert len(again) == len(rows) and again.files == rows.files and (again.labels == rows.labels).all()
        assert (again.open_image(len(rows) - 1) == np.asarray(tile)).all()


def test_several_sources_become_one_and_every_row_keeps_its_own(tmp_path, tile):
    first = fill(tmp_path / "a" / "lab", tile, "blast/1.png", "healthy/2.png")
    second = fill(tmp_path / "b" / "lab", tile, "all/UID_1_1_1_all.png", "blast/1.png")
    rows = load([str(first), str(second)])["train"]
    assert rows.class_names == ("all", "blast", "healthy")
    assert list(zip(rows.sources, rows.files, rows.groups, strict=True)) == [
        ("a/lab", "a/lab/blast/1.png", ""),
        ("a/lab", "a/lab/healthy/2.png", ""),
        ("b/lab", "b/lab/all/UID_1_1_1_all.png", "b/lab/1"),
        ("b/lab", "b/lab/blast/1.png", ""),
    ]
    with pytest.raises(DataError, match="given twice"):
        load([str(first), str(first)])


def test_what_cannot_be_loaded_is_said_in_one_sentence(tmp_path, tile):
    def refusal(source: Path) -> str:
        with pytest.raises(DataError) as refused:
            load(str(source))
        assert "\n" not in str(refused.value)
        return str(refused.value)

    assert "no folder" in refusal(tmp_path / "not here")
    (tmp_path / "empty").mkdir()
    assert "no images" in refusal(tmp_path / "empty")
    assert "only one class" in refusal(fill(tmp_path / "one", tile, "blast/1.png"))
    assert "class of 1.png" in refusal(fill(tmp_path / "loose", tile, "1.png", "blast/2.png"))
    table = fill(tmp_path / "table", tile, "a.png", "b.png")
    write_table(table / "labels.csv", ["image", "label"], ["a.png", "x"], ["b.png", "y"], ["gone.png", "y"])
    assert "not in" in refusal(table) and "gone.png (1 in all)" in refusal(table)
    write_table(table / "labels.csv", ["image", "label"], ["a.png", "x"], ["b.png", ""])
    assert "no label for b.png" in refusal(table)
    write_table(table / "labels.csv", ["image", "label"], ["a.png", "x"], ["b.png", "y"], ["a", "y"])
    assert "more than once" in refusal(table)
    write_table(table / "labels.csv", ["image", "label"], ["a.png", "x", ""], ["b.png", "", ""])
    assert "no label for b.png" in refusal(table)  # commas at the ends of lines are no fault
    (table / "labels.csv").write_bytes(b"image,label\n\xff\xfe,1\n")
    assert "UTF-8" in refusal(table)
    (tmp_path / "parquet").mkdir()
    (tmp_path / "parquet" / "train.parquet").write_bytes(b"no table")
    assert "cannot be read" in refusal(tmp_path / "parquet")


def test_a_class_that_is_named_twice_counts_once():
    assert choose_positive(["a", "b"], ["a", "a"]) == ("a",)


def test_leukaemic_classes_are_recognised():
    assert class_meanings(["Benign", "Early", "Pre", "Pro"]).leukaemia == ("Early", "Pre", "Pro")
    assert class_meanings(["all", "hem"]).leukaemia == ("all",)
    assert class_meanings(["WBC-Malignant-Pre", "normal", "prolymphocyte"]).leukaemia == ("WBC-Malignant-Pre",)

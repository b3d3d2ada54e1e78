"""Data sets as people bring them: parts, magnifications and batches, tables of all shapes, patients, what is skipped.

Files are not decoded here, so that small ones will do.
"""

from __future__ import annotations

import codecs
import json
import os
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from leuko.data.errors import DataError
from leuko.data.load import load

JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(JPEG)
    return folder


def rows_of(folder: Path, said: list[str] | None = None, **options) -> dict[str, list[tuple[str, str, str, str]]]:
    """Of each part the file, class, group and source of every row."""
    said = [] if said is None else said
    found = {}
    for part, rows in load(str(folder), on_message=said.append, **options).items():
        groups = rows.groups or [""] * len(rows)
        found[part] = list(zip(rows.files, rows.label_names, groups, rows.sources, strict=True))
    return found


def refusal(folder: Path, **options) -> str:
    with pytest.raises(DataError) as refused:
        load(str(folder), on_message=lambda line: None, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def classes_of(rows: list[tuple[str, str, str, str]]) -> set[str]:
    return {label for _, label, _, _ in rows}


def groups_of(rows: list[tuple[str, str, str, str]]) -> list[str]:
    return [group for _, _, group, _ in rows]


# Parts


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train_data", "val_set", "test_data"),
        ("Training", "Validation", "Testing"),
        ("training_data", "validation_data", "testing_data"),
        ("TrainSet", "ValSet", "TestSet"),
        ("train images", "dev", "hold-out"),
        ("traindata", "validdata", "testdata"),
    ],
)
def test_parts_are_recognised_above_and_below_the_classes(tmp_path, train, validation, test):
    for part in (train, validation, test):
        fill(tmp_path / "above", *[f"{part}/{name}/1.jpg" for name in ("ALL", "normal")])
        fill(tmp_path / "below", *[f"{name}/{part}/1.jpg" for name in ("ALL", "normal")])
        fill(tmp_path / "around" / "archive", *[f"{part}/{name}/1.jpg" for name in ("ALL", "normal")])
    for shape in ("above", "below", "around"):
        found = rows_of(tmp_path / shape)
        assert set(found) == {"train", "validation", "test"}
        assert all(len(rows) == 2 and classes_of(rows) == {"ALL", "normal"} for rows in found.values())


def test_a_part_is_never_a_class(tmp_path):
    beside = fill(tmp_path / "beside", "ALL/1.jpg", "normal/1.jpg", "test/1.jpg")
    assert "test beside ALL, normal, but no train folder" in refusal(beside)
    twice = fill(tmp_path / "twice", *[f"{part}/{name}/1.jpg" for part in ("train", "Training") for name in "ab"])
    assert "one part twice (Training, train)" in refusal(twice)
    said: list[str] = []
    outside = fill(tmp_path / "outside", "train/ALL/1.jpg", "train/normal/1.jpg", "all/9.jpg")
    assert classes_of(rows_of(outside, said)["train"]) == {"ALL", "normal"}
    assert any("Not used: 1 images" in line and "all/9.jpg" in line for line in said)


# Magnifications, batches, versions


@pytest.mark.parametrize(
    "names",
    [
        ("40x", "100x"),
        ("X40", "X100"),
        ("batch1", "batch2"),
        ("day1", "day_2"),
        ("scanner A", "scanner B"),
        ("2021-05-03",),
    ],
)
def test_magnifications_and_batches_are_sources_and_no_classes(tmp_path, names):
    said: list[str] = []
    above = fill(tmp_path / "above", *[f"{n}/{c}/{i}.jpg" for n in names for c in ("Benign", "ALL") for i in range(2)])
    rows = rows_of(above, said)["train"]
    assert classes_of(rows) == {"Benign", "ALL"} and groups_of(rows) == [""] * len(rows)
    assert {source for *_, source in rows} == {f"above/{name}" for name in names}
    assert any(names[0] in line and "not for classes" in line for line in said)
    below = fill(tmp_path / "below", *[f"{c}/{n}/{i}.jpg" for n in names for c in ("Benign", "ALL") for i in range(2)])
    rows = rows_of(below)["train"]
    assert classes_of(rows) == {"Benign", "ALL"} and groups_of(rows) == [""] * len(rows)
    alone = fill(tmp_path / "alone", *[f"{n}/{i}.jpg" for n in names for i in range(2)])
    refused = refusal(alone)
    assert names[0] in refused and "not like classes" in refused


@pytest.mark.parametrize("versions", [("Original", "Segmented"), ("images", "masks"), ("raw", "augmented")])
def test_two_versions_of_the_same_images_are_refused_by_name(tmp_path, versions):
    above = fill(tmp_path / "above", *[f"{v}/{c}/1.jpg" for v in versions for c in ("Benign", "Pre", "Pro")])
    assert "several versions" in (said := refusal(above)) and versions[1] in said
    below = fill(tmp_path / "below", *[f"{c}/{v}/1.jpg" for v in versions for c in ("Benign", "Pre", "Pro")])
    assert versions[1] in refusal(below)
    one = fill(tmp_path / "one", *[f"{versions[0]}/{c}/1.jpg" for c in ("Benign", "ALL")])
    assert classes_of(rows_of(one)["train"]) == {"Benign", "ALL"}


def test_patients_and_sites_above_the_classes_are_groups(tmp_path):
    for shape, names in {"patients": ("patient_1", "patient_2"), "names": ("Tehran", "Shiraz")}.items():
        said: list[str] = []
        folder = fill(
            tmp_path / shape, *[f"{n}/{c}/{i}.jpg" for n in names for c in ("ALL", "healthy") for i in range(2)]
        )
        rows = rows_of(folder, said)["train"]
        assert classes_of(rows) == {"ALL", "healthy"} and set(groups_of(rows)) == set(names)
        assert any("above the classes" in line and names[0] in line for line in said)
    kinds = fill(tmp_path / "kinds", "Malignant/early/1.jpg", "Malignant/pre/1.jpg", "Benign/1.jpg")
    rows = rows_of(kinds, said := [])["train"]
    assert classes_of(rows) == {"Malignant", "Benign"} and groups_of(rows) == [""] * 3
    assert any("name no patient" in line and "early" in line for line in said)


# C-NMC


def test_c_nmc_loads_in_every_layout_with_its_subjects(tmp_path):
    kinds = (("all", ""), ("hem", "H"))
    train = [f"fold_{n}/{c}/UID_{h}{n + 1}_{i}_1_{c}.bmp" for n in range(3) for c, h in kinds for i in range(2)]
    table = "Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\nUID_57_22_2_all.bmp,2.bmp,1\n"
    table += "UID_H49_29_1_hem.bmp,3.bmp,0\n"
    shapes = {
        "flat": ("C-NMC_training_data", "C-NMC_test_prelim_phase_data", "C-NMC_test_final_phase_data", "."),
        "kaggle": (
            "C-NMC_Leukemia/training_data",
            "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data",
            "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data",
            "C-NMC_Leukemia/validation_data",
        ),
    }
    for shape, (training, preliminary, final, place) in shapes.items():
        folder = fill(
            tmp_path / shape, *[f"{training}/{name}" for name in train], *[f"{preliminary}/{i}.bmp" for i in (1, 2, 3)]
        )
        fill(folder, f"{final}/1.bmp", f"{final}/2.bmp")
        (folder / place / "C-NMC_test_prelim_phase_data_labels.csv").write_text(table)
        said: list[str] = []
        found = rows_of(folder, said)
        held_out = "validation" if shape == "kaggle" else "test"
        assert set(found) == {"train", held_out}
        assert set(groups_of(found["train"])) == {"1", "2", "3", "H1", "H2", "H3"}
        assert [row[1:3] for row in found[held_out]] == [("all", "57"), ("all", "57"), ("hem", "H49")]
        assert any("Not used: 2 images" in line and "without a class" in line for line in said)
        assert any("1 is all" in line for line in said)
    only = tmp_path / "flat" / "C-NMC_test_prelim_phase_data"
    (only / "labels.csv").write_text(table)
    assert [row[1:3] for row in rows_of(only)["train"]] == [("all", "57"), ("all", "57"), ("hem", "H49")]


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ("hem/UID_9_1_1_all.bmp", ("all/UID_1_1_1_all.bmp", "hem/UID_H2_1_1_hem.bmp")),
        ("normal/UID_9_1_1_all.bmp", ("cancer/UID_1_1_1_all.bmp", "normal/UID_H2_1_1_hem.bmp")),
        ("Pre/WBC-Benign-001.jpg", ("Benign/WBC-Benign-002.jpg", "Pre/WBC-Malignant-Pre-001.jpg")),
        ("Early Pre-B/WBC-Malignant-Pre-001.jpg", ("Benign/WBC-Benign-002.jpg", "Early Pre-B/1.jpg")),
        ("ALL/Im001_0.jpg", ("ALL/Im002_1.jpg", "healthy/Im003_0.jpg")),
        ("lymphocyte/MO_1.jpg", ("lymphocyte/LY_1.jpg", "monocyte/MO_2.jpg")),
    ],
)
def test_a_file_name_that_contradicts_its_folder_is_refused(tmp_path, wrong, names):
    assert len(rows_of(fill(tmp_path, *names))["train"]) == 2
    said = refusal(fill(tmp_path, wrong))
    assert wrong in said and "1 file is named otherwise" in said


# Tables

TABLE = "image,label,patient\na.jpg,ALL,P1\nb.jpg,ALL,P2\nc.jpg,healthy,P3\n"
EXPECTED = [("ALL", "P1"), ("ALL", "P2"), ("healthy", "P3")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", TABLE.encode()),
        ("labels.csv", codecs.BOM_UTF8 + TABLE.replace(",", ";").encode()),
        ("labels.tsv", TABLE.replace(",", "\t").encode()),
        ("labels.csv", TABLE.replace(",", "\t").encode()),
        ("labels.csv", TABLE.replace(",", "|").encode()),
        ("labels.csv", ("sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n")).encode("utf-16")),
        ("labels.csv", TABLE.encode("utf-16-le")),
        ("labels.csv", ('"sep=,"\n\n' + TABLE.replace("image", '"Image"').replace("a.jpg", '"a.jpg"')).encode()),
        ("labels.csv", TABLE.upper().encode()),
        ("labels.csv", TABLE.replace("image,", " File Name ,").replace("label", " Class").encode()),
        (
            "metadata.jsonl",
            "\n".join(
                json.dumps({"file_name": f"{n}.jpg", "label": c, "patient": p})
                for n, (c, p) in zip("abc", EXPECTED, strict=True)
            ).encode(),
        ),
    ],
)
def test_tables_are_read_as_programs_write_them(tmp_path, name, content):
    (fill(tmp_path, "a.jpg", "b.jpg", "c.jpg") / name).write_bytes(content)
    found = [(label, group) for _, label, group, _ in rows_of(tmp_path)["train"]]
    assert [(label.lower(), group) for label, group in found] == [(label.lower(), group) for label, group in EXPECTED]


def test_tables_that_are_not_read_are_named(tmp_path):
    fill(tmp_path / "loose", "a.jpg", "b.jpg")
    (tmp_path / "loose" / "labels.xlsx").write_bytes(b"PK")
    assert "labels.xlsx is not read; save it as CSV" in refusal(tmp_path / "loose")
    fill(tmp_path / "json", "a.jpg")
    (tmp_path / "json" / "metadata.jsonl").write_text('{"file_name": "a.jpg", "label": "x"}\nno json\n')
    assert "Line 2 of metadata.jsonl is not JSON" in refusal(tmp_path / "json")
    folder = fill(tmp_path / "beside", "ALL/a.jpg", "healthy/b.jpg")
    (folder / "labels.xlsx").write_bytes(b"PK")
    (folder / "settings.csv").write_text("name,value\nlamp,3\n")
    (folder / "ALL" / "cells.csv").write_text("id,type,area\n1,big,3\n")
    assert classes_of(rows_of(folder, said := [])["train"]) == {"ALL", "healthy"}
    assert all(any(name in line for line in said) for name in ("labels.xlsx", "settings.csv", "cells.csv"))


def test_one_table_above_the_parts_and_parts_told_by_tables(tmp_path):
    above = fill(tmp_path / "above", *[f"{part}/{name}.jpg" for part in ("train", "val", "test") for name in "ab"])
    lines = [
        f"{part}/{name}.jpg,{label}"
        for part in ("train", "val", "test")
        for name, label in (("a", "ALL"), ("b", "hem"))
    ]
    (above / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    found = rows_of(above)
    assert {part: classes_of(rows) for part, rows in found.items()} == {
        part: {"ALL", "hem"} for part in ("train", "validation", "test")
    }
    assert [row[0] for row in found["test"]] == ["test/a.jpg", "test/b.jpg"]
    column = fill(tmp_path / "column", *[f"{name}.jpg" for name in "abcd"])
    (column / "labels.csv").write_text("id,label,Split\na,ALL,train\nb,hem,Training\nc,ALL,test\nd,hem,test\n")
    assert {part: len(rows) for part, rows in rows_of(column).items()} == {"train": 2, "test": 2}
    tables = fill(tmp_path / "tables", *[f"images/{name}.jpg" for name in "abcd"])
    (tables / "train.csv").write_text("id,label\na,ALL\nb,hem\n")
    (tables / "test_labels.csv").write_text("id,label\nc,ALL\nd,hem\n")
    assert {part: len(rows) for part, rows in rows_of(tables).items()} == {"train": 2, "test": 2}
    (tables / "train.csv").rename(tables / "more.csv")
    assert "Several tables" in refusal(tables)


def test_of_several_columns_the_conventional_one_is_taken_and_said(tmp_path):
    folder = fill(tmp_path, "a.jpg", "b.jpg", "a_mask.jpg", "b_mask.jpg")
    (folder / "m.csv").write_text(
        "mask,image,microscope,label,type\na_mask.jpg,a.jpg,Zeiss,ALL,x\nb_mask.jpg,b.jpg,Leica,hem,x\n"
    )
    said: list[str] = []
    assert [row[:2] for row in rows_of(folder, said)["train"]] == [("a.jpg", "ALL"), ("b.jpg", "hem")]
    assert any("column label, not from type" in line for line in said)
    assert any("not used" in line and "microscope" in line for line in said)
    assert any("Not used: 2 images" in line and "a_mask.jpg" in line for line in said)
    (folder / "m.csv").write_text("image,diagnosis,type\na.jpg,ALL,x\nb.jpg,hem,x\n")
    assert "diagnosis, type; call the one that is meant 'label'" in refusal(folder)
    (folder / "m.csv").write_text("image,diagnosis,class\na.jpg,ALL,1\nb.jpg,hem,0\n")  # the same in other words
    assert classes_of(rows_of(folder)["train"]) == {"ALL", "hem"}
    (folder / "m.csv").write_text("id,file_name,label\n1,a.jpg,ALL\n2,b.jpg,hem\n")
    rows = rows_of(folder, said := [])["train"]
    assert [row[0] for row in rows] == ["a.jpg", "b.jpg"]
    assert any("column file_name" in line for line in said)


def test_of_several_columns_of_a_parquet_file_too(tmp_path):
    fill(tmp_path / "files", "a.jpg")
    picture = str(tmp_path / "files" / "a.jpg")
    content = {
        "mask": [picture] * 2,
        "image": [picture] * 2,
        "microscope": [0, 1],
        "label": ["ALL", "hem"],
        "Patient No": ["p1", "P1"],
    }
    features = Features(
        {"mask": Image(), "image": Image(), "microscope": ClassLabel(names=["Zeiss", "Leica"])}
        | {"label": Value("string"), "Patient No": Value("string")}
    )
    (tmp_path / "table").mkdir()
    Dataset.from_dict(content, features=features).to_parquet(tmp_path / "table" / "train.parquet")
    rows = rows_of(tmp_path / "table", said := [])["train"]
    assert [row[1:3] for row in rows] == [("ALL", "P1"), ("hem", "P1")]
    assert any("microscope" in line for line in said)
    unclear = (
        Dataset.from_dict(content, features=features)
        .remove_columns("label")
        .add_column("lamp", [0, 1], feature=ClassLabel(names=["x", "y"]))
    )
    unclear.to_parquet(tmp_path / "table" / "train.parquet")
    assert "several columns of classes (microscope, lamp)" in refusal(tmp_path / "table")


# Patients


@pytest.mark.parametrize(
    "column",
    [
        "Patient-ID",
        "Patient No",
        "Case No.",
        "subject_id",
        "PatientID",
        "patient number",
        "MRN",
        "donor",
        "participant",
        "individual",
        "Fall",
        "animal",
        "Patients",
        "PATIENT_CODE",
        "ID patient",
    ],
)
def test_patient_columns_are_found_however_they_are_written(tmp_path, column):
    folder = fill(tmp_path, *[f"{name}.jpg" for name in "abcde"])
    patients = ["P1", "p1 ", " P 2", "p  2", "unknown"]
    lines = [f"{n},{label},{p}" for n, label, p in zip("abcde", ["x", "x", "y", "y", "y"], patients, strict=True)]
    (folder / "labels.csv").write_text("\n".join([f"image,label,{column}", *lines]))
    groups = groups_of(rows_of(folder, said := [])["train"])
    assert len(set(groups[:2])) == len(set(groups[2:4])) == 1 and groups[4] == "" and len(set(groups)) == 3
    assert any(f"by the column {column}" in line for line in said)
    assert any("'P1' = 'p1'" in line for line in said) and any("1 of 5 images name no patient" in line for line in said)


def test_numbers_of_patients_are_one_however_a_spreadsheet_writes_them(tmp_path):
    folder = fill(tmp_path, *[f"{part}/{name}.jpg" for part in ("train", "test") for name in "ab"])
    (folder / "train" / "m.csv").write_text("image,label,patient\na,x,7\nb,y,007\n")
    (folder / "test" / "m.csv").write_text("image,label,patient\na,x,7.0\nb,y, 8\n")
    found = rows_of(folder)
    assert groups_of(found["train"]) == ["7", "7"] and groups_of(found["test"]) == ["7", "8"]


def test_of_patient_and_slide_the_coarser_is_taken_and_what_is_not_used_is_named(tmp_path):
    folder = fill(tmp_path, *[f"{name}.jpg" for name in "abcd"])
    (folder / "m.csv").write_text(
        "image,label,slide_id,patient,age,barcode\na,x,1,P1,3,q\nb,x,2,P1,3,r\nc,y,1,P2,4,s\nd,y,1,P2,4,t\n"
    )
    assert groups_of(rows_of(folder, said := [])["train"]) == ["P1", "P1", "P2", "P2"]
    assert any("not used: slide_id, barcode" in line for line in said) and any("age" in line for line in said)
    assert groups_of(rows_of(folder, group_column="Barcode")["train"]) == ["q", "r", "s", "t"]
    (folder / "m.csv").write_text("image,label,patient,subject\na,x,1,u\nb,x,2,u\nc,y,3,v\nd,y,3,w\n")
    assert "patient, subject; give the one that is meant with --group-column" in refusal(folder)
    (folder / "m.csv").write_text("image,label,case,patient\na,x,1,u\nb,x,2,u\nc,y,3,v\nd,y,3,v\n")
    assert groups_of(rows_of(folder)["train"]) == ["u", "u", "v", "v"]
    (folder / "m.csv").write_text("image,label,barcode\na,x,1\nb,x,2\nc,y,3\nd,y,3\n")
    assert groups_of(rows_of(folder, said := [])["train"]) == [""] * 4
    assert any("not used: barcode" in line and "--group-column" in line for line in said)


def test_a_table_of_patients_goes_with_class_folders(tmp_path):
    folder = fill(tmp_path, "ALL/a.jpg", "ALL/b.jpg", "hem/c.jpg", "hem/d.jpg")
    (folder / "patients.csv").write_text("File;Patient No\nALL/a.jpg;1\nb;1\nc.jpg;2\n")
    rows = rows_of(folder, said := [])["train"]
    assert [row[1:3] for row in rows] == [("ALL", "1"), ("ALL", "1"), ("hem", "2"), ("hem", "")]
    assert any("names no patient for 1 images: hem/d.jpg" in line for line in said)
    (folder / "patients.csv").write_text("image,label,group\na,ALL,sick\nb,ALL,sick\nc,hem,well\nd,hem,well\n")
    assert groups_of(rows_of(folder)["train"]) == [""] * 4


def test_groups_of_one_image_each_are_doubted_and_patients_of_two_sources_named(tmp_path):
    one = fill(tmp_path / "one", *[f"{c}/{c}{i}/1.jpg" for c in ("ALL", "hem") for i in range(6)])
    rows_of(one, said := [])
    assert any("12 of 12 patients (or slides) have one image each" in line for line in said)
    two = fill(tmp_path / "two", *[f"{c}/{c}{i}/{j}.jpg" for c in ("ALL", "hem") for i in range(6) for j in range(3)])
    rows_of(two, said := [])
    assert not any("one image each" in line for line in said)
    load([str(one), str(two)], on_message=said.append)
    assert any("with the same name in several sources (ALL0" in line for line in said)


# Files


def test_images_are_known_by_content_links_are_followed_and_what_is_skipped_is_named(tmp_path):
    store = fill(tmp_path / "store", "x/1.jfif", "x/2.JPE", "x/3.JPG", "x/4")
    folder = fill(tmp_path / "set", "hem/1.jpg", "hem/.ipynb_checkpoints/1.jpg", "hem/._1.jpg", "__MACOSX/hem/1.jpg")
    (folder / "ALL").symlink_to(store / "x", target_is_directory=True)
    (folder / "hem" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "hem" / "Thumbs.db").write_bytes(b"x")
    (folder / "hem" / "notes.rtf").write_bytes(b"{")
    (folder / "hem" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    rows = rows_of(folder, said := [])["train"]
    assert [row[:2] for row in rows] == [
        ("ALL/1.jfif", "ALL"), ("ALL/2.JPE", "ALL"), ("ALL/3.JPG", "ALL"), ("ALL/4", "ALL"), ("hem/1.jpg", "hem"),
    ]  # fmt: skip
    text = "\n".join(said)
    assert "4 hidden files" in text and "__MACOSX/hem/1.jpg" in text and "1 other file (hem/notes.rtf)" in text
    assert "hem/loop" in text and "hem/gone.jpg" in text


def test_names_that_are_not_in_utf_8_are_refused_by_name_or_skipped(tmp_path):
    folder = fill(tmp_path, "ALL/1.jpg", "hem/1.jpg")
    other = os.fsencode(folder / "hem") + b"/M\xfcller.txt"
    Path(os.fsdecode(other)).write_bytes(b"x")
    assert len(rows_of(folder, said := [])["train"]) == 2
    assert any("M�ller.txt" in line for line in said)
    Path(os.fsdecode(other)).rename(os.fsdecode(other.replace(b".txt", b".jpg")))
    assert "M�ller.jpg is not in UTF-8" in refusal(folder)


def test_a_class_that_is_spelled_twice_is_one_in_and_across_sources(tmp_path):
    first = fill(tmp_path / "a", "Ja\u0308hn/1.jpg", "Pre-B/1.jpg", "PreB/2.jpg", "PreB/3.jpg", "hem /1.jpg")
    second = fill(tmp_path / "b", "Jähn/1.jpg", "PRE_B/1.jpg", "Hem/1.jpg", "hem/2.jpg", "hem/3.jpg")
    rows = load([str(first), str(second)], on_message=(said := []).append)["train"]
    assert rows.class_names == ("Jähn", "PreB", "hem") and len(rows) == 10
    assert any(
        "3 ways, and is called PreB: 'PRE_B' (1 images), 'Pre-B' (1 images), 'PreB' (2 images)" in s for s in said
    )


def test_every_image_in_a_table_or_beside_it_is_accounted_for(tmp_path):
    folder = fill(tmp_path, *[f"{name}.jpg" for name in "abcd"])
    (folder / "m.csv").write_text("image,label\na,ALL\nb,hem\n")
    assert len(rows_of(folder, said := [])["train"]) == 2
    assert any("Not used: 2 images" in line and "c.jpg, d.jpg" in line for line in said)
    (folder / "m.csv").write_text("image,label\na,ALL\nb,hem\nc,\nd,nan\n")
    assert "no label for c, d (2 in all)" in refusal(folder)
    (folder / "m.csv").write_text("image,label\na,ALL\nb,hem\ne,ALL\n")
    assert "not in" in (said := refusal(folder)) and "e (1 in all)" in said

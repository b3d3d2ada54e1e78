"""Lists of training images: what is read, and what a user is told about a list with an error."""

from __future__ import annotations

import pytest
from PIL import Image

from leuko.data.errors import DataError
from leuko.training.segmenter.sources import Box, read_list

VOC = """<annotation><size><width>200</width><height>100</height></size>
<object><name>{name}</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>50</ymax></bndbox></object>
</annotation>"""


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    Image.new("L", (200, 100)).save(tmp_path / "m.png")
    (tmp_path / "voc.xml").write_text(VOC.format(name="RBC"))
    (tmp_path / "yolo.txt").write_text("0 0.5 0.5 0.2 0.4\n\n2 0.1 0.1 0.1 0.1\n")
    return tmp_path


def written(folder, text):
    file = folder / "lab.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_all_columns_are_read(folder):
    file = written(folder, "image,mask,boxes,white_cells,red_boxes\na.png,m.png,voc.xml,,all\na.png,,yolo.txt,none,\n")
    first, second = read_list(file)
    assert (first.source, first.image, first.mask) == ("lab", folder / "a.png", folder / "m.png")
    assert first.boxes == (Box("red cell", 0.1, 0.1, 0.3, 0.5),) and first.all_red_boxed and first.white_cells == ""
    assert second.mask is None and second.white_cells == "none" and not second.all_red_boxed
    assert [box.kind for box in second.boxes] == ["white cell", "platelet"]
    assert (second.boxes[0].x0, second.boxes[0].y1) == pytest.approx((0.4, 0.7))


@pytest.mark.parametrize("text", ["image\na.png\n", "\ufeffimage\na.png\n"], ids=["alone", "with Excel's mark"])
def test_only_the_image_is_needed(folder, text):
    (known,) = read_list(written(folder, text))
    assert known.mask is None and known.boxes is None and known.white_cells == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column `image`"),
        ("file\na.png\n", "column `image`"),
        ("image,mask\n,m.png\n", "line 2: the column `image` is empty"),
        ("image\na.png\nb.png\n", "line 3: there is no file b.png"),
        ("image,mask\na.png,n.png\n", "line 2: there is no file n.png"),
        ("image,white_cells\na.png,some\n", "must be none, platelet, middle or empty, not 'some'"),
    ],
)
def test_an_error_in_a_list_is_one_sentence_that_names_the_place(folder, text, words):
    file = written(folder, text)
    with pytest.raises(DataError) as error:
        read_list(file)
    assert str(file) in str(error.value) and words in str(error.value)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("b.xml", VOC.format(name="Blast"), "'Blast'"),
        ("b.xml", "<annotation/>", "size"),
        ("b.xml", "<annotation>", "cannot be read"),
        ("b.txt", "7 0.5 0.5 0.1 0.1", "'7'"),
        ("b.txt", "0 0.5 0.5", "cannot be read"),
        ("b.txt", "0 x 0.5 0.1 0.1", "cannot be read"),
    ],
)
def test_boxes_that_cannot_be_read_are_named(folder, name, content, words):
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=f"line 2: the boxes in {name} cannot be read") as error:
        read_list(written(folder, f"image,boxes\na.png,{name}\n"))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_list_that_is_missing_or_no_text_is_named(folder):
    with pytest.raises(DataError, match=r"The list .*none\.csv cannot be read \(No such file"):
        read_list(folder / "none.csv")
    with pytest.raises(DataError, match=r"cannot be read .* save it as CSV in UTF-8"):
        read_list(folder / "a.png")

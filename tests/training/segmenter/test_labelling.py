"""Labels of drawn smears, whose truth is exact, by teachers that make known errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from leuko.cells.segmentation import Segmentation
from leuko.cells.segmentation.learned.classes import BACKGROUND, CYTOPLASM, NUCLEUS, PLATELET, RED_CELL, SMUDGE
from leuko.training.segmenter.example import UNKNOWN, Example
from leuko.training.segmenter.labelling import label
from leuko.training.segmenter.sources import Box, SourceImage
from tests.training.segmenter.drawn_lists import smear

FIELD = smear(1)
UNLABELLED = SourceImage("drawn", Path("a.png"))


def truth() -> Segmentation:
    """What a perfect teacher finds."""
    cells = [np.ascontiguousarray(a) for a in (FIELD.nuclei, FIELD.white_cells, FIELD.red_cells, FIELD.platelets)]
    return Segmentation(*cells, FIELD.um_per_px, "red cells", red_cells_plausible=True)


def without_white(teacher: Segmentation, number: int) -> Segmentation:
    """A teacher that takes a white cell for a red one."""
    cell = teacher.white_cells == number
    return replace(
        teacher,
        nuclei=np.where(cell, 0, teacher.nuclei),
        white_cells=np.where(cell, 0, teacher.white_cells),
        red_cells=np.where(cell, teacher.red_cells.max() + 1, teacher.red_cells),
    )


def with_false_white(teacher: Segmentation, number: int) -> Segmentation:
    """A teacher that takes a red cell for a white one."""
    cell = teacher.red_cells == number
    new = teacher.white_cells.max() + 1
    return replace(
        teacher,
        nuclei=np.where(cell, new, teacher.nuclei),
        white_cells=np.where(cell, new, teacher.white_cells),
        red_cells=np.where(cell, 0, teacher.red_cells),
    )


def whole_red() -> int:
    """The id of a red cell that nothing cuts or covers."""
    sizes = np.bincount(FIELD.red_cells[FIELD.platelets == 0])
    edge = np.unique(np.concatenate([FIELD.red_cells[side] for side in (0, -1)] + [*FIELD.red_cells.T[[0, -1]]]))
    sizes[[0, *edge]] = 0
    return int(sizes.argmax())


def boxes(labels: np.ndarray, kind: str) -> list[Box]:
    height, width = labels.shape
    return [
        Box(kind, columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        for rows, columns in ndimage.find_objects(labels)
    ]


def labelled(known: SourceImage, teacher: Segmentation, sure: np.ndarray | None = None) -> Example:
    example = label(FIELD.image, known, teacher, sure)
    assert isinstance(example, Example), example
    return example


def white(example: Example) -> np.ndarray:
    return (example.classes == CYTOPLASM) | (example.classes == NUCLEUS)


@pytest.fixture(scope="module")
def masked(tmp_path_factory) -> SourceImage:
    """The field with an exact mask of its white cells."""
    mask = np.where(FIELD.white_cells > 0, 128, 0).astype(np.uint8)
    mask[FIELD.nuclei > 0] = 255
    file = tmp_path_factory.mktemp("masks") / "mask.png"
    Image.fromarray(mask).save(file)
    return replace(UNLABELLED, mask=file)


def test_a_teacher_alone_is_believed():
    example = labelled(UNLABELLED, truth())
    exact = Example.from_smear(FIELD)
    assert (example.classes == exact.classes)[FIELD.platelets == 0].all()
    assert (example.classes == PLATELET)[FIELD.platelets > 0].all()
    for one, other in ((example.instances, exact.instances), (exact.instances, example.instances)):
        pairs = np.unique(np.stack([one, other])[:, FIELD.platelets == 0], axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]  # the same cells, by other ids
    assert example.red_diameter == pytest.approx(7.5 / FIELD.um_per_px)


def test_a_mask_replaces_the_teachers_white_cells(masked):
    false = whole_red()
    example = labelled(masked, with_false_white(without_white(truth(), 1), false))
    exact = Example.from_smear(FIELD).classes
    assert (white(example) == (FIELD.white_cells > 0)).all()
    assert (example.classes == exact)[FIELD.white_cells > 0].all()
    assert (example.classes[FIELD.red_cells == false] == UNKNOWN).all()
    assert len(np.unique(example.instances[white(example)])) >= FIELD.white_cells.max()


def test_a_mask_of_another_size_is_a_reason(masked, tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "small.png")
    assert "mask" in label(FIELD.image, replace(masked, mask=tmp_path / "small.png"), truth())


def test_boxes_confirm_white_cells_and_nothing_else():
    false = whole_red()
    teacher = with_false_white(without_white(truth(), 1), false)
    example = labelled(replace(UNLABELLED, boxes=tuple(boxes(FIELD.white_cells, "white cell"))), teacher)
    assert (example.classes[FIELD.red_cells == false] == UNKNOWN).all(), "a white cell without a box"
    assert (example.classes[FIELD.white_cells == 1] == UNKNOWN).all(), "a box without a white cell"
    second = (FIELD.white_cells == 2) & (example.classes != UNKNOWN)
    assert second.any() and white(example)[second].all()


def test_boxes_of_all_red_cells_add_those_that_the_teacher_misses():
    number = whole_red()
    missed, invented = truth(), FIELD.red_cells == number
    missed = replace(missed, red_cells=np.where(invented, 0, missed.red_cells))
    known = replace(UNLABELLED, boxes=(*boxes(FIELD.white_cells, "white cell"), *boxes(FIELD.red_cells, "red cell")))
    example = labelled(known, missed)
    found = example.classes[invented]
    assert (found == RED_CELL).mean() > 0.6 and (found == BACKGROUND).mean() < 0.05
    core = ndimage.binary_erosion(invented, iterations=4)
    assert len(np.unique(example.instances[core])) == 1

    others = tuple(box for i, box in enumerate(boxes(FIELD.red_cells, "red cell"), start=1) if i != number)
    known = replace(known, boxes=(*boxes(FIELD.white_cells, "white cell"), *others))
    assert (labelled(known, truth()).classes[invented] == RED_CELL).all()
    assert (labelled(replace(known, all_red_boxed=True), truth()).classes[invented] == UNKNOWN).all()


def test_where_there_are_no_white_cells_none_is_labelled():
    false = whole_red()
    example = labelled(replace(UNLABELLED, white_cells="none"), with_false_white(truth(), false))
    assert not white(example).any()
    assert (example.classes[FIELD.red_cells == false] == RED_CELL).all()


def test_a_platelet_in_the_middle_is_no_white_cell():
    false = whole_red()
    example = labelled(replace(UNLABELLED, white_cells="platelet"), with_false_white(truth(), false))
    assert not white(example).any()
    assert (example.classes[FIELD.red_cells == false] == PLATELET).all()


def test_a_white_cell_much_paler_than_the_others_is_a_smudge_cell():
    false = whole_red()
    example = labelled(UNLABELLED, with_false_white(truth(), false))
    assert (example.classes[FIELD.red_cells == false] == SMUDGE).all()
    assert white(example)[(FIELD.white_cells > 0) & (FIELD.platelets == 0)].all()


def test_one_white_cell_in_the_middle():
    known = replace(UNLABELLED, white_cells="middle")
    nowhere = without_white(without_white(truth(), 1), 2)
    assert "middle" in label(FIELD.image, known, nowhere)
    rows, columns = (round(float(axis.mean())) for axis in np.nonzero(FIELD.white_cells == 1))
    shift = (FIELD.white_cells.shape[0] // 2 - rows, FIELD.white_cells.shape[1] // 2 - columns)
    teacher = truth()
    moved = replace(
        teacher,
        **{
            name: np.roll(getattr(teacher, name), shift, (0, 1))
            for name in ("nuclei", "white_cells", "red_cells", "platelets")
        },
    )
    assert isinstance(label(np.roll(FIELD.image, shift, (0, 1)), known, moved), Example)


def test_images_that_cannot_be_labelled_have_a_reason():
    unknown = replace(truth(), um_per_px=None, scale_source=None)
    assert "size of its red cells" in label(FIELD.image, UNLABELLED, unknown)
    unreliable = replace(truth(), reliable=False, unreliable_reason="These are no cells.")
    assert label(FIELD.image, UNLABELLED, unreliable) == "These are no cells."


def test_nothing_is_learnt_where_the_teacher_is_not_sure_but_a_mask_is(masked):
    nowhere = np.zeros(FIELD.white_cells.shape, bool)
    assert (labelled(UNLABELLED, truth(), nowhere).classes == UNKNOWN).all()
    example = labelled(masked, truth(), nowhere)
    assert (white(example) == (FIELD.white_cells > 0)).all()
    assert (example.classes[FIELD.white_cells == 0] == UNKNOWN).all()
    assert (labelled(UNLABELLED, truth(), ~nowhere).classes == labelled(UNLABELLED, truth()).classes).all()

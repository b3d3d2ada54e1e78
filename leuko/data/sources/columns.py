"""Find the columns of a table that hold the image, the label and the patient."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import shortlist

IMAGES: tuple[str, ...] = (
    "image",
    "imageid",
    "filename",
    "file",
    "path",
    "imagename",
    "newnames",
    "newname",
    "name",
    "id",
    "filepath",
    "imagepath",
    "imagefile",
    "imagefilename",
    "img",
    "imgname",
    "imgpath",
    "imgid",
    "picture",
    "photo",
    "images",
)
LABELS: tuple[str, ...] = (
    "label",
    "labels",
    "class",
    "category",
    "diagnosis",
    "target",
    "type",
    "classname",
    "classlabel",
    "labelname",
    "groundtruth",
    "celltype",
    "imagelabel",
    "trueclass",
    "classes",
)
PARTS = ("split", "subset", "partition", "part", "phase")
_SURE = ("label", "labels")  # preferred over all other columns that may hold a label
# Coarsest first: a patient has slides, a slide has images. One of these words, alone or with one of `_NUMBER`.
_PERSONS: tuple[str, ...] = (
    "patient",
    "subject",
    "donor",
    "participant",
    "individual",
    "person",
    "proband",
    "mrn",
    "pid",
    "case",
    "fall",
    "patienten",
    "paciente",
    "animal",
    "mouse",
    "uhid",
    "pat",
)
_THINGS = ("specimen", "biopsy", "aspirate", "slide", "smear", "sample", "group")
_NUMBER = r"(?:ids?|uid|no|nos|nr|num|number|code|name|key|index|identifier|barcode|hash)?"
_LIKE_AN_ID = re.compile(r"(?:^|[^a-z])(?:ids?|uid|no|nr|num|number|code|barcode)$|[a-z](?:ID|No|Nr)$")


def plain_name(column: str) -> str:
    """A column name in lower case without spaces, hyphens and dots: `Patient-ID ` becomes `patientid`."""
    return re.sub(r"[\W_]+", "", column.casefold())


def columns_named_like(columns: Collection[str], wanted: Sequence[str]) -> list[str]:
    """The columns with one of the wanted names (compared by `plain_name`), in the order of `wanted`."""
    return sorted(
        (column for column in columns if plain_name(column) in wanted),
        key=lambda column: wanted.index(plain_name(column)),
    )


def choose_label(columns: Mapping[str, Sequence[str]], where: str) -> tuple[str | None, list[str]]:
    """Choose the label column, and describe the choice if several columns are possible.

    If columns group the images in the same way, a column of words is preferred over a column of numbers.

    Args:
        columns: the values of all columns that may hold a label, as text.
        where: the name of the table.

    Returns:
        The column, or None if no column has the name of a label column; and sentences about the choice.

    Raises:
        DataError: several columns could be the label column, and none is called `label`.
    """
    found = columns_named_like(columns, LABELS)
    if not found:
        return None, []
    alike = [column for column in found if same_partition(columns[found[0]], columns[column])]
    rivals = [column for column in found if column not in alike]
    if rivals and plain_name(found[0]) not in _SURE:
        raise DataError(
            f"{where} has several columns that could be the label: {', '.join(found)}; call the one that is meant "
            "'label'."
        )
    chosen = next((c for c in alike if not all(v.replace(".", "").isdecimal() for v in columns[c] if v)), found[0])
    others = [column for column in found if column != chosen]
    return chosen, [
        f"{where}: labels are taken from the column {chosen}, not from {', '.join(others)}."
    ] if others else []


def choose_group(
    columns: Mapping[str, Sequence[str]], given: str | None, where: str, labels: Sequence[str] = ()
) -> tuple[str | None, list[str]]:
    """Choose the group column: the given column, or the coarsest one with a name like patient or slide.

    Args:
        columns: the values of all columns except images and labels, as text.
        given: a column name; small differences in spelling are accepted.
        where: the name of the table.
        labels: the values of the label column. A column `group` that groups the images in the same way as the labels
            does not hold patients.

    Returns:
        The column, or None; and sentences about the chosen column and about columns that are not used.

    Raises:
        DataError: the given column does not exist, or two columns name persons and neither is nested in the other.
    """
    if given is not None:
        chosen = given if given in columns else next((c for c in columns if plain_name(c) == plain_name(given)), None)
        if chosen is None:
            raise DataError(f"There is no column {given!r} to group by; the columns are {', '.join(columns)}.")
    else:
        named = {column: values for column, values in columns.items() if is_group(column)}
        chosen = _coarsest(
            {c: of for c, of in named.items() if plain_name(c) != "group" or not same_partition(of, labels)}, where
        )
    messages = [f"{where}: images are kept together by the column {chosen}."] if chosen else []
    others = [column for column in columns if column != chosen]
    ids = [column for column in others if _rank(column) is not None or _LIKE_AN_ID.search(column.strip())]
    rest = [column for column in others if column not in ids]
    if ids:
        hint = "" if chosen else "; if images of one patient share a value of one of them, give it with --group-column"
        messages.append(f"{where}: columns that may name patients or slides and are not used: {', '.join(ids)}{hint}.")
    if rest:
        messages.append(f"{where}: other columns that are not used: {shortlist(rest, 8)}.")
    return chosen, messages


def is_group(column: str) -> bool:
    """Whether a column has a name for patients, subjects or slides."""
    return _rank(column) is not None


def same_partition(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two columns group the images in the same way."""
    return len(one) == len(other) and len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


def is_nested(outer: Sequence[str], inner: Sequence[str]) -> bool:
    """Whether images with the same value in the inner column always have the same value in the outer column."""
    owner: dict[str, str] = {}
    return all(owner.setdefault(b, a) == a for a, b in zip(outer, inner, strict=True) if b)


def _coarsest(columns: Mapping[str, Sequence[str]], where: str) -> str | None:
    ranks = {column: rank for column in columns if (rank := _rank(column)) is not None}
    ranked = sorted(ranks, key=ranks.__getitem__)
    persons = [column for column in ranked if ranks[column] < len(_PERSONS)]
    candidates = persons or ranked
    for column in candidates:
        if all(is_nested(columns[column], columns[other]) for other in candidates):
            return column
    if persons:
        raise DataError(
            f"{where} has several columns that could name patients: {', '.join(persons)}; give the one that is meant "
            "with --group-column."
        )
    return candidates[0] if candidates else None


def _rank(column: str) -> int | None:
    """The rank of a column among columns for persons or slides, coarsest first; None if it is neither."""
    name = plain_name(column)
    for place, word in enumerate((*_PERSONS, *_THINGS)):
        if re.fullmatch(rf"(?:the|anonymi[sz]ed|anon|unique|study|hospital)?{word}s?{_NUMBER}", name):
            return place
        if re.fullmatch(rf"(?:id|no|number)(?:of)?{word}", name):
            return place
    return None

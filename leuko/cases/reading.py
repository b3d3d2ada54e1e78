"""From the files of a slide to a case as JSON: the same for the command line and the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from leuko.cases.case import Case, Specimen
from leuko.cases.case_file import CaseFile
from leuko.cases.field_record import FieldRecord
from leuko.cases.registration import Structure
from leuko.images.decode import Picture
from leuko.images.file_types import InputFile
from leuko.inference import per_file
from leuko.inference.classifier import Classifier

# Where the results of `read_file` hold a field, its structure and its picture.
RECORD, STRUCTURE, PICTURE = "record", "structure", "picture"


def read_file(
    classifier: Classifier,
    item: InputFile,
    describe_error: Callable[[Exception], str],
    picture_of: Callable[[np.ndarray], str] | None = None,
) -> list[dict[str, Any]]:
    """The field of each picture of a file, or why there is none.

    Args:
        classifier: the model.
        item: the file; it is deleted if it was unpacked for this.
        describe_error: see `leuko.inference.per_file.results`.
        picture_of: what is kept of the pixels, uint8, H × W × 3, RGB, as `picture`.

    Returns:
        Objects with `image`, and with `record` (a `FieldRecord`) and `structure`, `error`, or `skipped`.
    """

    def field(page: str, picture: Picture) -> dict[str, Any]:
        result = classifier.analyse(picture.pixels, um_per_px=picture.um_per_px)
        name = item.name + page
        found = {
            "image": name,
            RECORD: FieldRecord.of(name, picture.pixels, result),
            STRUCTURE: Structure.of(picture.pixels),
        }
        return found | ({PICTURE: picture_of(picture.pixels)} if picture_of else {})

    return per_file.results(item, field, describe_error)


def case_of(
    classifier: Classifier, results: Sequence[dict[str, Any]], specimen: Specimen, count_smudges: bool = False
) -> Case:
    """The case of the fields among the results of `read_file`, of all files in order.

    Args:
        classifier: the model that read the fields.
        results: of `read_file`.
        specimen: blood or marrow.
        count_smudges: whether smudge cells are white cells in the differential count.
    """
    fields = [result for result in results if RECORD in result]
    records = _with_names_of_their_own([field[RECORD] for field in fields])
    structures = [field[STRUCTURE] for field in fields]
    return Case.of(records, structures, specimen, classifier.model.metadata.operating_point, count_smudges)


def no_fields(results: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The files among the results of `read_file` that are no fields: `errors` and `skipped`."""
    keys = {"errors": "error", "skipped": "skipped"}
    return {name: [result for result in results if key in result] for name, key in keys.items()}


def as_json(case: Case, classifier: Classifier, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A case as JSON-ready values: `CaseFile.as_json`, and the files that are no fields.

    Args:
        case: see `case_of`.
        classifier: the model that read the fields.
        results: of `read_file`.
    """
    return {**CaseFile.new(case, models(classifier)).as_json(), **no_fields(results)}


def models(classifier: Classifier) -> dict[str, str]:
    """What reads a case: the model's name, version and backbone, and the name of what tells kinds of cells."""
    kinds = classifier.kind_model.name if classifier.kind_model else "embedded"
    return {**classifier.signature(), "kinds": kinds}


def _with_names_of_their_own(records: Sequence[FieldRecord]) -> list[FieldRecord]:
    """The records; of several with one name the later ones are numbered, so that a name says which field is meant."""
    taken: set[str] = set()
    renamed = []
    for record in records:
        names = (record.name, *(f"{record.name} ({number})" for number in range(2, len(records) + 2)))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        renamed.append(replace(record, name=name))
    return renamed

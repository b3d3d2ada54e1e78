"""From the files of a slide to a case as JSON: the same for the command line and the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leuko.cases.case import Case, Specimen
from leuko.cases.field_record import FieldRecord
from leuko.images.decode import Picture
from leuko.images.file_types import InputFile
from leuko.inference import per_file
from leuko.inference.classifier import Classifier

# Where the results of `read_file` hold a field, and its picture.
RECORD, PICTURE = "record", "picture"


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
        Objects with `image`, and with `record` (a `FieldRecord`), `error` or `skipped`.
    """

    def field(page: str, picture: Picture) -> dict[str, Any]:
        result = classifier.analyse(picture.pixels, um_per_px=picture.um_per_px)
        found = {"image": item.name + page, RECORD: FieldRecord.of(item.name + page, picture.pixels, result)}
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
    records = [result[RECORD] for result in results if RECORD in result]
    return Case.of(records, specimen, classifier.model.metadata.operating_point, count_smudges)


def as_json(case: Case, classifier: Classifier, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A case as JSON-ready values: `Case.as_json`, the `model`, and the files that are no fields (`errors`, `skipped`).

    Args:
        case: see `case_of`.
        classifier: the model that read the fields.
        results: of `read_file`.
    """
    others = {
        name: [result for result in results if key in result]
        for name, key in (("errors", "error"), ("skipped", "skipped"))
    }
    return {**case.as_json(), "model": classifier.signature(), **others}

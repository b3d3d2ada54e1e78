"""Files whose names tell another class than the one they are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import FileNameInfo, name_key, parse_file_name, shortlist, words
from leuko.data.labels.positive_classes import class_meanings

_STAGES = ("early", "pre", "pro")


def check_file_names(files: Sequence[str], labels: Sequence[str], classes: Iterable[str]) -> None:
    """Stop where file names of the field's conventions contradict labels: leukaemia or none, or another of the classes.

    Args:
        files: N, names of files.
        labels: N, their classes.
        classes: all classes of the data.

    Raises:
        DataError: some do; the message names the first of them.
    """
    found = class_meanings(classes)
    near = {name_key(name) for name in classes}
    wrong = [
        (file, told.label, label)
        for file, label in zip(files, labels, strict=True)
        if (told := parse_file_name(file))
        and _contradicts(told, label, near, _meaning(label, found.leukaemia, found.absence))
    ]
    if wrong:
        some = shortlist((f"{file} (its name says {told}, its label is {label})" for file, told, label in wrong), 3)
        raise DataError(
            f"{len(wrong)} file{'s are' if len(wrong) > 1 else ' is'} named otherwise than labelled: {some}. Move or "
            "label them rightly, or rename those whose names mean something else."
        )


def _contradicts(told: FileNameInfo, label: str, classes: set[str], meaning: bool | None) -> bool:
    if name_key(told.label) == name_key(label):
        return False
    stages = _stage(told.label), _stage(label)
    if all(stages):
        return stages[0] != stages[1]
    says = {"all": True, "early": True, "pre": True, "pro": True, "healthy": False, "hem": False, "benign": False}
    sick = says.get(told.label.casefold())
    if sick is not None and meaning is not None and sick != meaning:
        return True
    return name_key(told.label) in classes


def _meaning(label: str, leukaemia: Sequence[str], absence: Sequence[str]) -> bool | None:
    return True if label in leukaemia else False if label in absence else None


def _stage(label: str) -> str | None:
    found = " ".join(words(label)).casefold()
    return next((stage for stage in _STAGES if any(word.startswith(stage) for word in found.split())), None)

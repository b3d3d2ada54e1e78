"""A check for files whose names contradict their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import FileNameInfo, name_key, parse_file_name, shortlist, words
from leuko.data.labels.positive_classes import class_meanings

_STAGES = ("early", "pre", "pro")
_MEANS_LEUKAEMIA = {
    "all": True,
    "early": True,
    "pre": True,
    "pro": True,
    "healthy": False,
    "hem": False,
    "benign": False,
}


def check_file_names(files: Sequence[str], labels: Sequence[str], classes: Iterable[str]) -> None:
    """Raise DataError if a file name that follows a public convention contradicts its label.

    A contradiction is leukaemia against no leukaemia, or another class of the data.

    Args:
        files: N, names of files.
        labels: N, their classes.
        classes: all classes of the data.

    Raises:
        DataError: at least one name contradicts its label; the message names the first of them.
    """
    meanings = class_meanings(classes)
    near = {name_key(name) for name in classes}
    wrong = [
        (file, info.label, label)
        for file, label in zip(files, labels, strict=True)
        if (info := parse_file_name(file))
        and _contradicts(info, label, near, _meaning(label, meanings.leukaemia, meanings.absence))
    ]
    if wrong:
        examples = shortlist((f"{file} (its name says {info}, its label is {label})" for file, info, label in wrong), 3)
        raise DataError(
            f"{len(wrong)} file{'s are' if len(wrong) > 1 else ' is'} named otherwise than labelled: {examples}. Move "
            "or label them rightly, or rename those whose names mean something else."
        )


def _contradicts(info: FileNameInfo, label: str, classes: set[str], meaning: bool | None) -> bool:
    if name_key(info.label) == name_key(label):
        return False
    stages = _stage(info.label), _stage(label)
    if all(stages):
        return stages[0] != stages[1]
    expected = _MEANS_LEUKAEMIA.get(info.label.casefold())
    if expected is not None and meaning is not None and expected != meaning:
        return True
    return name_key(info.label) in classes


def _meaning(label: str, leukaemia: Sequence[str], absence: Sequence[str]) -> bool | None:
    return True if label in leukaemia else False if label in absence else None


def _stage(label: str) -> str | None:
    text = " ".join(words(label)).casefold()
    return next((stage for stage in _STAGES if any(word.startswith(stage) for word in text.split())), None)

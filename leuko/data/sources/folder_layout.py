"""The roles of the folders that contain an image: split, magnification, batch, version.

A folder with one of these roles is not a class. Any other folder is a class, a patient or a group
(`leuko.data.sources.folders`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from leuko.data.labels.class_name_words import sense_of
from leuko.data.labels.filename_conventions import words

_PARTS = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "validate", "valid", "val", "dev"),
    "test": ("test", "testing", "tst", "holdout"),
}
_PART_OF = {word: part for part, names in _PARTS.items() for word in names}
_FILLING = {"data", "dataset", "datasets", "set", "sets", "image", "images", "img", "imgs", "folder", "split", "part"}
_FILLING |= {
    "files",
    "labels",
    "metadata",
    "samples",
    "cells",
    "smears",
    "cnmc",
    "prelim",
    "final",
    "phase",
    "the",
    "labelled",
    "labeled",
}
_WRAPPERS = _FILLING | {"pictures", "photos", "archive", "database", "jpg", "jpeg", "png", "bmp", "tif", "tiff"}
_VERSIONS = {"original", "originals", "raw", "segmented", "segmentation", "segmentations", "mask", "masks", "masked"}
_VERSIONS |= {"augmented", "augmentation", "cropped", "crops", "enhanced", "preprocessed", "processed", "resized"}
_VERSIONS |= {"normalised", "normalized", "annotated", "annotations", "filtered", "denoised", "grayscale", "greyscale"}
_MAGNIFICATION = re.compile(
    r"(?:(?:magnification|magnified|mag|zoom|objective|lens|obj) )?(?:x ?\d{1,4}|\d{1,4} ?x)"
    r"(?: (?:magnification|mag|zoom|objective|lens|oil|images?))?|(?:magnification|mag|zoom|objective|lens) ?\d{1,4}"
)
_OCCASIONS = (
    "batch|day|date|week|month|year|visit|run|session|round|acquisition|series|lot|plate|set|part|section|chunk"
)
_PLACES = (
    "scanner|camera|microscope|phone|smartphone|device|lab|laboratory|site|center|centre|hospital|clinic|institute"
)
_PLACES += "|source|stain|staining|operator|reader|cohort"
_BATCH = re.compile(
    rf"(?:{_OCCASIONS}|{_PLACES})s?(?: ?\d+| [a-z]| one| two| three)|(?:first|second|third|new|old) (?:{_OCCASIONS})"
    rf"|(?:{_PLACES}) \w+|\w+ (?:{_PLACES})|(?:19|20)\d\d(?: ?\d\d?){{0,2}}"
)
_FOLD = re.compile(r"(?:cv |k )?(?:fold|split)s? ?\d*")
_PERSON = re.compile(
    r"(?:patients?|pat|pt|p|subjects?|subj|sub|s|cases?|donors?|participants?|individuals?|person|specimen|sample|slides?"
    r"|id|uid|no|nr|h)? ?\d+(?: ?\w)?|(?:patient|subject|case|donor|slide|specimen) \w+"
)


@dataclass(frozen=True)
class FolderRoles:
    """The folders that contain one image, sorted by their role.

    Attributes:
        part: `train`, `validation` or `test`, and the original name of that folder; None if there is no such folder.
        condition: magnifications, batches, days, scanners, sites.
        version: `original`, `segmented`, `masks` and similar.
        rest: all other folders, from the top; generic names (`images`) only if there are no other folders.
    """

    part: tuple[str, str] | None
    condition: tuple[str, ...]
    version: tuple[str, ...]
    rest: tuple[str, ...]

    @classmethod
    @cache
    def of(cls, folders: tuple[str, ...]) -> FolderRoles:
        """Find the roles of the folders that contain an image."""
        part, condition, version, rest, said_nothing = None, [], [], [], []
        for name in folders:
            found = part_of(name)
            if found and (part is None or part[0] == found):  # test/test/1.bmp
                part = part or (found, name)
            elif is_condition(name):
                condition.append(name)
            elif version_of(name):
                version.append(name)
            elif is_wrapper(name):
                said_nothing.append(name)
            elif not is_fold(name):
                rest.append(name)
        return cls(part, tuple(condition), tuple(version), tuple(rest or said_nothing))


def part_of(name: str) -> str | None:
    """The split that a name means (`train_data`, `Training`, `val_set`, `testset`), else None."""
    found = [word for word in _plain(name) if word not in _FILLING]
    if len(found) == 2 and "".join(found) == "holdout":
        return "test"
    if len(found) != 1:
        return None
    whole = re.fullmatch(r"(\w+?)(?:data|dataset|set|images|imgs|split)?\d*", found[0])
    return _PART_OF.get(found[0]) or (_PART_OF.get(whole[1]) if whole else None)


def is_magnification(name: str) -> bool:
    """Whether a name is a magnification: `40x`, `x100`, `objective 40`."""
    return bool(_MAGNIFICATION.fullmatch(re.sub(r"(?<=\d)x\b", " x", " ".join(_plain(name)))))


def is_condition(name: str) -> bool:
    """Whether a name describes how images were acquired: magnification, batch, day, scanner, site."""
    if sense_of(name) != "unknown":
        return False
    return is_magnification(name) or bool(_BATCH.fullmatch(" ".join(_plain(name))))


def version_of(name: str) -> str | None:
    """The version of images in a folder (`original`, `segmented`, `masks`) by its name, or None."""
    found = [word for word in _plain(name) if word not in _FILLING]
    return found[0] if len(found) == 1 and found[0] in _VERSIONS else None


def is_wrapper(name: str) -> bool:
    """Whether a folder name is generic: `images`, `data`, `jpg`."""
    found = _plain(name)
    return bool(found) and all(word in _WRAPPERS for word in found)


def is_fold(name: str) -> bool:
    """Whether a name is a fold of a cross-validation: `fold_0`."""
    return bool(_FOLD.fullmatch(" ".join(_plain(name))))


def is_person(name: str) -> bool:
    """Whether a name looks like the number of a patient, a slide or a case: `patient_3`, `P07`, `12`."""
    return bool(_PERSON.fullmatch(" ".join(_plain(name))))


def _plain(name: str) -> list[str]:
    return " ".join(words(name)).casefold().replace("c nmc", "cnmc").split()

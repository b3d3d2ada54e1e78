"""Patient names: unify spellings of one patient, and detect names that are probably not patients."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from leuko.data.labels.filename_conventions import parse_file_name, shortlist

_MISSING = {"", "nan", "none", "null", "na", "n/a", "n.a.", "unknown", "?", "-", "missing", "not available"}
SINGLE = 0.9  # from this share of patients with one image, the column probably numbers the images, not patients
FEWEST = 8  # images; with fewer, one image for each patient is not suspicious


def unify_patient_names(groups: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Give each patient one spelling; if a name is a file name that contains a subject, use the subject.

    Names that differ only in case, spaces, leading zeros or a final `.0` are the same patient. Names that stand for a
    missing value are removed.

    Args:
        groups: name of the patient, slide or subject of every image; empty or None if there is none.

    Returns:
        The names, in the same order, empty if there is none; and sentences about the spellings that were joined.
    """
    parsed = {group: parse_file_name(group) for group in set(groups) if group}
    subjects = {group: name.group for group, name in parsed.items() if name and name.group}
    named = [_subject(group, subjects) for group in groups]
    spellings: dict[str, Counter[str]] = {}
    for group in named:
        if group:
            spellings.setdefault(patient_key(group), Counter())[group] += 1
    name_of = {
        written: min(of_one, key=lambda group: (-of_one[group], group))
        for of_one in spellings.values()
        for written in of_one
    }
    messages = []
    if subjects:
        messages.append(
            f"Subjects are taken from the file names that stand for patients ({shortlist(sorted(subjects), 1)})."
        )
    if several := [sorted(of_one) for of_one in spellings.values() if len(of_one) > 1]:
        examples = shortlist((" = ".join(f"{name!r}" for name in names) for names in several), 5)
        messages.append(f"Patients that are written in several ways count as one: {examples}.")
    if missing := sum(not group for group in named) if any(named) else 0:
        messages.append(
            f"{missing} of {len(named)} images name no patient; each is taken by its place among the files."
        )
    return [name_of[group] if group else "" for group in named], messages


def patient_key(name: str) -> str:
    """A key that is equal for all spellings of one patient's name."""
    text = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    if re.fullmatch(r"\d+\.0+", text):
        text = text.partition(".")[0]
    return (text.lstrip("0") or "0") if text.isdecimal() else text


def numbered_images_warning(groups: Iterable[str]) -> str | None:
    """A warning if nearly every image has its own patient (the column probably numbers the images); else None."""
    images = Counter(group for group in groups if group)
    single = sum(count == 1 for count in images.values())
    if sum(images.values()) < FEWEST or single < SINGLE * len(images):
        return None
    return (
        f"Warning: {single} of {len(images)} patients (or slides) have one image each, such as "
        f"{shortlist(sorted(images), 2)}. If these are numbers of images, images of one patient may stand in training "
        "and test, and the figures are too good: give the column of patients with --group-column."
    )


def _subject(group: str | None, subjects: dict[str, str]) -> str:
    text = " ".join((group or "").split())
    if text.casefold() in _MISSING:
        return ""
    if re.fullmatch(r"\d+\.0+", text):
        text = text.partition(".")[0]
    return subjects.get(group or "", text)

"""Patient names: different spellings of one patient, and names that hardly mean patients."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from leuko.data.labels.filename_conventions import parse_file_name, shortlist

_MISSING = {"", "nan", "none", "null", "na", "n/a", "n.a.", "unknown", "?", "-", "missing", "not available"}
SINGLE = 0.9  # share of patients with one image each from which a column is more likely a number of images
FEWEST = 8  # images; with fewer, single images for each patient are no evidence


def unify_patient_names(groups: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Give patients one spelling each, and the subject instead of a file name that carries it.

    Names that differ in case, spaces or leading zeros, or as numbers in `.0`, are one. A name that only stands for a
    missing value is left out.

    Args:
        groups: the name of every image's patient, slide or subject; empty or None where there is none.

    Returns:
        The names, in the same order, empty where there is none; and sentences that say what was taken for one.
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
    """What the spellings of one patient's name have in common."""
    text = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    if re.fullmatch(r"\d+\.0+", text):
        text = text.partition(".")[0]
    return (text.lstrip("0") or "0") if text.isdecimal() else text


def numbered_images_warning(groups: Iterable[str]) -> str | None:
    """A warning if nearly every image has a patient of its own, as if the images themselves were numbered; or None."""
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

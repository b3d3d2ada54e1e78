"""Sentences on what cleaning found, and on what deserves attention, each computed from the figures."""

from __future__ import annotations

from typing import NamedTuple

from leuko.reports.eda import captions
from leuko.reports.eda.phrases import UNFIT, Figures, best_shortcut, count, listed, percent, single_source, verb

ALL_BUT = 0.8  # guessed by a shortcut: little is left that only cells could tell
MUCH = 0.1  # of a class left out by cleaning
LINES = 100  # of the table of unfit files
KINDS = {
    "unreadable": "cannot be read",
    "wrong-suffix": "another format than its name says",
    "too-small": "too small",
    "dark": "too dark",
    "over-exposed": "over-exposed",
    "blank": "almost blank",
    "no-colour": "without colour",
    "blurred": "out of focus",
    "not-a-smear": "not a smear",
    "exact-duplicate": "exact duplicate",
    "near-duplicate": "near-duplicate",
    "overlap": "overlapping field",
    "two-labels": "one picture, two labels",
    "outlier": "unlike all others",
    "label-error": "label in doubt",
}


class Point(NamedTuple):
    """Something that deserves attention: how much (higher is worse), what, and the section that shows it."""

    weight: float
    text: str
    section: str


def exact(f: Figures) -> list[str]:
    """On the exact duplicates."""
    if not (number := f["duplicates"]["exact_sets"]):
        return ["No two files show exactly the same pixels."]
    return [
        f"In {count(number, 'set')} two or more files show exactly the same pixels. A copy adds nothing to learn from, "
        "and gives a figure away if one copy is in training and the other in test."
    ]


def near(f: Figures, number: int) -> list[str]:
    """On the near-duplicates in `number` sets beyond the exact ones."""
    if not number:
        return ["Beyond exact copies, no files were found that show the same picture."]
    return [
        f"In {count(number, 'set')} files show the same picture although their pixels differ: shifted, cropped, turned "
        "or mirrored, or of another size, light or quality. Deep Leuko keeps them on the same side of every split.",
    ]


def overlaps(f: Figures) -> list[str]:
    """On the fields that overlap."""
    if not (number := f["duplicates"]["overlapping_pairs"]):
        return ["No two files were found that show overlapping fields."]
    return [
        f"{count(number, 'pair')} of files {verb(number, 'shows', 'show')} overlapping fields: both contain the same "
        "part of the slide. Deep Leuko keeps them on the same side of every split.",
    ]


def two_labels(f: Figures) -> list[str]:
    """On pictures under two labels."""
    if not (number := f["findings"].get("two-labels")):
        return ["No picture stands under two labels."]
    return [
        f"{count(number, 'image')} show a picture that also stands under another label. One of the two must be wrong, "
        "and nobody but a reader of the slide can say which: training leaves out both."
    ]


def labels(f: Figures) -> list[str]:
    """On the labels in doubt."""
    if not (number := f["findings"].get("label-error")):
        return ["No label looks wrong to a classifier that has not seen the image."]
    return [
        f"{count(number, 'label')} ({percent(number / f['images'])}) {verb(number, 'looks', 'look')} wrong: a simple "
        "classifier on deep features and colours, which had not seen the image, is sure of another class. It may be "
        "the classifier that errs; someone who knows the cells should look at each. Nothing is relabelled."
    ]


def outliers(f: Figures) -> list[str]:
    """On the outliers."""
    if not (number := f["findings"].get("outlier")):
        return ["No image lies far from all others."]
    return [
        f"{count(number, 'image')} {verb(number, 'lies', 'lie')} far from all others in deep features: another stain "
        "or scale, an artefact, or a rare but true picture. Judge for yourself; the farthest come first, with the "
        "distance to the likest images in standard deviations beyond what is usual."
    ]


def unfit(f: Figures) -> list[str]:
    """On files that cannot be read or judged."""
    if not (number := sum(f["findings"].get(kind, 0) for kind in UNFIT)):
        return ["Every file can be read, and every image is large, bright and sharp enough to be judged."]
    kinds = [f"{KINDS[kind]}: {f['findings'][kind]:,}" for kind in UNFIT if f["findings"].get(kind)]
    said = [
        f"{count(number, 'finding')} ({'; '.join(kinds)}). Nothing on disk is changed; training leaves out what is "
        "dropped."
    ]
    if number > LINES:
        said.append(f"The table shows the first {LINES}; cleaning.json names them all.")
    return said


def samples(f: Figures) -> list[str]:
    """On the random samples."""
    return ["Drawn at random from each class, always the same ones: to see for yourself what the data look like."]


def attention(f: Figures) -> list[Point]:
    """What deserves attention, the most important first."""
    found = f["findings"]
    points = []
    views, majority = f["audit"]["views"], f["audit"]["majority"]
    best = best_shortcut(f)
    if best and (right := views[best]["grouped"]["accuracy"]["value"]) > majority + 0.1:
        points.append(
            Point(
                80 * right,
                f"From the {best} alone the class is guessed right for {percent(right)} of the images (always "
                f"answering the commonest class: {percent(majority)}). "
                + (
                    "High accuracy on these data does not show that a network looks at cells."
                    if right > ALL_BUT
                    else "A network may go by that in place of the cells."
                ),
                "audit",
            )
        )
    if only := single_source(f):
        points.append(
            Point(
                90,
                f"{listed(list(only))} {'come' if len(only) > 1 else 'comes'} from one source only, so that a network "
                "may learn the source in place of the class.",
                "classes",
            )
        )
    for name, number in f["classes"].items():
        if number and (lost := f["unfit"][name] / number) > MUCH:
            text = f"Cleaning finds {percent(lost)} of the class “{name}” unfit: see whether it judges these rightly."
            points.append(Point(95 * lost + 5, text, "unfit"))
    if number := found.get("two-labels"):
        points.append(
            Point(85, f"{count(number, 'image')} show a picture that also stands under another label.", "two")
        )
    if number := found.get("unreadable"):
        points.append(Point(75, f"{count(number, 'file')} cannot be read.", "unfit"))
    if number := sum(found.get(kind, 0) for kind in UNFIT if kind != "unreadable"):
        points.append(Point(40, f"{count(number, 'image')} may be unfit to learn from (dark, blurred, …).", "unfit"))
    if number := f["duplicates"]["images_in_near_sets"]:
        points.append(
            Point(
                60,
                f"{count(number, 'image')} show a picture that is in the data more than once "
                f"({count(f['duplicates']['exact_sets'], 'set')} of exact copies). Copies in training and test make "
                "any figure too good; Deep Leuko leaves out exact ones and keeps the others on one side.",
                "near",
            )
        )
    if number := found.get("label-error"):
        points.append(
            Point(
                50 + 100 * number / f["images"],
                f"{count(number, 'label')} {verb(number, 'looks', 'look')} wrong and should be checked.",
                "labels",
            )
        )
    if f["imbalance"] >= 1.5:
        points.append(Point(15 * min(f["imbalance"], 5), captions.classes(f)[2], "classes"))
    if not f["groups"]["given"]:
        points.append(
            Point(
                55,
                "The data do not say which images are of one patient. Files that stand side by side are kept together "
                "instead; that is a guess. Give --group-column if you have the patients.",
                "order",
            )
        )
    if number := found.get("outlier"):
        points.append(Point(20, f"{count(number, 'image')} {verb(number, 'is', 'are')} unlike all others.", "outliers"))
    return sorted(points, key=lambda point: -point.weight)

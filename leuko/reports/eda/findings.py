"""The text of the data report on the findings of cleaning, and its highlights, computed from the figures."""

from __future__ import annotations

from leuko.reports.eda import captions
from leuko.reports.eda.facts import QUALITY_ISSUES, Figures, best_shortcut, single_source
from leuko.reports.html_report import Highlight
from leuko.reports.wording import count, listed, percent, verb

HIGH_SHORTCUT = 0.8  # accuracy of a shortcut that leaves little for the cells to explain
MAX_UNUSABLE = 0.1  # share of a class that cleaning finds unusable
MAX_ROWS = 100  # of the table of unusable files
KINDS = {
    "unreadable": "cannot be read",
    "wrong-suffix": "format differs from the file name",
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
    "two-labels": "one image, two labels",
    "outlier": "outlier",
    "label-error": "possible label error",
}


def exact(f: Figures) -> list[str]:
    """The exact duplicates."""
    if not (number := f["duplicates"]["exact_sets"]):
        return ["No two files have exactly the same pixels."]
    return [
        f"In {count(number, 'set')} two or more files have exactly the same pixels. A copy adds no information, "
        "and makes "
        "figures too good if one copy is in the training part and the other in the test part."
    ]


def near(f: Figures, number: int) -> list[str]:
    """The near-duplicates, in `number` sets apart from exact copies."""
    if not number:
        return ["Apart from exact copies, no two files were found that show the same image."]
    return [
        f"In {count(number, 'set')} files show the same image with different pixels: shifted, cropped, rotated or "
        "mirrored, or with another size, brightness or quality. Deep Leuko keeps them on the same side of every split.",
    ]


def overlaps(f: Figures) -> list[str]:
    """The fields that overlap."""
    if not (number := f["duplicates"]["overlapping_pairs"]):
        return ["No two files were found that show overlapping fields."]
    return [
        f"{count(number, 'pair')} of files {verb(number, 'shows', 'show')} overlapping fields: both contain the same "
        "part of the slide. Deep Leuko keeps them on the same side of every split.",
    ]


def two_labels(f: Figures) -> list[str]:
    """Images with two labels."""
    if not (number := f["findings"].get("two-labels")):
        return ["No image has two labels."]
    return [
        f"{count(number, 'image')} show a picture that also has another label. One of the two labels must be wrong, "
        "and only an expert who sees the slide can say which: training leaves out both."
    ]


def labels(f: Figures) -> list[str]:
    """The possible label errors."""
    if not (number := f["findings"].get("label-error")):
        return ["Cross-validation found no possible label errors."]
    return [
        f"{count(number, 'label')} ({percent(number / f['images'])}) {verb(number, 'looks', 'look')} wrong: a simple "
        "classifier on deep features and colours, which was not trained on the image, gives another class with high "
        "probability. The classifier may be wrong, so an expert should look at each image. No label is changed."
    ]


def outliers(f: Figures) -> list[str]:
    """The outliers."""
    if not (number := f["findings"].get("outlier")):
        return ["No image is an outlier."]
    return [
        f"{count(number, 'image')} {verb(number, 'lies', 'lie')} far from all others in deep features: another stain "
        "or scale, an artefact, or a rare but valid image. Please check them; the most distant come first, with their "
        "distance to the most similar images in standard deviations above the usual distance."
    ]


def unfit(f: Figures) -> list[str]:
    """Files that cannot be read or used."""
    if not (number := sum(f["findings"].get(kind, 0) for kind in QUALITY_ISSUES)):
        return ["Every file can be read, and the quality of every image is sufficient."]
    kinds = [f"{KINDS[kind]}: {f['findings'][kind]:,}" for kind in QUALITY_ISSUES if f["findings"].get(kind)]
    text = [
        f"{count(number, 'finding')} ({'; '.join(kinds)}). No file is changed; training leaves out the dropped files."
    ]
    if number > MAX_ROWS:
        text.append(f"The table shows the first {MAX_ROWS}; cleaning.json lists all.")
    return text


def samples(f: Figures) -> list[str]:
    """The random samples."""
    return ["Random images of each class, the same ones in every report."]


def highlights(f: Figures) -> list[Highlight]:
    """Findings that need attention, the most important first."""
    findings = f["findings"]
    points = []
    views, majority = f["audit"]["views"], f["audit"]["majority"]
    best = best_shortcut(f)
    if best and (right := views[best]["grouped"]["accuracy"]["value"]) > majority + 0.1:
        points.append(
            Highlight(
                80 * right,
                f"From the {best} alone the class is predicted correctly for {percent(right)} of the images (always "
                f"predicting the most common class: {percent(majority)}). "
                + (
                    "High accuracy on these data does not show that a network uses cells."
                    if right > HIGH_SHORTCUT
                    else "A network may use this instead of the cells."
                ),
                "audit",
            )
        )
    if only := single_source(f):
        points.append(
            Highlight(
                90,
                f"{listed(list(only))} {'come' if len(only) > 1 else 'comes'} from one source only, so a network "
                "may learn the source instead of the class.",
                "classes",
            )
        )
    for name, number in f["classes"].items():
        if number and (lost := f["unfit"][name] / number) > MAX_UNUSABLE:
            text = (
                f"Cleaning finds {percent(lost)} of the class “{name}” unusable: please check whether this is correct."
            )
            points.append(Highlight(95 * lost + 5, text, "unfit"))
    if number := findings.get("two-labels"):
        points.append(Highlight(85, f"{count(number, 'image')} show a picture that also has another label.", "two"))
    if number := findings.get("unreadable"):
        points.append(Highlight(75, f"{count(number, 'file')} cannot be read.", "unfit"))
    if number := sum(findings.get(kind, 0) for kind in QUALITY_ISSUES if kind != "unreadable"):
        points.append(
            Highlight(40, f"{count(number, 'image')} may be unusable for training (dark, blurred, …).", "unfit")
        )
    if number := f["duplicates"]["images_in_near_sets"]:
        points.append(
            Highlight(
                60,
                f"{count(number, 'image')} show a picture that occurs more than once "
                f"({count(f['duplicates']['exact_sets'], 'set')} of exact copies). Copies in both training and test "
                "part make figures too good; Deep Leuko leaves out exact copies and keeps the others in one part.",
                "near",
            )
        )
    if number := findings.get("label-error"):
        points.append(
            Highlight(
                50 + 100 * number / f["images"],
                f"{count(number, 'label')} {verb(number, 'looks', 'look')} wrong and should be checked.",
                "labels",
            )
        )
    if f["imbalance"] >= 1.5:
        points.append(Highlight(15 * min(f["imbalance"], 5), captions.classes(f)[2], "classes"))
    if not f["groups"]["given"]:
        points.append(
            Highlight(
                55,
                "The data do not name the patient of an image. Neighbouring files are kept together instead, "
                "which is an "
                "estimate. Give --group-column if the patients are known.",
                "order",
            )
        )
    if number := findings.get("outlier"):
        points.append(
            Highlight(20, f"{count(number, 'image')} {verb(number, 'is an outlier', 'are outliers')}.", "outliers")
        )
    return sorted(points, key=lambda point: -point.weight)

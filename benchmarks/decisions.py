"""Write the findings for all real images, and compare them with those of an earlier version.

    python -m benchmarks.decisions write ../shared/data OUT     write findings, one file of JSON lines for each folder
    python -m benchmarks.decisions compare BEFORE AFTER         compare two such outputs in tables; every change
                                                                is listed in AFTER/changes.csv

`python -m leuko classify FOLDER --json FILE` writes the same lines, with any version.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from leuko.images.decode import FORMATS, ImageError, format_of, pictures
from leuko.inference.classifier import Classifier
from leuko.system.threads import in_order

FOLDERS = (
    *(f"aria/{kind}" for kind in ("Benign", "Early", "Pre", "Pro")),
    *("bccd/JPEGImages", "pbc", "jtsc", "raabin/images", "chula", "jhu", "cnmc", "phone_and_thin", "he_sections"),
)
DECISIONS = ("suspicious", "not suspicious", "uncertain")
UNFIT, ERROR = "not fit", "error"

Finding = dict[str, Any]


def write(data: Path, target: Path) -> None:
    """Judge every image of the folders."""
    classifier = Classifier.load()
    target.mkdir(parents=True, exist_ok=True)

    def judge(file: Path) -> Finding:
        try:
            (picture, *_) = pictures(file)
        except ImageError as error:
            return {"image": file.name, "error": str(error)}
        return classifier.classify(picture.pixels, picture.um_per_px).as_json(file.name)

    for folder in FOLDERS:
        files = sorted(file for file in (data / folder).rglob("*") if file.is_file() and _is_image(file))
        with (target / f"{folder.replace('/', '_')}.jsonl").open("w", encoding="utf-8") as lines:
            for finding in in_order(judge, files):
                print(json.dumps(finding, ensure_ascii=False), file=lines, flush=True)


def _is_image(file: Path) -> bool:
    with file.open("rb") as opened:
        return format_of(opened.read(1 << 20)) in FORMATS


def compare(before: Path, after: Path) -> None:
    """Print what is decided, what has changed and why; name every changed image in a table."""
    print("| folder | n | suspicious | not suspicious | uncertain | not fit | changed |\n" + "|---" * 7 + "|")
    changes: list[tuple[str, ...]] = []
    for file in sorted(after.glob("*.jsonl")):
        if not (before / file.name).exists():
            continue
        pairs = list(_pairs(_read(before / file.name), _read(file)))
        was, now = (Counter(decision(pair[which]) for pair in pairs) for which in (0, 1))
        changed = [pair for pair in pairs if decision(pair[0]) != decision(pair[1])]
        figures = [f"{was[each]} → {now[each]}" for each in (*DECISIONS, UNFIT)]
        print(f"| {file.stem} | {len(pairs)} | {' | '.join(figures)} | {len(changed)} |")
        changes += [
            (file.stem, new["image"], decision(old), decision(new), why(old, new), _words(old), _words(new))
            for old, new in changed
        ]
    kinds = Counter((row[2], row[3], row[4]) for row in changes)
    print("\n| before | after | why | images |\n|---|---|---|---|")
    for (old, new, reason), number in kinds.most_common():
        print(f"| {old} | {new} | {reason} | {number} |")
    with (after / "changes.csv").open("w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table)
        rows.writerow(["folder", "image", "before", "after", "why", "reasons before", "reasons after"])
        rows.writerows(changes)


def decision(finding: Finding) -> str:
    """The decision, or that there is none because of the picture or the file."""
    if "error" in finding:
        return ERROR
    return finding["decision"] if finding["quality"]["usable"] else UNFIT


def why(old: Finding, new: Finding) -> str:
    """The kind of a change, by what both findings say."""
    was, now = decision(old), decision(new)
    said, says = _words(old), _words(new)
    if ERROR in (was, now):
        return "the file is read otherwise"
    if UNFIT in (was, now):
        return "quality: judged now, with a warning" if was == UNFIT else "quality: refused now"
    if old["in_distribution"] != new["in_distribution"]:
        return "the network knows the image now" if new["in_distribution"] else "the network does not know it any more"
    kinds = {
        "No white cell was counted": "no white cell is counted",
        "a single cell and not a field": "a close-up: the cell was weighed as a field",
        "too few cells for a decision": "too few cells to exclude leukaemia",
        "no white cell with a nucleus": "the only white cells are cut by the border and do not count",
        "score is inconclusive": "the share of blast-like cells is not clear enough for so few cells",
    }
    for words, reason in kinds.items():
        if words in says and now == "uncertain":
            return reason
    if "contradict" in said and "contradict" not in says:
        return "cells that are too few do not contradict the network any more"
    return "other"


def _words(finding: Finding) -> str:
    return finding.get("error") or " ".join((*finding["quality"]["issues"], *finding["reasons"]))


def _read(file: Path) -> list[Finding]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _pairs(before: list[Finding], after: list[Finding]) -> Iterator[tuple[Finding, Finding]]:
    """Findings of the same image, by the file's name; images of one name by their order."""
    earlier = defaultdict(list)
    for finding in before:
        earlier[PurePath(finding["image"]).name].append(finding)
    for finding in after:
        same = earlier[PurePath(finding["image"]).name]
        if same:
            yield same.pop(0), finding


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["write", "compare"])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    given = parser.parse_args()
    (write if given.what == "write" else compare)(given.first, given.second)


if __name__ == "__main__":
    main()

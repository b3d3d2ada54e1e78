"""`predictions.csv`: one line an image, unreadable ones too."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from leuko.evaluation.predict_dataset import Evaluated

_START = ("image", "class", "truth")
_ANSWER = ("answer", "right", "group", "leukaemia_probability", "decision", "in_distribution", "quality")


def write(file: Path, evaluated: Evaluated, reasons: Mapping[int, Sequence[str]]) -> None:
    """Write the table.

    Args:
        file: to write.
        evaluated: the images and the findings on them.
        reasons: likely reasons of wrong answers, by the number of the finding.
    """
    material, judged = evaluated.material, evaluated.judged
    number_of = {int(row): number for number, row in enumerate(judged.rows)}
    labels = material.rows.features["label"].names
    classes = list(judged.findings[0].probabilities)
    with file.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines)
        table.writerow([*_START, *_ANSWER, *(f"p({name})" for name in classes), "likely_reason", "error"])
        rows = zip(material.rows["file"], material.rows["label"], material.truth, strict=True)
        for row, (name, given, truth) in enumerate(rows):
            start = [name, labels[given], material.labels[truth]]
            if row in judged.errors:
                table.writerow([*start, *[""] * (len(_ANSWER) + len(classes) + 1), judged.errors[row]])
            else:
                number = number_of[row]
                table.writerow([*start, *_said(evaluated, number), "; ".join(reasons.get(number, ())), ""])


def _said(evaluated: Evaluated, number: int) -> list[object]:
    finding, answer = evaluated.judged.findings[number], evaluated.answer[number]
    return [
        evaluated.material.labels[answer],
        bool(answer == evaluated.truth[number]),
        int(evaluated.groups[number]),
        "" if finding.leukaemia_probability is None else f"{finding.leukaemia_probability:.4f}",
        finding.decision,
        finding.in_distribution,
        " ".join(finding.quality.issues_by_kind),
        *(f"{p:.4f}" for p in finding.probabilities.values()),
    ]

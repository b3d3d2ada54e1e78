"""`predictions.csv`: one line an image, unreadable ones too."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from leuko.evaluation.predict_dataset import EvaluatedDataset

_START = ("image", "class", "truth")
_ANSWER = ("answer", "right", "group", "leukaemia_probability", "decision", "in_distribution", "quality")


def write(file: Path, evaluated: EvaluatedDataset, reasons: Mapping[int, Sequence[str]]) -> None:
    """Write the table.

    Args:
        file: to write.
        evaluated: the images and the findings on them.
        reasons: likely reasons of wrong answers, by the number of the finding.
    """
    evaluation_set, predictions = evaluated.evaluation_set, evaluated.predictions
    number_of = {int(row): number for number, row in enumerate(predictions.rows)}
    labels = evaluation_set.rows.class_names
    classes = list(predictions.findings[0].probabilities)
    with file.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines)
        table.writerow([*_START, *_ANSWER, *(f"p({name})" for name in classes), "likely_reason", "error"])
        rows = zip(evaluation_set.rows.files, evaluation_set.rows.labels, evaluation_set.truth, strict=True)
        for row, (name, given, truth) in enumerate(rows):
            start = [name, labels[given], evaluation_set.labels[truth]]
            if row in predictions.errors:
                table.writerow([*start, *[""] * (len(_ANSWER) + len(classes) + 1), predictions.errors[row]])
            else:
                number = number_of[row]
                table.writerow([*start, *_said(evaluated, number), "; ".join(reasons.get(number, ())), ""])


def _said(evaluated: EvaluatedDataset, number: int) -> list[object]:
    finding, answer = evaluated.predictions.findings[number], evaluated.answer[number]
    return [
        evaluated.evaluation_set.labels[answer],
        bool(answer == evaluated.truth[number]),
        int(evaluated.groups[number]),
        "" if finding.leukaemia_probability is None else f"{finding.leukaemia_probability:.4f}",
        finding.decision,
        finding.in_distribution,
        " ".join(finding.quality.issues_by_kind),
        *(f"{p:.4f}" for p in finding.probabilities.values()),
    ]

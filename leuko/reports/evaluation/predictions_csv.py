"""`predictions.csv`: one line per image, unreadable images included."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from leuko.evaluation.predict_dataset import EvaluatedDataset

_IMAGE = ("image", "class", "truth")
_PREDICTION = ("answer", "right", "group", "leukaemia_probability", "decision", "in_distribution", "quality")


def write(file: Path, evaluated: EvaluatedDataset, reasons: Mapping[int, Sequence[str]]) -> None:
    """Write the table.

    Args:
        file: the file to write.
        evaluated: the images and their predictions.
        reasons: likely reasons of wrong predictions, by the number of the finding.
    """
    images, predictions = evaluated.evaluation_set, evaluated.predictions
    index_of = {int(row): index for index, row in enumerate(predictions.rows)}
    names = images.rows.class_names
    classes = list(predictions.findings[0].probabilities)
    with file.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines)
        table.writerow([*_IMAGE, *_PREDICTION, *(f"p({name})" for name in classes), "likely_reason", "error"])
        rows = zip(images.rows.files, images.rows.labels, images.truth, strict=True)
        for row, (name, label, truth) in enumerate(rows):
            start = [name, names[label], images.labels[truth]]
            if row in predictions.errors:
                empty = [""] * (len(_PREDICTION) + len(classes) + 1)
                table.writerow([*start, *empty, predictions.errors[row]])
            else:
                index = index_of[row]
                table.writerow([*start, *_prediction(evaluated, index), "; ".join(reasons.get(index, ())), ""])


def _prediction(evaluated: EvaluatedDataset, index: int) -> list[object]:
    finding, predicted = evaluated.predictions.findings[index], evaluated.predicted[index]
    return [
        evaluated.evaluation_set.labels[predicted],
        bool(predicted == evaluated.truth[index]),
        int(evaluated.groups[index]),
        "" if finding.leukaemia_probability is None else f"{finding.leukaemia_probability:.4f}",
        finding.decision,
        finding.in_distribution,
        " ".join(finding.quality.issues_by_kind),
        *(f"{p:.4f}" for p in finding.probabilities.values()),
    ]

"""`leuko evaluate`: measure a model and write the results into a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from leuko.data import output_paths
from leuko.evaluation.evaluate import EvaluationRequest, measure, prepare
from leuko.reports.evaluation import gallery, page, predictions_csv


def write_evaluation(request: EvaluationRequest, output: Path) -> dict[str, Any]:
    """Evaluate a model and write `metrics.json`, `predictions.csv`, `plots/*.png` and `report.html`, the page last.

    Args:
        request: what to evaluate.
        output: folder for the results; an earlier evaluation in it is replaced.

    Returns:
        The content of `metrics.json`.

    Raises:
        leuko.networks.model_folder.ModelFolderError: the model cannot be used.
        DataError: the data or `output` cannot be used, or the classes cannot be compared.
    """
    page.check(output)
    output_paths.check_apart(output, [request.data])
    prepared = prepare(request)
    output_paths.make_folder(output)  # before the work: if it fails, nothing is lost
    result = measure(prepared)
    errors = gallery.worst_errors(result.classifier, result.evaluated)
    content = json.dumps(result.report, indent=1, ensure_ascii=False) + "\n"
    (output / "metrics.json").write_text(content, encoding="utf-8")
    reasons = {error.index: error.reasons for error in errors}
    predictions_csv.write(output / "predictions.csv", result.evaluated, reasons)
    page.write(output, result.report, result.evaluated, errors)
    return result.report

"""The machine-readable part of a model card: front matter and `.eval_results`, in the formats of the Hub.

`.eval_results/test.yaml` (https://huggingface.co/docs/hub/eval-results) holds the main figures; the `model-index` of
the front matter is its older form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData

from leuko.evaluation.interval_text import interval_text
from leuko.networks.model_folder import ModelMetadata
from leuko.reports import tables

NETWORK_TAGS = ["timm", "transformers"]
TAGS = ["leuko", "medical", "leukemia", "blood-smear"]
# Names of the figures on the Hub.
OVERALL_METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "auc_roc": "roc_auc",
    "auc_pr": "average_precision",
    "mcc": "matthews_correlation",
}
LEUKAEMIA_METRICS = {"auc_roc": "roc_auc", "sensitivity": "recall", "specificity": "specificity"}
CROSS_VALIDATED_METRICS = {"accuracy": "accuracy", "auc_roc": "roc_auc"}
TASK = "image-classification"


def trained_card_data(metadata: ModelMetadata, report: dict[str, Any], classical: bool) -> ModelCardData:
    """The front matter of a trained model."""
    data = metadata.training["dataset"]
    return ModelCardData(
        library_name="leuko" if classical else "timm",
        pipeline_tag=TASK,
        tags=TAGS if classical else [*NETWORK_TAGS, *TAGS],
        license="other",
        license_name="terms-of-the-training-data",
        datasets=[name for name in data.split() if "/" in name] or None,
        metrics=list(dict.fromkeys(OVERALL_METRICS.values())),
        model_name=metadata.name,
        eval_results=list(_test_results(data, report)),
    )


def adapted_card_data(metadata: ModelMetadata, report: dict[str, Any]) -> ModelCardData:
    """The front matter of an adapted model."""
    return ModelCardData(
        library_name="timm",
        pipeline_tag=TASK,
        tags=[*NETWORK_TAGS, *TAGS],
        model_name=metadata.name,
        eval_results=[
            EvalResult(
                task_type=TASK,
                dataset_type="image-folder",
                dataset_name=metadata.training["dataset"],
                dataset_split="cross-validation",
                metric_type=metric,
                metric_value=round(report[name]["value"], 4),
            )
            for name, metric in CROSS_VALIDATED_METRICS.items()
        ],
    )


def eval_result_entries(data: str, report: dict[str, Any]) -> list[EvalResultEntry]:
    """The main figures for `.eval_results`, one task each; the Hub shows them for data sets that it holds."""
    figures = {"accuracy": report["accuracy"], "f1_macro": report["f1"]}
    if "leukaemia" in report:
        figures |= {f"leukaemia_{name}": report["leukaemia"][name] for name in LEUKAEMIA_METRICS}
    return [
        EvalResultEntry(
            dataset_id=data,
            task_id=task,
            value=round(figure["value"], 4),
            notes=f"95 % interval {interval_text(figure)}; {report['images']} test images",
        )
        for task, figure in figures.items()
        if figure["value"] is not None
    ]


def _test_results(data: str, report: dict[str, Any]) -> Iterator[EvalResult]:
    """The overall figures and, as a configuration of its own, those of leukaemia against no leukaemia."""
    groups = [("classes", OVERALL_METRICS, tables.OVERALL, report)]
    if "leukaemia" in report:
        groups.append(("leukaemia-or-not", LEUKAEMIA_METRICS, tables.LEUKAEMIA, report["leukaemia"]))
    for config, metrics, titles, figures in groups:
        for name, metric in metrics.items():
            if figures[name]["value"] is None:
                continue
            title = titles[name].format(threshold=figures.get("threshold"))
            yield EvalResult(
                task_type=TASK,
                dataset_type=data if "/" in data else "image-folder",
                dataset_name=data,
                dataset_config=config,
                dataset_split="test",
                metric_type=metric,
                metric_name=f"{title}, 95 % interval {interval_text(figures[name])}",
                metric_value=round(figures[name]["value"], 4),
            )

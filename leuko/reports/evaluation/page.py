"""The evaluation as one HTML page that contains everything it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leuko.evaluation.corruptions import CORRUPTIONS
from leuko.evaluation.interval_text import figure_text
from leuko.evaluation.predict_dataset import EvaluatedDataset
from leuko.evaluation.shortcut_audit import UNCHANGED
from leuko.reports import tables
from leuko.reports.evaluation import gallery, plots
from leuko.reports.evaluation.highlights import highlights
from leuko.reports.html_report import HtmlReport, Plot, Section, check_output
from leuko.reports.wording import count, percent

KIND = "evaluation"
_HEADER = ("figure", "value", "95 % interval")


def check(output: Path) -> None:
    """Refuse a folder that holds anything else than an evaluation; see `leuko.reports.html_report.check_output`."""
    check_output(output, KIND)


def write(
    output: Path, report: dict[str, Any], evaluated: EvaluatedDataset, errors: Sequence[gallery.WrongPrediction]
) -> Path:
    """Write `plots/*.png`, and `report.html` last; returns the page's path."""
    drawn = plots.draw(evaluated.probabilities, evaluated.truth, evaluated.evaluation_set.labels, report)
    wrong = int((evaluated.predicted != evaluated.truth).sum())
    page = HtmlReport(
        kind=KIND,
        title=f"{report['model']['name']}, evaluated on {report['data']['name']}",
        facts=_facts(report),
        highlights=highlights(report),
        sections=[*_figures(report, drawn), *_audits(report), _wrong_predictions(errors, wrong)],
        footer="The plots are also in plots/, all figures in metrics.json, each image in predictions.csv.",
    )
    return page.write(output)


def _facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("Images", f"{report['images']:,}"),
        ("Groups", f"{report['groups']:,}"),
        ("F1 (macro)", figure_text(report["f1"])),
    ]
    if "leukaemia" in report:
        facts.append(("Leukaemia: AUC-ROC", figure_text(report["leukaemia"]["auc_roc"])))
    if "decisions" in report:
        facts.append(("Decided", percent(report["decisions"]["coverage"]["value"])))
        correct = report["decisions"].get("right", {}).get("value")
        facts += [("Correct, of these", percent(correct))] if correct is not None else []
    return facts


def _figures(report: dict[str, Any], drawn: dict[str, bytes]) -> list[Section]:
    sections = [_overall(report), _classes(report, drawn), _calibration(report, drawn)]
    if "decisions" in report:
        sections.append(_decisions(report))
    return [*sections, _risk(report, drawn)]


def _overall(report: dict[str, Any]) -> Section:
    baseline = report["colour_baseline"]
    colours = "There are too few groups for a baseline on colour statistics."
    if baseline:
        accuracy, f1 = (figure_text(baseline["intervals"][name]) for name in ("accuracy", "f1"))
        colours = (
            "Compare them with this baseline: five nearest neighbours on nine colour statistics, which contain no cell "
            f"shapes, reach an accuracy of {accuracy} and a macro-F1 of {f1} ({baseline['how']})."
        )
    sentences = [
        *report["data"]["description"],
        f"Groups: {report['data']['groups']}.",
        f"{report['intervals']}. {tables.EXACT_INTERVALS}",
        colours,
    ]
    return Section("figures", "Figures", sentences, table=(_HEADER, *tables.headline(report)))


def _classes(report: dict[str, Any], drawn: dict[str, bytes]) -> Section:
    return Section(
        "classes",
        "Each class",
        [
            "Each class against all others, with 95 % intervals; precision, recall and F1 are of the most "
            "probable class."
        ],
        (
            _plot(drawn, "confusion_matrix", "Confusion matrix"),
            _plot(drawn, "roc", "ROC curve of each class against the rest"),
            _plot(drawn, "precision_recall", "Precision–recall curve of each class against the rest"),
        ),
        table=tuple(tables.per_class(report)),
    )


def _calibration(report: dict[str, Any], drawn: dict[str, bytes]) -> Section:
    return Section(
        "calibration",
        "Calibration",
        [
            f"{report['calibration']['how']}. Points on the diagonal are calibrated; larger points hold more images.",
            f"The temperature folded into the weights is {report['model']['temperature']:.3f}; 1 changes nothing.",
        ],
        (_plot(drawn, "reliability", "Reliability diagram before and after temperature scaling"),),
        table=tuple(tables.calibration(report)),
    )


def _decisions(report: dict[str, Any]) -> Section:
    point = report["operating_point"]
    low, high = point["abstain"]
    text = (
        f"Suspicious from a leukaemia probability of {high:.3f} on, not suspicious below {low:.3f}, uncertain between "
        "them, and if the image quality is not sufficient or the image is out of distribution. The two-way figures "
        f"above are of all images, at the threshold {point['threshold']:.3f}: {point['chosen']}."
    )
    return Section("decisions", "Decisions", [text], table=(_HEADER, *tables.decisions(report)))


def _risk(report: dict[str, Any], drawn: dict[str, bytes]) -> Section:
    return Section(
        "risk",
        "Risk and coverage",
        [
            tables.risk_coverage(report),
            "The error rate if only the most confident predictions are used (Geifman & El-Yaniv 2017).",
        ],
        (_plot(drawn, "risk_coverage", "Error rate against coverage"),),
    )


def _audits(report: dict[str, Any]) -> list[Section]:
    """Robustness and shortcuts, if they were measured."""
    sections = []
    if views := report.get("robustness"):
        unchanged = views[UNCHANGED]["network"]["f1"]["value"]
        values = {
            kind: [views[f"{kind} {level}"]["network"]["f1"]["value"] for level in tables.STRENGTHS]
            for kind in CORRUPTIONS
        }
        text = (
            f"Macro-F1 on the same images, corrupted in five strengths; on the unchanged images it is {unchanged:.3f}."
        )
        png = plots.robustness(values, unchanged)
        plot = Plot("robustness", png, "Macro-F1 against the strength of each corruption")
        sections.append(Section("robustness", "Robustness", [text], (plot,), table=tuple(tables.robustness(views))))
    if views := report.get("shortcuts"):
        png = plots.shortcuts(views, 1 / max(len(report["per_class"]), 1))
        plot = Plot("shortcuts", png, "Macro-F1 on changed images, of the network and of colour statistics")
        table = tuple(tables.shortcuts(views))
        sections.append(Section("shortcuts", "Shortcuts", [tables.SHORTCUTS], (plot,), table=table))
    return sections


def _wrong_predictions(errors: Sequence[gallery.WrongPrediction], total: int) -> Section:
    if not total:
        return Section("wrong", "Wrong predictions", ["There are none."])
    text = (
        f"{count(total, 'prediction is', 'predictions are')} wrong, the most confident first, with the heat map of the "
        "predicted class. The notes say how an image differs from correctly classified ones: hints, not proofs."
    )
    return Section("wrong", "Wrong predictions", [text], galleries=(gallery.as_gallery(errors, total),))


def _plot(drawn: dict[str, bytes], name: str, alt: str) -> Plot:
    return Plot(name, drawn[name], alt)

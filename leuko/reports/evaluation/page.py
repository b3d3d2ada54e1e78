"""The evaluation as one HTML page that carries everything it shows, made with the pieces of the data report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leuko.evaluation import tables
from leuko.evaluation.corruptions import CELL_FREE, CORRUPTIONS
from leuko.evaluation.predict_dataset import EvaluatedDataset
from leuko.reports.eda import page as data_report
from leuko.reports.eda.findings import Point
from leuko.reports.eda.phrases import count, percent
from leuko.reports.eda.sections import Plot, Section
from leuko.reports.evaluation import gallery, plots

KIND = "evaluation"
LOSS = 0.03  # macro-F1 that may be lost at the middle strength of a corruption
LEFT = 0.1  # macro-F1 above guessing without cells, or lost in another stain, that is worth a word
DECIDED, WRONG, STRANGE = 0.7, 0.1, 0.1  # shares: decided at least, wrong of them and unlike the training at most


def check(output: Path) -> None:
    """Refuse a folder that holds something else than an evaluation; see `leuko.reports.eda.page.check`."""
    data_report.check(output, KIND)


def write(output: Path, report: dict[str, Any], evaluated: EvaluatedDataset, shown: list[gallery.Wrong]) -> Path:
    """Write `plots/*.png`, and `report.html` last; returns the page's path."""
    drawn = plots.draw(evaluated.compared, evaluated.truth, evaluated.evaluation_set.labels, report)
    wrong = int((evaluated.answer != evaluated.truth).sum())
    sections = [*_figures(report, drawn), *_audits(report, drawn), _wrong(shown, wrong)]
    (output / "plots").mkdir(exist_ok=True)
    for old in (output / "plots").glob("*.png"):
        old.unlink()
    for name, png in drawn.items():
        (output / "plots" / f"{name}.png").write_bytes(png)
    page = output / data_report.REPORT
    page.write_text(
        data_report.render(
            KIND,
            name=f"{report['model']['name']}, evaluated on {report['data']['name']}",
            facts=_facts(report),
            attention=attention(report),
            sections=sections,
            footer="The plots are also in plots/, all figures in metrics.json, each image in predictions.csv.",
        ),
        encoding="utf-8",
    )
    return page


def attention(report: dict[str, Any]) -> list[Point]:
    """What forbids to take the figures at their face value."""
    said = []
    baseline, f1 = report["colour_baseline"], report["f1"]
    if baseline and f1["low"] is not None and baseline["intervals"]["f1"]["high"] >= f1["low"]:
        values = f"{tables.in_full(baseline['intervals']['f1'])}, the network {tables.in_full(f1)}"
        text = f"Colour statistics alone, which see no cell, reach a macro-F1 of {values}: "
        said.append((f"{text}these figures do not show that it looks at cells.", "figures"))
    decisions = report.get("decisions", {})
    if decisions:
        coverage, right = decisions["coverage"]["value"], decisions.get("right", {}).get("value")
        if coverage < DECIDED:
            said.append((f"Only {percent(coverage)} of the images are decided; the others are uncertain.", "decisions"))
        if right is not None and 1 - right > WRONG:
            said.append((f"Of the images that are decided, {percent(1 - right)} are decided wrong.", "decisions"))
        if (strange := decisions["unfamiliar"]["value"]) > STRANGE:
            said.append((f"{percent(strange)} of the images are unlike the training images.", "decisions"))
    for kind, whose in tables.SPOKEN.items():
        found = report["calibration"].get(kind)
        if found and found["after"]["ece"]["value"] > found["perfect"]["ece"]["high"]:
            said.append((f"The probabilities {whose} are off by more than chance explains.", "calibration"))
    for kind, values in _losses(report).items():
        if values["value"] > LOSS:
            loss = f"{100 * values['value']:.1f} points"
            said.append((f"{kind.capitalize()} of middle strength costs {loss} of macro-F1.", "robustness"))
    said += [(text, "shortcuts") for text in _shortcuts_taken(report)]
    said += [(text, "figures") for text in report["warnings"]]
    if "there are few" in report["intervals"]:
        said.append(("There are few groups, so that all is less sure than its interval.", "figures"))
    if report["data"]["unreadable"]:
        number = count(report["data"]["unreadable"], "image")
        said.append((f"{number} could not be read and are in no figure.", "figures"))
    return [Point(0, text, section) for text, section in said]


def _shortcuts_taken(report: dict[str, Any]) -> Iterator[str]:
    """What the network tells without cells, and what it no longer tells in another stain."""
    guessing = 1 / len(report["per_class"])
    for name, view in report.get("shortcuts", {}).items():
        f1, lost = view["network"]["f1"], view["network"]["lost"]
        if name in CELL_FREE and f1["low"] > guessing + LEFT:
            yield f"{name[0].upper()}{name[1:]}, without white cells: the macro-F1 is still {tables.in_full(f1)}."
        elif name.startswith("stain of") and lost["value"] > LEFT:
            yield f"In the {name} the macro-F1 falls to {tables.in_full(f1)}."


def _losses(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What each corruption costs at its middle strength, by kind."""
    found = report.get("robustness")
    return {kind: found[f"{kind} {tables.MIDDLE}"]["network"]["lost"] for kind in CORRUPTIONS} if found else {}


def _facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("Images", f"{report['images']:,}"), ("Groups", f"{report['groups']:,}")]
    facts += [("F1 (macro)", tables.in_full(report["f1"]))]
    if "leukaemia" in report:
        facts.append(("Leukaemia: AUC-ROC", tables.in_full(report["leukaemia"]["auc_roc"])))
    if "decisions" in report:
        facts.append(("Decided", percent(report["decisions"]["coverage"]["value"])))
        right = report["decisions"].get("right", {}).get("value")
        facts += [("Right, of these", percent(right))] if right is not None else []
    return facts


def _figures(report: dict[str, Any], drawn: dict[str, bytes]) -> list[Section]:
    baseline = report["colour_baseline"]
    colours = "Too few groups for a baseline on colour statistics."
    if baseline:
        accuracy, f1 = (tables.in_full(baseline["intervals"][name]) for name in ("accuracy", "f1"))
        colours = (
            f"Read them against this: five nearest neighbours on nine colour statistics, which see no cell, reach an "
            f"accuracy of {accuracy} and a macro-F1 of {f1} ({baseline['how']})."
        )
    head = ("figure", "value", "95 % interval")
    sections = [
        Section(
            "figures",
            "Figures",
            [
                *report["data"]["what"],
                f"Groups: {report['data']['groups']}.",
                f"{report['intervals']}. {tables.EXACT}",
                colours,
            ],
            table=(head, *tables.headline(report)),
        ),
        Section(
            "classes",
            "Each class",
            ["Against all others, with 95 % intervals; precision, recall and F1 are of the most probable class."],
            (
                _plot(drawn, "confusion_matrix", "Confusion matrix"),
                _plot(drawn, "roc", "ROC curve of each class against the rest"),
                _plot(drawn, "precision_recall", "Precision–recall curve of each class against the rest"),
            ),
            table=tuple(tables.per_class(report)),
        ),
        Section(
            "calibration",
            "Calibration",
            [
                f"{report['calibration']['how']}. A point on the line says what is so; larger points hold more images.",
                f"The temperature folded into the weights is {report['model']['temperature']:.3f}; 1 changes nothing.",
            ],
            (_plot(drawn, "reliability", "Reliability diagram before and after temperature scaling"),),
            table=tuple(tables.calibration(report)),
        ),
    ]
    if "decisions" in report:
        point = report["operating_point"]
        low, high = point["abstain"]
        said = (
            f"Suspicious from a leukaemia probability of {high:.3f} on, not suspicious below {low:.3f}, uncertain "
            "between them, and where the image is unfit or unlike the training images. The two-way figures above are "
            f"of all images, at the threshold {point['threshold']:.3f}: {point['chosen']}."
        )
        sections.append(Section("decisions", "Decisions", [said], table=(head, *tables.decisions(report))))
    risk = Section(
        "risk",
        "Risk and coverage",
        [
            tables.risks(report),
            "If only the surest are answered, how many of them are wrong (Geifman & El-Yaniv 2017).",
        ],
        (_plot(drawn, "risk_coverage", "Share of wrong answers against coverage"),),
    )
    return [*sections, risk]


def _audits(report: dict[str, Any], drawn: dict[str, bytes]) -> list[Section]:
    """Robustness and shortcuts, where they were asked for; adds their plots to `drawn`."""
    sections = []
    if found := report.get("robustness"):
        untouched = found["as they are"]["network"]["f1"]["value"]
        values = {
            kind: [found[f"{kind} {level}"]["network"]["f1"]["value"] for level in tables.STRENGTHS]
            for kind in CORRUPTIONS
        }
        drawn["robustness"] = plots.robustness(values, untouched)
        said = f"Macro-F1 on the same images, corrupted in five strengths; as they are it is {untouched:.3f}."
        plot = _plot(drawn, "robustness", "Macro-F1 against the strength of each corruption")
        sections.append(Section("robustness", "Robustness", [said], (plot,), table=tuple(tables.robustness(found))))
    if found := report.get("shortcuts"):
        drawn["shortcuts"] = plots.shortcuts(found, 1 / max(len(report["per_class"]), 1))
        plot = _plot(drawn, "shortcuts", "Macro-F1 on changed images, of the network and of colour statistics")
        table = tuple(tables.shortcuts(found))
        sections.append(Section("shortcuts", "Shortcuts", [tables.SHORTCUTS], (plot,), table=table))
    return sections


def _wrong(shown: list[gallery.Wrong], total: int) -> Section:
    if not total:
        return Section("wrong", "Wrong answers", ["There are none."])
    said = (
        f"{count(total, 'answer is', 'answers are')} wrong, the surest first, with what the network looked at for its "
        "own answer. What stands out about an image is a hint at the reason, not a proof."
    )
    return Section("wrong", "Wrong answers", [said], galleries=(gallery.as_gallery(shown, total),))


def _plot(drawn: dict[str, bytes], name: str, alt: str) -> Plot:
    return Plot(name, drawn[name], alt)

"""The table of a comparison: as CSV for programs, as Markdown and HTML for people, and as a plot."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from jinja2 import Environment

from leuko.evaluation import metrics, tables
from leuko.stats import paired_tests
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings

if TYPE_CHECKING:
    from leuko.experiments.comparison_runner import Row

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FIGURES = {"accuracy": "accuracy", "f1": "F1 (macro)", "auc_roc": "AUC-ROC (macro)"}
LEUKAEMIA = {"auc_roc": "leukaemia AUC-ROC"}
FEW = 11  # groups below which the test by group can hardly tell anything apart
PARTS = {
    "measured": "Compared",
    "scratch": "From scratch, not converged: nothing is concluded from these",
}
PAGE = "comparison.md"
HTML = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: 0.85rem } td, th { padding: 0.3rem 0.5rem; border-bottom: 1px solid #ccc }
th { text-align: left; vertical-align: bottom } td { vertical-align: top }
img { max-width: 100% } div { overflow-x: auto }
</style>
<h1>{{ title }}</h1>
{% for line in intro %}<p>{{ line }}</p>{% endfor %}
<img src="comparison.png" alt="{{ figure }} of each system with its 95 % interval">
{% for name, head, rows in parts %}<h2>{{ name }}</h2>
<div><table><tr>{% for cell in head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endfor %}
</html>
""")


def scratch(how: str) -> str:
    """The note of a network that started from random weights and was trained for `how` (epochs and size)."""
    return f"from scratch, {how}, not converged"


def write(rows: Sequence[Row], failed: Mapping[str, str], data_splits: Sequence[TrainingData], base: Settings) -> None:
    """Write `comparison.csv`, `.md`, `.html` and `.png`; without a row that was run, nothing.

    Args:
        rows: of systems that were run, with their answers on all test parts, one after the other.
        failed: systems that could not be run, and why.
        tasks: the data and the split they were run on; several in cross-validation.
        base: the settings they share; into its `output`.
    """
    if not rows:
        return
    folder = base.output
    truth = np.concatenate([data.truth[data.split.test] for data in data_splits])
    groups = np.concatenate([data.split.group[data.split.test] for data in data_splits])
    lines = [_line(row, data_splits[0], truth, groups) for row in rows]
    best = _compare(lines, truth, groups)
    order = sorted(lines, key=lambda line: -line["f1"]["value"])
    _csv(order, folder / "comparison.csv")
    _plot(order, folder / "comparison.png")
    intro = _intro(lines, best, data_splits, len(np.unique(groups)))
    intro += [f"{title}: {why}." for title, why in failed.items()]
    parts = []
    for part, title in PARTS.items():
        if mine := [line for line in order if line["part"] == part]:
            head = [*_figures(mine[0]).values(), "trained in", "size", "latency"]
            if part == "measured":
                head += ["p against the best: McNemar", "by group"]
            parts.append((title, ["system", *head, "note"], [_cells(line, part == "measured") for line in mine]))
    title = f"Comparison on {base.title}"
    _html(title, intro, parts, folder / "comparison.html")
    page = [f"# {title}", "", *(f"{line}\n" for line in intro), "![F1 (macro) of each system](comparison.png)", ""]
    for name, head, body in parts:
        page += [f"## {name}", "", _markdown(head), "|---" * len(head) + "|", *map(_markdown, body), ""]
    (folder / PAGE).write_text("\n".join(page), encoding="utf-8")


def _line(row: Row, data: TrainingData, truth: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    report = metrics.evaluate(row.probabilities, truth, data.labels, data.positive, 0.5, groups=groups)
    line = {"name": row.system.name, "title": row.system.title, **row.notes}
    line |= {figure: report[figure] for figure in FIGURES}
    if "leukaemia" in report:
        line |= {f"leukaemia_{figure}": report["leukaemia"][figure] for figure in LEUKAEMIA}
    return (
        line
        | {"right": row.probabilities.argmax(axis=1) == truth}
        | {name: report[name] for name in ("intervals", "warnings")}
    )


def _compare(lines: list[dict[str, Any]], truth: np.ndarray, groups: np.ndarray) -> dict[str, Any] | None:
    """Test every measured system against the one that is right most often, in place; that one."""
    measured = [line for line in lines if line["part"] == "measured"]
    if not measured:
        return None
    best = max(measured, key=lambda line: line["right"].sum())
    others = [line for line in measured if line is not best]
    for name, test in {
        "mcnemar": lambda right: paired_tests.mcnemar(best["right"], right),
        "by_group": lambda right: paired_tests.group_permutation_test(best["right"], right, groups),
    }.items():
        for line, p in zip(others, paired_tests.holm([test(line["right"]) for line in others]), strict=True):
            line[name] = p
    return best


def _intro(
    lines: list[dict[str, Any]], best: dict[str, Any] | None, data_splits: Sequence[TrainingData], groups: int
) -> list[str]:
    data, images = data_splits[0], len(lines[0]["right"])
    sizes = ", ".join(f"{number} {part}" for part, number in data.sizes.items())
    same = "All systems on the same split:"
    if len(data_splits) > 1:
        same = f"All systems in the same {len(data_splits)} folds: each is trained {len(data_splits)} times, the first time on"
    said = [
        f"{same} {sizes} images. {data.split.how}.",
        f"In brackets: {lines[0]['intervals']}. {tables.EXACT} {images} test images in {groups} groups are one sample "
        "of one data set: overlapping intervals tell no system from another, and another laboratory is another matter.",
        "Trained in: measuring the training and validation images included. Latency: from one decoded image to its "
        f"answer, median, where this was run. Leukaemic classes: {', '.join(data.positive) or 'none known'}.",
    ]
    if best:
        said.append(
            f"p values ask whether a system is right as often as the best one here ({best['title']}, chosen on these "
            "same test images, which flatters it), corrected for their number after Holm. McNemar's test takes images "
            "for independent, which those of one patient are not; the test by group is the one to believe"
            + (f", and with {groups} groups its p cannot be under {2.0 ** (1 - groups):.3f}." if groups < FEW else ".")
        )
    said += lines[0]["warnings"]
    if any(line["part"] == "scratch" for line in lines):
        said.append(
            "Networks for which no pretrained weights were at hand were trained from random ones for a few epochs; "
            "they stand apart. With a connection, the same command takes the pretrained weights."
        )
    return said


def _figures(line: dict[str, Any]) -> dict[str, str]:
    """The columns of figures a line has, and their titles."""
    more = {f"leukaemia_{figure}": title for figure, title in LEUKAEMIA.items()}
    return FIGURES | {name: title for name, title in more.items() if name in line}


def _cells(line: dict[str, Any], tested: bool) -> list[str]:
    cells = [line["title"], *(tables.in_full(line[figure]) for figure in _figures(line))]
    cells += [_time(line["train_seconds"]), f"{line['megabytes']:.1f} MB", f"{line['latency_ms']:.1f} ms"]
    if tested:
        cells += [_p(line["mcnemar"]), _p(line["by_group"])] if "mcnemar" in line else ["best", "best"]
    return [*cells, line["note"]]


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _csv(lines: Sequence[dict[str, Any]], file: Path) -> None:
    figures = _figures(lines[0])
    columns = ["name", "title", "part", *(f"{name}{end}" for name in figures for end in ("", "_low", "_high"))]
    columns += ["train_seconds", "megabytes", "latency_ms", "p_mcnemar", "p_by_group", "note"]
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, columns)
        table.writeheader()
        for line in lines:
            row = {name: line[name] for name in columns if name in line and name not in figures}
            for name in figures:
                row |= {name: line[name]["value"], f"{name}_low": line[name]["low"], f"{name}_high": line[name]["high"]}
            table.writerow(row | {"p_mcnemar": line.get("mcnemar", ""), "p_by_group": line.get("by_group", "")})


def _html(title: str, intro: list[str], parts: list[tuple[str, list[str], list[list[str]]]], file: Path) -> None:
    file.write_text(HTML.render(title=title, intro=intro, parts=parts, figure=FIGURES["f1"]), encoding="utf-8")


def _plot(lines: Sequence[dict[str, Any]], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.28 * len(lines)), layout="constrained")
    for part, colour, label in (("measured", "C0", "compared"), ("scratch", "0.6", "from scratch, not converged")):
        places = [place for place, line in enumerate(lines) if line["part"] == part]
        if places:
            values = [lines[place]["f1"] for place in places]
            middle = np.array([value["value"] for value in values])
            ends = np.abs(np.array([[value["low"], value["high"]] for value in values]).T - middle)
            axes.errorbar(middle, places, xerr=ends, fmt="o", color=colour, label=label)
    axes.set_yticks(range(len(lines)), [line["title"] for line in lines], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{FIGURES['f1']} on the test images, with its 95 % interval")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=130)
    plt.close(figure)

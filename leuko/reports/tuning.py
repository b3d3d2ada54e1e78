"""The report of a hyperparameter search: a page in Markdown and three plots."""

from __future__ import annotations

import shlex
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from optuna.trial import TrialState

from leuko.evaluation import tables
from leuko.stats import proportions
from leuko.training.settings import Settings

matplotlib.use("Agg")
from matplotlib import pyplot as plt

REPORT = "report.md"
FEW = 6  # different values that are all marked on an axis
ENOUGH = 8  # trials from which on the importance of a setting is guessed


def write(study: optuna.Study, base: Settings, folder: Path) -> Path:
    """Write the report of the trials so far; without a finished one, nothing.

    Returns:
        The path of the page.
    """
    page = folder / REPORT
    done = sorted(study.get_trials(states=[TrialState.COMPLETE]), key=lambda one: one.value)
    if not done:
        return page
    names = list(done[0].params)
    best, groups = done[0].user_attrs["figures"], study.user_attrs["groups"]
    diverged = sum("diverged" in one.user_attrs for one in study.get_trials(states=[TrialState.FAIL]))
    lines = [
        "# Hyperparameter search",
        "",
        f"{base.backbone} on {base.title}: {len(done)} trials done, {diverged} diverged. Chosen by the loss on the "
        "validation part; the test part was left out before the first trial, and no figure here is one of test images. "
        f"The best of many trials looks better than it is: its validation figures (loss {best['loss']:.4f}, accuracy "
        f"{best['accuracy']:.3f}, F1 (macro) {best['f1']:.3f}) are no estimate of how it will do. From {groups} groups "
        "of images, even the accuracy of a model that was not chosen would be no surer than "
        f"{tables.span(proportions.proportion_interval(best['accuracy'], groups))} (95 % interval, Wilson).",
        "",
        "Train with the best values, on the same split:",
        "",
        "```",
        command(base, done[0].params, folder / "split.json"),
        "```",
        "",
        "## How the search went",
        "",
        "![Validation loss of each trial, and the best so far](history.png)",
        "",
        "![Validation loss against each setting](slices.png)",
        "",
    ]
    _history(study, folder / "history.png")
    _slices(done, names, folder / "slices.png")
    if importance := _importance(study, folder / "importance.png"):
        first = max(importance, key=importance.get)
        lines += [
            "![Share of the differences that a setting explains](importance.png)",
            "",
            f"`{first}` mattered most: it explains {importance[first]:.0%} of the differences between trials (fANOVA, "
            f"Hutter et al. 2014; from {len(done)} trials, so a guess).",
            "",
        ]
    lines += ["## All trials", "", "| " + " | ".join([*names, "loss", "accuracy", "F1 (macro)", "seconds"]) + " |"]
    lines += ["|---" * (len(names) + 4) + "|"]
    for one in done:
        figures = one.user_attrs["figures"]
        cells = [short(one.params[name]) for name in names] + [f"{figures['loss']:.4f}"]
        cells += [f"{figures['accuracy']:.3f}", f"{figures['f1']:.3f}", f"{one.user_attrs['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def command(base: Settings, params: dict[str, Any], split: Path) -> str:
    """The `train.py` command line of some settings, ready for a shell; what is as by default is left out."""
    words = ["python", "train.py"]
    for field in fields(Settings):
        value = params.get(field.name, getattr(base, field.name))
        option = f"--{field.name.replace('_', '-')}"
        if field.name in ("output", "resume", "split") or (value == field.default and field.name not in params):
            continue
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        elif value is not None:
            words += [option, *(map(str, value) if isinstance(value, tuple) else [short(value)])]
    return f"{shlex.join(words)} --split {shlex.quote(str(split))} --output models/best"


def short(value: Any) -> str:
    """A value to three significant digits, as train.py takes it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _history(study: optuna.Study, file: Path) -> None:
    done = study.get_trials(states=[TrialState.COMPLETE])
    losses = np.array([one.value for one in done])
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    axes.plot(np.arange(1, len(done) + 1), losses, "o", color="0.6", label="trial")
    axes.step(np.arange(1, len(done) + 1), np.minimum.accumulate(losses), where="post", label="best so far")
    axes.set(xlabel="Trial, in the order they ended", ylabel="Validation loss")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.legend()
    _save(figure, file)


def _slices(done: list[optuna.trial.FrozenTrial], names: list[str], file: Path) -> None:
    figure, panels = plt.subplots(
        1, len(names), figsize=(2.3 * len(names), 2.8), layout="constrained", sharey=True, squeeze=False
    )
    losses = [one.value for one in done]
    for axes, name in zip(panels[0], names, strict=True):
        values = [one.params[name] for one in done]
        if isinstance(values[0], str):
            places = {value: place for place, value in enumerate(dict.fromkeys(sorted(values)))}
            axes.set_xticks(list(places.values()), list(places), rotation=30)
            values = [places[value] for value in values]
            axes.margins(x=0.2)
        elif name == "lr":
            axes.set_xscale("log")
        elif len(set(values)) <= FEW:
            axes.set_xticks(sorted(set(values)))
            axes.margins(x=0.2)
        axes.plot(values, losses, "o", alpha=0.7)
        axes.plot(values[:1], losses[:1], "*", markersize=13, label="best")
        axes.set_xlabel(name)
    panels[0][0].set_ylabel("Validation loss")
    panels[0][0].legend()
    _save(figure, file)


def _importance(study: optuna.Study, file: Path) -> dict[str, float]:
    """Shares of the variance of the loss, by setting; empty while there are too few trials to tell."""
    losses = {one.value for one in study.get_trials(states=[TrialState.COMPLETE])}
    if len(losses) < ENOUGH:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    names = sorted(found, key=found.get)
    figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
    axes.barh(names, [100 * found[name] for name in names])
    axes.set_xlabel("Share of the differences in validation loss (%)")
    _save(figure, file)
    return found


def _save(figure: matplotlib.figure.Figure, file: Path) -> None:
    figure.savefig(file, dpi=130)
    plt.close(figure)

"""The report of a hyperparameter search: a page in Markdown and three plots."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from leuko.evaluation.interval_text import interval_text
from leuko.reports.rendering import render
from leuko.stats import proportions

matplotlib.use("Agg")
from matplotlib import pyplot as plt

REPORT = "report.md"
MAX_TICKS = 6  # different values that all get a tick on an axis
MIN_TRIALS = 8  # trials from which on the importance of settings is estimated


def write(
    study: optuna.Study, backbone: str, data: str, command: Callable[[dict[str, Any]], str], folder: Path
) -> Path:
    """Write the report of the trials so far; without a finished trial, nothing.

    Args:
        study: its trials have the user attributes `figures` and `seconds`, or `diverged`; the study has `groups`, the
            number of groups in the validation part.
        backbone: timm name.
        data: name of the data set.
        command: from settings to the command that trains with them.
        folder: where to write.

    Returns:
        The path of the page.
    """
    page = folder / REPORT
    trials = sorted(study.get_trials(states=[TrialState.COMPLETE]), key=_loss)
    if not trials:
        return page
    settings, best = list(trials[0].params), trials[0].user_attrs["figures"]
    _plot_history(study, folder / "history.png")
    _plot_slices(trials, settings, folder / "slices.png")
    header = (*settings, "loss", "accuracy", "F1 (macro)", "seconds")
    content = render(
        "tuning.md.jinja",
        backbone=backbone,
        data=data,
        trials=len(trials),
        diverged=sum("diverged" in trial.user_attrs for trial in study.get_trials(states=[TrialState.FAIL])),
        best=best,
        groups=study.user_attrs["groups"],
        accuracy_interval=interval_text(proportions.proportion_interval(best["accuracy"], study.user_attrs["groups"])),
        command=command(trials[0].params),
        importance=_most_important(study, folder / "importance.png"),
        rows=[header, *(_row(trial, settings) for trial in trials)],
    )
    page.write_text(content, encoding="utf-8")
    return page


def short(value: Any) -> str:
    """A value to three significant digits, in a form that train.py accepts."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _loss(trial: FrozenTrial) -> float:
    return float("inf") if trial.value is None else trial.value


def _row(trial: FrozenTrial, settings: list[str]) -> tuple[str, ...]:
    figures = trial.user_attrs["figures"]
    return (
        *(short(trial.params[name]) for name in settings),
        f"{figures['loss']:.4f}",
        f"{figures['accuracy']:.3f}",
        f"{figures['f1']:.3f}",
        f"{trial.user_attrs['seconds']:.0f}",
    )


def _plot_history(study: optuna.Study, file: Path) -> None:
    losses = np.array([_loss(trial) for trial in study.get_trials(states=[TrialState.COMPLETE])])
    numbers = np.arange(1, len(losses) + 1)
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    axes.plot(numbers, losses, "o", color="0.6", label="trial")
    axes.step(numbers, np.minimum.accumulate(losses), where="post", label="best so far")
    axes.set(xlabel="Trial, in the order they ended", ylabel="Validation loss")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.legend()
    _save(figure, file)


def _plot_slices(trials: list[FrozenTrial], settings: list[str], file: Path) -> None:
    figure, panels = plt.subplots(
        1, len(settings), figsize=(2.3 * len(settings), 2.8), layout="constrained", sharey=True, squeeze=False
    )
    losses = [_loss(trial) for trial in trials]
    for axes, name in zip(panels[0], settings, strict=True):
        values = [trial.params[name] for trial in trials]
        if isinstance(values[0], str):
            places = {value: place for place, value in enumerate(dict.fromkeys(sorted(values)))}
            axes.set_xticks(list(places.values()), list(places), rotation=30)
            values = [places[value] for value in values]
            axes.margins(x=0.2)
        elif name == "lr":
            axes.set_xscale("log")
        elif len(set(values)) <= MAX_TICKS:
            axes.set_xticks(sorted(set(values)))
            axes.margins(x=0.2)
        axes.plot(values, losses, "o", alpha=0.7)
        axes.plot(values[:1], losses[:1], "*", markersize=13, label="best")
        axes.set_xlabel(name)
    panels[0][0].set_ylabel("Validation loss")
    panels[0][0].legend()
    _save(figure, file)


def _most_important(study: optuna.Study, file: Path) -> dict[str, str] | None:
    """Plot the importance of the settings; the name and share of the first, or None while there are too few trials."""
    losses = {trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])}
    if len(losses) < MIN_TRIALS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    names = sorted(shares, key=lambda name: shares[name])
    figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
    axes.barh(names, [100 * shares[name] for name in names])
    axes.set_xlabel("Share of the differences in validation loss (%)")
    _save(figure, file)
    return {"name": names[-1], "share": f"{shares[names[-1]]:.0%}"}


def _save(figure: Figure, file: Path) -> None:
    figure.savefig(file, dpi=130)
    plt.close(figure)

"""Hyperparameter search: every point of a grid, or Optuna's tree-structured Parzen estimator.

Bergstra et al., "Algorithms for hyper-parameter optimization", 2011; Akiba et al., "Optuna", 2019, arXiv:1907.10902.
The test part of the data is taken away before the first trial, so that nothing is chosen on it. Everything lies in one
folder: `study.db` (SQLite), `split.json`, and the report; a search that was interrupted goes on where it stood.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import TrialState

from leuko.data.errors import DataError
from leuko.experiments import single_run as training
from leuko.reports import tuning
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings, TrainingError

Search = Literal["grid", "bayes"]
Space = Mapping[str, Sequence[Any]]

STUDY, SPLIT = "study.db", "split.json"
CHOSEN_BY = "loss"  # of the validation part: finer than accuracy, which many trials share
RANGES = {"lr", "dropout"}  # the Bayesian search may take any value between the smallest and the largest
WHOLE = {"epochs"}  # any whole number between them
DEFAULT: dict[str, tuple[Any, ...]] = {
    "lr": (1e-4, 5e-4, 2e-3),
    "batch_size": (16, 32),
    "epochs": (3, 5, 10),
    "dropout": (0.0, 0.2, 0.5),
    "finetune": ("frozen", "partial", "full"),
}


class SearchError(ValueError):
    """A search that found nothing; the message says what to do."""


@dataclass(frozen=True)
class Best:
    """What a search found.

    Attributes:
        settings: the best values, by the names of `Settings`.
        figures: `loss`, `accuracy` and `f1` on the validation part.
        trials: done, the failed ones included.
        report: the page that shows them.
    """

    settings: dict[str, Any]
    figures: dict[str, float]
    trials: int
    report: Path


def tune(
    base: Settings,
    search: Search,
    trials: int,
    space: Space | None = None,
    on_message: Callable[[str], None] = print,
) -> Best:
    """Search for the best settings, going on with what `base.output` holds already.

    Args:
        base: what all trials share; `output` is the folder of the search.
        search: `grid` tries the combinations of the values in `space`, in random order; `bayes` learns from the trials
            so far, and takes `lr` (on a logarithmic scale), `dropout` and `epochs` from the whole range.
        trials: how many there are to be in the end.
        space: values to try of any of `DEFAULT`'s settings; what is not named has the default values.
        on_message: receives the lines meant for the user.

    Raises:
        DataError: the data cannot be trained on, or the folder holds another search.
        SearchError: every trial failed.
        leuko.networks.backbones.WeightsError: the initial weights cannot be had.
    """
    usual = DEFAULT | ({"finetune": ("full",)} if base.weights == "none" else {})  # random layers must learn
    full = {name: tuple(dict.fromkeys((space or {}).get(name) or values)) for name, values in usual.items()}
    optuna.logging.set_verbosity(logging.ERROR)
    training.quiet()
    training.make_room(base, "search", lambda folder: (folder / STUDY).exists())
    split = base.output / SPLIT
    whole = training.load_training_data(replace(base, split=split if split.exists() else base.split), on_message)
    study = _open(base, search, full, whole)
    if not split.exists():
        whole.split.save(split, whole.rows.files)
    data = training.without_test(whole)
    study.set_user_attr("groups", len(np.unique(data.split.group[data.split.validation])))
    on_message(f"The {len(whole.split.test)} test images are left out; trials are judged by their validation loss.")
    _recover(study)
    if search == "grid":
        _lay_out(study, full, trials, base.seed)
        trials = min(trials, len(_finished(study)) + len(study.get_trials(states=[TrialState.WAITING])))

    def objective(one: optuna.Trial) -> float:
        chosen = {name: _suggest(one, name, values, search) for name, values in full.items()}
        settings = replace(base, **chosen, output=base.output / f"trial-{_digest(chosen)}", resume=True, split=None)
        try:
            found = training.train(data, settings)
        except TrainingError:
            one.set_user_attr("diverged", True)
            raise
        one.set_user_attr("figures", found.validation)
        one.set_user_attr("seconds", found.seconds)
        return found.validation[CHOSEN_BY]

    def tell(study: optuna.Study, one: optuna.trial.FrozenTrial) -> None:
        words = ", ".join(f"{name} {tuning.short(value)}" for name, value in one.params.items())
        figures = one.user_attrs.get("figures")
        said = f"loss {figures['loss']:.4f}, F1 (macro) {figures['f1']:.3f}" if figures else "failed: the loss diverged"
        on_message(f"Trial {len(_finished(study))} of {trials}: {words}: {said}.")
        tuning.write(study, base, base.output)

    if (remaining := trials - len(_finished(study))) > 0:
        study.optimize(objective, n_trials=remaining, callbacks=[tell], catch=(TrainingError,))
    done = study.get_trials(states=[TrialState.COMPLETE])
    if not done:
        raise SearchError("The loss diverged in every trial; search lower values of --lr.")
    report = tuning.write(study, base, base.output)
    return Best(study.best_params, study.best_trial.user_attrs["figures"], len(_finished(study)), report)


def _open(base: Settings, search: Search, space: Space, data: TrainingData) -> optuna.Study:
    """The study of a folder; refused if it is one of other data, settings or values."""
    storage = f"sqlite:///{(base.output / STUDY).resolve()}"
    varied = {"dataset", "split", *space}
    shared = {name: value for name, value in base.record().items() if name not in varied}
    identity = {"search": search, "space": space, "data": data.digest, "settings": shared}
    identity = json.loads(json.dumps(identity))
    # The numbers drawn must not be those of the first trials again when a search goes on.
    study = optuna.create_study(storage=storage, study_name="leuko", direction="minimize", load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=base.seed + len(study.trials), multivariate=True)
    known = study.user_attrs.get("identity")
    if known and known != identity:
        other = next(key for key in identity if known.get(key) != identity[key])
        raise DataError(f"{base.output} holds a search with other {other}; give a new --output, or the same options.")
    study.set_user_attr("identity", identity)
    return study


def _recover(study: optuna.Study) -> None:
    """Line up again what was running when the search was interrupted."""
    for one in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(one.number, state=TrialState.FAIL)
        point = one.system_attrs.get("fixed_params", {}) | one.params
        if set(point) == set(DEFAULT):  # else it had not begun
            study.enqueue_trial(point)


def _lay_out(study: optuna.Study, space: Space, trials: int, seed: int) -> None:
    """Line up those combinations of a grid that have not been tried, up to the number of trials."""
    grid = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    random.Random(seed).shuffle(grid)
    waiting = [one.system_attrs["fixed_params"] for one in study.get_trials(states=[TrialState.WAITING])]
    tried = [one.params for one in _finished(study)] + waiting
    for point in [point for point in grid if point not in tried][: max(trials - len(tried), 0)]:
        study.enqueue_trial(point)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that came to an end, good or bad; those that were interrupted did not."""
    ended = study.get_trials(states=[TrialState.COMPLETE, TrialState.FAIL])
    return [one for one in ended if one.state == TrialState.COMPLETE or "diverged" in one.user_attrs]


def _suggest(one: optuna.Trial, name: str, values: Sequence[Any], search: Search) -> Any:
    if search == "bayes" and len(values) > 1:
        if name in RANGES:
            return one.suggest_float(name, min(values), max(values), log=name == "lr")
        if name in WHOLE:
            return one.suggest_int(name, min(values), max(values))
    return one.suggest_categorical(name, values)


def _digest(chosen: Mapping[str, Any]) -> str:
    """A short name for a combination, so that an interrupted trial finds its checkpoints again."""
    return sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:10]

"""`leuko tune`: hyperparameter search over a grid, or by Optuna's tree-structured Parzen estimator.

Bergstra et al., "Algorithms for hyper-parameter optimization", 2011; Akiba et al., "Optuna", 2019, arXiv:1907.10902.
The test part of the data is removed before the first trial, so that nothing is chosen on it. Everything is in one
folder: `study.db` (SQLite), `split.json`, and the report. An interrupted search continues.
"""

from __future__ import annotations

import json
import logging
import random
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import TrialState

from leuko.data.errors import DataError
from leuko.experiments import single_run
from leuko.reports import tuning
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings, TrainingError

Search = Literal["grid", "bayes"]
Space = Mapping[str, Sequence[Any]]

STUDY, SPLIT = "study.db", "split.json"
CHOSEN_BY = "loss"  # on the validation part; many trials have the same accuracy
RANGES = {"lr", "dropout"}  # the Bayesian search takes any value between the smallest and the largest
INTEGER_RANGES = {"epochs"}  # the same, for integers
DEFAULT: dict[str, tuple[Any, ...]] = {
    "lr": (1e-4, 5e-4, 2e-3),
    "batch_size": (16, 32),
    "epochs": (3, 5, 10),
    "dropout": (0.0, 0.2, 0.5),
    "finetune": ("frozen", "partial", "full"),
}


class SearchError(ValueError):
    """A search without a result; the message says what to do."""


@dataclass(frozen=True)
class BestTrial:
    """The result of a search.

    Attributes:
        settings: the best values, by the names of `Settings`.
        trials: number of finished trials, failed ones included.
        report: path of the page with all trials.
    """

    settings: dict[str, Any]
    trials: int
    report: Path


def tune(
    base: Settings,
    search: Search,
    trials: int,
    space: Space | None = None,
    on_message: Callable[[str], None] = print,
) -> BestTrial:
    """Search for the best settings, continuing an earlier search in `base.output`.

    Args:
        base: settings that all trials share; `output` is the folder of the search.
        search: `grid` tries the combinations of the values in `space`, in random order; `bayes` learns from earlier
            trials, and takes `lr` (on a logarithmic scale), `dropout` and `epochs` from the whole range.
        trials: total number of trials, earlier ones included.
        space: values to try for some of the settings in `DEFAULT`; the others keep their default values.
        on_message: receives the lines meant for the user.

    Raises:
        DataError: the data cannot be trained on, or the folder holds another search.
        SearchError: every trial failed.
        leuko.networks.backbones.WeightsError: the initial weights are not available.
    """
    values = _values_to_try(base, space or {})
    optuna.logging.set_verbosity(logging.ERROR)
    single_run.silence_libraries()
    single_run.prepare_output(base, "search", lambda folder: (folder / STUDY).exists())
    split = base.output / SPLIT
    data = single_run.load_training_data(replace(base, split=split if split.exists() else base.split), on_message)
    study = _open_study(base, search, values, data)
    if not split.exists():
        data.split.save(split, data.rows.files)
    on_message(f"The {len(data.split.test)} test images are left out; trials are compared by their validation loss.")
    data = single_run.without_test(data)
    study.set_user_attr("groups", len(np.unique(data.split.group[data.split.validation])))
    _requeue_interrupted(study)
    if search == "grid":
        _enqueue_grid(study, values, trials, base.seed)
        trials = min(trials, len(_finished(study)) + len(study.get_trials(states=[TrialState.WAITING])))

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: _suggest(trial, name, options, search) for name, options in values.items()}
        settings = replace(base, **chosen, output=base.output / f"trial-{_digest(chosen)}", resume=True, split=None)
        try:
            outcome = single_run.train(data, settings)
        except TrainingError:
            trial.set_user_attr("diverged", True)
            raise
        trial.set_user_attr("figures", outcome.validation)
        trial.set_user_attr("seconds", outcome.seconds)
        return outcome.validation[CHOSEN_BY]

    def after_trial(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        settings = ", ".join(f"{name} {tuning.short(value)}" for name, value in trial.params.items())
        figures = trial.user_attrs.get("figures")
        result = "failed: the loss diverged"
        if figures:
            result = f"loss {figures['loss']:.4f}, F1 (macro) {figures['f1']:.3f}"
        on_message(f"Trial {len(_finished(study))} of {trials}: {settings}: {result}.")
        _write_report(study, base)

    if (remaining := trials - len(_finished(study))) > 0:
        study.optimize(objective, n_trials=remaining, callbacks=[after_trial], catch=(TrainingError,))
    if not study.get_trials(states=[TrialState.COMPLETE]):
        raise SearchError("The loss diverged in every trial; search lower values of --lr.")
    return BestTrial(study.best_params, len(_finished(study)), _write_report(study, base))


def train_command(base: Settings, chosen: Mapping[str, Any]) -> str:
    """The `train.py` command line for chosen settings on the split of the search; defaults are left out."""
    words = ["python", "train.py"]
    for field in fields(Settings):
        value = chosen.get(field.name, getattr(base, field.name))
        option = f"--{field.name.replace('_', '-')}"
        if field.name in ("output", "resume", "split") or (value == field.default and field.name not in chosen):
            continue
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        elif value is not None:
            words += [option, *(map(str, value) if isinstance(value, tuple) else [tuning.short(value)])]
    return f"{shlex.join(words)} --split {shlex.quote(str(base.output / SPLIT))} --output models/best"


def _values_to_try(base: Settings, space: Space) -> Space:
    """The values of each setting, without repetitions."""
    default = DEFAULT | ({"finetune": ("full",)} if base.weights == "none" else {})  # random layers must be trained
    return {name: tuple(dict.fromkeys(space.get(name) or values)) for name, values in default.items()}


def _write_report(study: optuna.Study, base: Settings) -> Path:
    command = partial(train_command, base)
    return tuning.write(study, base.backbone, base.title, command, base.output)


def _open_study(base: Settings, search: Search, space: Space, data: TrainingData) -> optuna.Study:
    """Open or create the study of a folder.

    Raises:
        DataError: it is a study of other data, settings or values.
    """
    storage = f"sqlite:///{(base.output / STUDY).resolve()}"
    varied = {"dataset", "split", *space}
    shared = {name: value for name, value in base.record().items() if name not in varied}
    identity = {"search": search, "space": space, "data": data.digest, "settings": shared}
    identity = json.loads(json.dumps(identity))
    # A search that continues must not draw the same numbers as its first trials.
    study = optuna.create_study(storage=storage, study_name="leuko", direction="minimize", load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=base.seed + len(study.trials), multivariate=True)
    known = study.user_attrs.get("identity")
    if known and known != identity:
        other = next(key for key in identity if known.get(key) != identity[key])
        raise DataError(f"{base.output} holds a search with other {other}; give a new --output, or the same options.")
    study.set_user_attr("identity", identity)
    return study


def _requeue_interrupted(study: optuna.Study) -> None:
    """Queue the trials again that were running when the search was interrupted."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        point = trial.system_attrs.get("fixed_params", {}) | trial.params
        if set(point) == set(DEFAULT):  # otherwise it had not started
            study.enqueue_trial(point)


def _enqueue_grid(study: optuna.Study, space: Space, trials: int, seed: int) -> None:
    """Queue combinations of a grid that were not tried yet, up to the total number of trials."""
    grid = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    random.Random(seed).shuffle(grid)
    waiting = [trial.system_attrs["fixed_params"] for trial in study.get_trials(states=[TrialState.WAITING])]
    tried = [trial.params for trial in _finished(study)] + waiting
    for point in [point for point in grid if point not in tried][: max(trials - len(tried), 0)]:
        study.enqueue_trial(point)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that ended, successful or diverged; interrupted trials did not end."""
    ended = study.get_trials(states=[TrialState.COMPLETE, TrialState.FAIL])
    return [trial for trial in ended if trial.state == TrialState.COMPLETE or "diverged" in trial.user_attrs]


def _suggest(trial: optuna.Trial, name: str, values: Sequence[Any], search: Search) -> Any:
    if search == "bayes" and len(values) > 1:
        if name in RANGES:
            return trial.suggest_float(name, min(values), max(values), log=name == "lr")
        if name in INTEGER_RANGES:
            return trial.suggest_int(name, min(values), max(values))
    return trial.suggest_categorical(name, values)


def _digest(chosen: Mapping[str, Any]) -> str:
    """A short name of a combination, by which an interrupted trial finds its checkpoints again."""
    return sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:10]

"""Every system on the same splits, row by row; what is done is kept, so that an interrupted comparison goes on.

features/     measures of all images, by kind
rows/         of each system: its answers on the test part, and what it cost
models/       of each trained network and ensemble: a model folder
unfinished/   checkpoints of a training that was interrupted
split.json    the split
comparison.*  the table (CSV, Markdown, HTML) and its plot

In cross-validation, all but the measures and the table lie in a folder for each fold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from leuko.data.splitting.split import folds as folds_of
from leuko.data.splitting.split import verify
from leuko.evaluation import tables
from leuko.experiments import methods, single_run
from leuko.experiments.comparison_runner import ComparisonRunner, Effort, Row
from leuko.networks.backbones import WeightsError
from leuko.reports import comparison
from leuko.training.settings import Settings

COSTS = ("train_seconds", "megabytes", "latency_ms")


def compare(
    base: Settings,
    names: Sequence[str],
    weights: Sequence[str],
    scratch: Effort,
    folds: int = 1,
    on_message: Callable[[str], None] = print,
) -> Path:
    """Run systems and write the table of all that have been run on this split.

    Args:
        base: what networks share; `output` is the folder of the comparison.
        names: see `systems.choose`.
        weights: `auto` (timm's from the Hub), `none`, and safetensors files named after their network; a network
            for which none of these has weights starts from random ones.
        scratch: how long those are trained.
        folds: 1 for the 80:10:10 split of train.py; more for cross-validation, in which every group is tested once,
            another fold is the validation part, and the rest the training part.
        on_message: receives the lines meant for the user.

    Returns:
        The table in Markdown.

    Raises:
        DataError: the data cannot be used, or the folder holds a comparison on another split.
        ValueError: there is no such system, or there are two folds.
    """
    chosen = methods.choose(names)
    if folds == 2:
        raise ValueError("--folds takes 1, or 3 and more: of two folds one tests, the other chooses, and none is left.")
    for file in (Path(given) for given in weights if given not in ("auto", "none")):
        if file.suffix != ".safetensors" or not file.is_file():
            raise WeightsError(f"--weights takes auto, none or .safetensors files; {file} is none of them.")
        if file.stem not in methods.BACKBONES:
            raise WeightsError(f"{file} is named after no network of a comparison: {', '.join(methods.BACKBONES)}.")
    single_run.make_room(base, "comparison", _is_comparison)
    single_run.quiet()
    split = base.output / "split.json"
    data = single_run.load_training_data(replace(base, split=split if split.exists() else base.split), on_message)
    if not split.exists():
        data.split.save(split, data.rows.files)
    had: dict[str, str] = {}
    runs = [
        ComparisonRunner(replace(base, output=home), one, base.output / "features", tuple(weights), scratch, had)
        for home, one in _training_folds(data, base, folds)
    ]
    failed = {}
    for system in chosen:
        for number, run in enumerate(runs, start=1):
            start = time.perf_counter()
            row, kept = run.row(system)
            said = row.notes["note"] if row.probabilities is None else f"accuracy {tables.in_full(run.accuracy(row))}"
            took = "kept" if kept else f"{time.perf_counter() - start:.0f} s"
            on_message(f"{system.title}{f', fold {number}' if folds > 1 else ''}: {said} ({took}).")
            if row.probabilities is None:
                failed[system.title] = row.notes["note"]
                break
        _report(runs, failed, base)
    return base.output / comparison.PAGE


def _is_comparison(folder: Path) -> bool:
    """Whether a folder was made by an earlier comparison; a search of settings has a split too."""
    return (folder / "split.json").exists() and not (folder / "study.db").exists()


def _training_folds(
    data: single_run.TrainingData, base: Settings, count: int
) -> Iterable[tuple[Path, single_run.TrainingData]]:
    """The task, or as many as there are folds, each with the folder for its results."""
    if count == 1:
        yield base.output, data
        return
    names = [data.labels[label] for label in data.truth]
    each = list(folds_of(names, data.split.groups, count=count, seed=base.seed))
    for number, (own, following) in enumerate(zip(each, each[1:] + each[:1], strict=True), start=1):
        # Each fold keeps its guard gap from what it tests; what is in both training parts keeps it from both tests.
        train = np.intersect1d(own.train, following.train)
        validation = np.intersect1d(own.train, following.test)
        rest = np.setdiff1d(np.arange(len(data.rows)), np.concatenate([train, validation, own.test]))
        how = (
            f"Fold {number} of {count} by group, seed {base.seed}: {own.groups.how}; {len(rest)} files left out in all"
        )
        split = replace(own, train=train, validation=validation, left_out=rest, how=how)
        verify(split)
        home = base.output / f"fold-{number}"
        home.mkdir(exist_ok=True)
        split.save(home / "split.json", data.rows.files)
        yield home, replace(data, split=split, learning=train)


def _report(runs: Sequence[ComparisonRunner], failed: Mapping[str, str], base: Settings) -> None:
    """Write the table of all systems that have a row in every fold, whatever settings they were run with."""
    found = [run.rows() for run in runs]
    rows = []
    for name, first in found[0].items():
        if all(name in others for others in found):
            same = [others[name] for others in found]
            notes = first.notes | {key: float(np.mean([row.notes[key] for row in same])) for key in COSTS}
            rows.append(Row(first.system, np.concatenate([row.probabilities for row in same]), notes))
    comparison.write(rows, failed, [run.data for run in runs], base)

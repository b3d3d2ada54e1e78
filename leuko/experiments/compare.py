"""`leuko compare`: several methods on the same splits; results are stored, so that an interrupted comparison continues.

features/     image features, by kind
rows/         for each method: its probabilities on the test part, and its costs
models/       for each trained network and ensemble: a model folder
unfinished/   checkpoints of an interrupted training
split.json    the split
comparison.*  the table (CSV, Markdown, HTML) and its plot

In cross-validation, everything but the features and the table is in one folder for each fold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from leuko.data.splitting.split import folds as folds_of
from leuko.data.splitting.split import verify
from leuko.evaluation.interval_text import figure_text
from leuko.experiments import methods, single_run
from leuko.experiments.comparison_runner import ComparisonRunner, MethodError
from leuko.experiments.method_strategies import Effort, SplitContext
from leuko.networks.backbones import WeightsError
from leuko.reports import comparison
from leuko.reports.comparison import ComparedData, MethodResult
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings


def compare(
    base: Settings,
    names: Sequence[str],
    weights: Sequence[str],
    scratch: Effort,
    folds: int = 1,
    on_message: Callable[[str], None] = print,
) -> Path:
    """Run methods and write the table of all methods that were run on this split.

    Args:
        base: settings that the networks share; `output` is the folder of the comparison.
        names: see `leuko.experiments.methods.choose`.
        weights: `auto` (timm's from the Hub), `none`, and safetensors files named after their network; a network for
            which none of these has weights starts from random weights.
        scratch: training of those networks.
        folds: 1 for the 80:10:10 split of train.py; 3 or more for cross-validation, in which every group is tested
            once, another fold is the validation part, and the rest the training part.
        on_message: receives the lines meant for the user.

    Returns:
        The path of the table in Markdown.

    Raises:
        DataError: the data cannot be used, or the folder holds a comparison on another split.
        ValueError: there is no such method, or `folds` is 2.
        leuko.networks.backbones.WeightsError: a weights file cannot be used.
    """
    chosen = methods.choose(names)
    if folds == 2:
        raise ValueError("--folds takes 1, or 3 and more: with two folds, no fold is left for training.")
    _check_weights(weights)
    single_run.prepare_output(base, "comparison", _is_comparison)
    single_run.silence_libraries()
    split = base.output / "split.json"
    data = single_run.load_training_data(replace(base, split=split if split.exists() else base.split), on_message)
    if not split.exists():
        data.split.save(split, data.rows.files)
    available: dict[str, str] = {}
    features = base.output / "features"
    runners = [
        ComparisonRunner(SplitContext(replace(base, output=folder), part, features, tuple(weights), scratch, available))
        for folder, part in _splits(data, base, folds)
    ]
    failed: dict[str, str] = {}
    for method in chosen:
        _run_method(method, runners, failed, on_message)
        _write_table(runners, failed, base)
    return base.output / comparison.PAGE


def _check_weights(weights: Sequence[str]) -> None:
    for file in (Path(given) for given in weights if given not in ("auto", "none")):
        if file.suffix != ".safetensors" or not file.is_file():
            raise WeightsError(f"--weights takes auto, none or .safetensors files; {file} is none of them.")
        if file.stem not in methods.BACKBONES:
            raise WeightsError(
                f"{file} is not named after a network of a comparison; these are {', '.join(methods.BACKBONES)}."
            )


def _run_method(
    method: methods.Method,
    runners: Sequence[ComparisonRunner],
    failed: dict[str, str],
    on_message: Callable[[str], None],
) -> None:
    """Run a method on every split, unless there is a result; a failure ends it and is noted in `failed`."""
    for number, runner in enumerate(runners, start=1):
        title = f"{method.title}{f', fold {number}' if len(runners) > 1 else ''}"
        start = time.perf_counter()
        try:
            stored = runner.stored(method)
            result = stored or runner.run(method)
        except MethodError as error:
            failed[method.title] = str(error)
            on_message(f"{title}: {error} ({time.perf_counter() - start:.0f} s).")
            return
        duration = "stored result" if stored else f"{time.perf_counter() - start:.0f} s"
        on_message(f"{title}: accuracy {figure_text(runner.accuracy(result))} ({duration}).")


def _is_comparison(folder: Path) -> bool:
    """Whether a folder holds an earlier comparison; a hyperparameter search has a split, too."""
    return (folder / "split.json").exists() and not (folder / "study.db").exists()


def _splits(data: TrainingData, base: Settings, count: int) -> Iterator[tuple[Path, TrainingData]]:
    """The data, once or for each of `count` folds, with the folder for the results."""
    if count == 1:
        yield base.output, data
        return
    folds = list(folds_of(data.rows.label_names, data.split.groups, count=count, seed=base.seed))
    for number, (tested, following) in enumerate(zip(folds, folds[1:] + folds[:1], strict=True), start=1):
        # A fold leaves a gap around its test part. Rows that two folds train on are outside the gaps of both.
        train = np.intersect1d(tested.train, following.train)
        validation = np.intersect1d(tested.train, following.test)
        rest = np.setdiff1d(np.arange(len(data.rows)), np.concatenate([train, validation, tested.test]))
        split = replace(
            tested,
            train=train,
            validation=validation,
            left_out=rest,
            how=f"Fold {number} of {count} by group, seed {base.seed}: {tested.groups.how}; {len(rest)} files left out",
        )
        verify(split)
        folder = base.output / f"fold-{number}"
        folder.mkdir(exist_ok=True)
        split.save(folder / "split.json", data.rows.files)
        yield folder, replace(data, split=split, learning=train)


def _write_table(runners: Sequence[ComparisonRunner], failed: Mapping[str, str], base: Settings) -> None:
    """Write the table of all methods that have a result on every split, whatever settings they were run with."""
    by_split = [runner.all_stored() for runner in runners]
    results = [_join([stored[name] for stored in by_split]) for name in by_split[0] if all(name in s for s in by_split)]
    splits = [runner.context.data for runner in runners]
    first = splits[0]
    data = ComparedData(
        name=base.title,
        labels=first.labels,
        positive=first.positive,
        truth=np.concatenate([data.truth[data.split.test] for data in splits]),
        groups=np.concatenate([data.split.group[data.split.test] for data in splits]),
        sizes=first.sizes,
        split=first.split.how,
        folds=len(splits),
    )
    comparison.write(results, failed, data, base.output)


def _join(results: Sequence[MethodResult]) -> MethodResult:
    """One result from those of several folds: probabilities one after the other, mean costs."""
    return replace(
        results[0],
        probabilities=np.concatenate([result.probabilities for result in results]),
        train_seconds=float(np.mean([result.train_seconds for result in results])),
        megabytes=float(np.mean([result.megabytes for result in results])),
        latency_ms=float(np.mean([result.latency_ms for result in results])),
    )

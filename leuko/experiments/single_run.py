"""One training run inside an experiment: what `tune`, `compare` and `ablate` share."""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import f1_score
from transformers import set_seed
from transformers.utils import logging as transformers_logging

from leuko.data import output_paths
from leuko.data.load import load
from leuko.data.splitting.groups import Groups
from leuko.data.splitting.split import Split
from leuko.evaluation.logits import predict
from leuko.networks import ensemble
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing
from leuko.training import train as training_run
from leuko.training.finalize import finalize
from leuko.training.prepare_data import TrainingData, prepare
from leuko.training.settings import Settings, TrainingError
from leuko.training.trainer import train_network

# Architectures of ours: timm and transformers know them only after `leuko.networks.backbones` is imported.
OWN_ARCHITECTURES = ("alexnet", "compact_cnn", ensemble.NAME)


@dataclass(frozen=True)
class TrainingOutcome:
    """A network after training, before calibration.

    Attributes:
        network: with the weights that training kept (`leuko.training.trainer`).
        preprocessing: from an image to its input.
        steps: number of training steps.
        seconds: of training and validation.
        validation: `loss` (mean cross-entropy), `accuracy` and macro `f1` on the validation part.
    """

    network: Network
    preprocessing: Preprocessing
    steps: int
    seconds: float
    validation: dict[str, float]


def prepare_output(settings: Settings, what: str, is_own: Callable[[Path], bool]) -> None:
    """Make the folder for the results, or accept one with earlier results, so that the command continues.

    Args:
        settings: `output` is the folder.
        what: kind of results, for messages.
        is_own: whether a folder that is not empty holds earlier results of the same command.

    Raises:
        DataError: it is a file, holds other files, cannot be written, or lies inside the images.
    """
    output_paths.check_free(settings.output, what, is_own)
    output_paths.check_apart(settings.output, settings.dataset)
    output_paths.make_folder(settings.output)


def load_training_data(settings: Settings, on_message: Callable[[str], None]) -> TrainingData:
    """Load, clean and split the data of a run.

    Raises:
        leuko.data.errors.DataError: the data cannot be trained on.
    """
    return prepare(
        load(settings.dataset, group_column=settings.group_column, on_message=on_message), settings, on_message
    )


def without_test(data: TrainingData) -> TrainingData:
    """The data without the test part, so that nothing can be chosen on it."""
    kept = np.flatnonzero(~np.isin(np.arange(len(data.rows)), data.split.test))
    new_row = np.full(len(data.rows), -1)
    new_row[kept] = np.arange(len(kept))
    split, groups = data.split, data.split.groups
    remaining = Groups(groups.group[kept], groups.spare[kept], (), groups.how)
    return replace(
        data,
        rows=data.rows.select(kept),
        colours=data.colours[kept],
        split=Split(
            train=new_row[split.train],
            validation=new_row[split.validation],
            test=split.test[:0],
            left_out=new_row[split.left_out],
            groups=remaining,
            how=f"{split.how}; without its test part",
            seed=split.seed,
        ),
        learning=new_row[data.learning],
    )


def train(data: TrainingData, settings: Settings) -> TrainingOutcome:
    """Train a network and measure it on the validation part; only checkpoints are written.

    Checkpoints are in `settings.checkpoints` until training ends; with `settings.resume` training continues from them.

    Raises:
        leuko.networks.backbones.WeightsError: the initial weights are not available.
        TrainingError: the loss diverged, or the network does not accept images of this size.
    """
    start = time.perf_counter()
    set_seed(settings.seed)
    network = training_run.create_network(settings, len(data.labels))
    preprocessing = training_run.choose_preprocessing(network, data, settings)
    with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints a line per epoch
        steps = train_network(network, data, preprocessing, settings, on_message=lambda line: None)
    network.eval()
    validation = _validation_figures(network, data, preprocessing)
    shutil.rmtree(settings.checkpoints, ignore_errors=True)
    return TrainingOutcome(network, preprocessing, steps, time.perf_counter() - start, validation)


def write(network: Network, preprocessing: Preprocessing, data: TrainingData, settings: Settings, steps: int) -> None:
    """Calibrate a trained network on validation, evaluate it on test, and write its model folder.

    Raises:
        TrainingError: the logits are not finite.
    """
    finalize(
        network,
        data,
        preprocessing,
        settings,
        steps,
        command=compare_command(settings) if settings.backbone == ensemble.NAME else None,
        own_architecture=settings.backbone if settings.backbone in OWN_ARCHITECTURES else None,
    )


def compare_command(settings: Settings) -> str:
    """The command for models that train.py cannot make."""
    return f"leuko compare {settings.title} --systems {settings.output.name} --output DIR"


def silence_libraries() -> None:
    """Keep the messages of the libraries off the screen."""
    transformers_logging.set_verbosity_error()


def _validation_figures(network: Network, data: TrainingData, preprocessing: Preprocessing) -> dict[str, float]:
    rows = data.split.validation
    truth = data.truth[rows]
    logits = predict(network, data.rows.select(rows), preprocessing)[0].astype(np.float64)
    if not np.isfinite(logits).all():
        raise TrainingError("Training diverged (the logits are not finite); use a lower --lr.")
    predicted = logits.argmax(axis=1)
    return {
        "loss": float(-log_softmax(logits, axis=1)[np.arange(len(truth)), truth].mean()),
        "accuracy": float((predicted == truth).mean()),
        "f1": float(f1_score(truth, predicted, average="macro")),
    }

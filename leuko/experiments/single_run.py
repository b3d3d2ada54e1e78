"""One network trained for a comparison: what `tune` and `compare` need of training, and where they meet it."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from datasets import disable_progress_bars
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

STRANGERS = """

## For timm and transformers

They do not know the architecture `{backbone}` by themselves: with Deep Leuko installed, first
`import leuko.networks.backbones`.
"""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network after training, before calibration.

    Attributes:
        network, how: with the weights that training kept (`leuko.training.trainer`), and what it sees.
        steps: done.
        seconds: of training, validation included.
        validation: `loss` (mean cross-entropy), `accuracy` and macro `f1` on the validation part.
    """

    network: Network
    how: Preprocessing
    steps: int
    seconds: float
    validation: dict[str, float]


def make_room(settings: Settings, what: str, is_own: Callable[[Path], bool]) -> None:
    """Make the folder for the results, or take one with earlier results, so that the command goes on.

    Args:
        settings: with the folder.
        what: is to be written there.
        is_own: whether a folder that is not empty holds earlier results of the same command.

    Raises:
        DataError: it is a file, holds other files, cannot be written, or lies among the images, which would then be one
            more next time.
    """
    output_paths.check_free(settings.output, what, is_own)
    output_paths.check_apart(settings.output, settings.dataset)
    output_paths.make(settings.output)


def load_training_data(settings: Settings, on_message: Callable[[str], None]) -> TrainingData:
    """The data of a run: loaded, cleaned, split by groups.

    Raises:
        leuko.data.errors.DataError: the data cannot be trained on.
    """
    return prepare(
        load(settings.dataset, group_column=settings.group_column, on_message=on_message), settings, on_message
    )


def without_test(data: TrainingData) -> TrainingData:
    """The task less its test part, so that nothing can be chosen on it."""
    kept = np.flatnonzero(~np.isin(np.arange(len(data.rows)), data.split.test))
    place = np.full(len(data.rows), -1)
    place[kept] = np.arange(len(kept))
    split, groups = data.split, data.split.groups
    parts = [place[rows] for rows in (split.train, split.validation, split.test[:0], split.left_out)]
    remaining = Groups(groups.group[kept], groups.spare[kept], (), groups.how)
    return replace(
        data,
        rows=data.rows.select(kept),
        colours=data.colours[kept],
        split=Split(*parts, remaining, f"{split.how}; without its test part", split.seed),
        learning=place[data.learning],
    )


def train(data: TrainingData, settings: Settings) -> TrainedNetwork:
    """Train a network on a task and look at its validation part; nothing is written but checkpoints.

    Checkpoints lie in `settings.checkpoints` until training ends, and with `settings.resume` it goes on from them.

    Raises:
        leuko.networks.backbones.WeightsError: the initial weights cannot be had.
        TrainingError: the loss diverged, or the network takes no images of that size.
    """
    start = time.perf_counter()
    set_seed(settings.seed)
    network = training_run.create_network(settings, len(data.labels))
    how = training_run.preprocessing(network, data, settings)
    with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints a line an epoch
        steps = train_network(network, data, how, settings, on_message=lambda line: None)
    network.eval()
    validation = _look(network, data, how)
    shutil.rmtree(settings.checkpoints, ignore_errors=True)
    return TrainedNetwork(network, how, steps, time.perf_counter() - start, validation)


def write(network: Network, how: Preprocessing, data: TrainingData, settings: Settings, steps: int) -> None:
    """Calibrate a trained network on validation, evaluate it on test, and write its model folder.

    Raises:
        TrainingError: the network's answers are not numbers.
    """
    finalize(network, data, how, settings, steps)
    strangers = STRANGERS.format(backbone=settings.backbone)
    if settings.backbone == ensemble.NAME:
        tell_origin(settings, strangers)
    elif settings.backbone in ("alexnet", "compact_cnn"):
        card = settings.output / "README.md"
        card.write_text(card.read_text(encoding="utf-8").rstrip() + strangers, encoding="utf-8")


def tell_origin(settings: Settings, strangers: str = "") -> None:
    """Put into a card the command that makes such a model, which is no command of train.py, and what strangers need."""
    card = settings.output / "README.md"
    command = f"python -m leuko compare {settings.title} --systems {settings.output.name} --output DIR"
    said = card.read_text(encoding="utf-8")
    said = re.sub(r"```\npython train\.py .*?\n```", lambda _: f"```\n{command}\n```", said, flags=re.DOTALL)
    card.write_text(said.rstrip() + (strangers or "\n"), encoding="utf-8")


def quiet() -> None:
    """Keep the libraries' own progress and tables off the screen; a comparison says one line a network."""
    transformers_logging.set_verbosity_error()
    disable_progress_bars()


def _look(network: Network, data: TrainingData, how: Preprocessing) -> dict[str, float]:
    rows = data.split.validation
    truth = data.truth[rows]
    logits = predict(network, data.rows.select(rows), how)[0].astype(np.float64)
    if not np.isfinite(logits).all():
        raise TrainingError("Training diverged (the network's answers are not numbers); use a lower --lr.")
    answer = logits.argmax(axis=1)
    return {
        "loss": float(-log_softmax(logits, axis=1)[np.arange(len(truth)), truth].mean()),
        "accuracy": float((answer == truth).mean()),
        "f1": float(f1_score(truth, answer, average="macro")),
    }

"""Training: from a data set to a model folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from leuko.data import output_paths
from leuko.data.load import load
from leuko.evaluation import model_warnings
from leuko.evaluation.interval_text import figure_text
from leuko.images.field_of_view import crop_to_field_of_view
from leuko.images.stain.normalisation import StainNormaliser
from leuko.images.stain.profile import StainProfile
from leuko.networks.backbones import create
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing
from leuko.reports import tables
from leuko.stats import small_sample_intervals
from leuko.training.distributed import processes
from leuko.training.finalize import finalize, last_layer, refit_last_layer
from leuko.training.prepare_data import TrainingData, prepare
from leuko.training.settings import Settings, TrainingError
from leuko.training.trainer import train_network

STAIN_IMAGES = 200  # training images from which the typical stain is estimated
INPUT_SCALES = {"imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "unit": ((0.0,) * 3, (1.0,) * 3)}
INPUT_SCALES |= {"symmetric": ((0.5,) * 3, (0.5,) * 3)}


def train(settings: Settings, on_message: Callable[[str], None] = print) -> dict[str, Any]:
    """Train, calibrate, evaluate and write a model folder.

    The folder is created only when it is complete. Until then, checkpoints are in `OUTPUT.checkpoints` next to it. With
    `accelerate launch`, all processes train, and only the main process evaluates, writes and sends messages.

    Args:
        settings: the run.
        on_message: receives the lines meant for the user.

    Returns:
        The figures on the test split, as in `evaluation/metrics.json`; empty in processes other than the main one.

    Raises:
        leuko.data.errors.DataError: the data cannot be used for training, or the output folder holds other files.
        leuko.networks.backbones.WeightsError: the backbone or its initial weights are not available.
        leuko.images.decode.ImageError: an image cannot be used.
        TrainingError: the loss diverged, the network does not accept the image size or the balancing, or the run cannot
            be resumed or distributed.
    """
    state = processes()
    if not state.is_main_process:
        on_message = _ignore
    if settings.batch_size % state.num_processes:
        raise TrainingError(
            f"{state.num_processes} processes cannot share --batch-size {settings.batch_size}; give a multiple."
        )
    for warning in settings.warnings:
        on_message(f"Warning: {warning}")
    output_paths.check_model(settings.output, settings.dataset)
    set_seed(settings.seed)
    with state.main_process_first():  # so that files are downloaded only once
        parts = load(settings.dataset, group_column=settings.group_column, on_message=on_message)
        classes = len(parts["train"].class_names)
        network = create_network(settings, classes)
    if settings.balance == "smote":
        last_layer(network, settings)  # fail before training if there is none
    data = prepare(parts, settings, on_message)
    _report_start(network, data, settings, on_message)
    preprocessing = choose_preprocessing(network, data, settings)
    steps = train_network(network, data, preprocessing, settings, on_message)
    state.wait_for_everyone()  # all processes have read the best checkpoint
    if not state.is_main_process:
        return {}
    if settings.balance == "smote":
        refit_last_layer(network, data, preprocessing, settings)
        on_message("Balance: the last layer was fitted again on features of the training images and SMOTE's.")
    report = finalize(network, data, preprocessing, settings, steps)

    shutil.rmtree(settings.checkpoints, ignore_errors=True)
    _report_end(report, data, settings, on_message)
    return report


def _report_start(network: Network, data: TrainingData, settings: Settings, on_message: Callable[[str], None]) -> None:
    groups = data.split.groups.group
    for warning in small_sample_intervals.small_sample_warnings(data.labels, data.truth, groups):
        on_message(f"Warning: {warning[0].lower()}{warning[1:]}")
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    trained, total = sum(size for size, is_trained in sizes if is_trained), sum(size for size, _ in sizes)
    on_message(f"{settings.backbone}: {trained:,} of {total:,} parameters are trained.")


def _report_end(
    report: dict[str, Any], data: TrainingData, settings: Settings, on_message: Callable[[str], None]
) -> None:
    on_message(tables.as_text(report, data.labels))
    baseline = {name: figure_text(figure) for name, figure in report["colour_baseline"]["intervals"].items()}
    on_message(f"Colour statistics alone: accuracy {baseline['accuracy']}, F1 (macro) {baseline['f1']}.")
    for warning in model_warnings.of_trained(report):
        on_message(f"Warning: {warning}")
    on_message(f"Written: {settings.output}")


def _ignore(line: str) -> None:
    """Ignore the messages of processes other than the main one."""


def create_network(settings: Settings, classes: int) -> Network:
    """Create the network of a run before training, with its frozen layers.

    Raises:
        leuko.networks.backbones.WeightsError: the backbone or its initial weights are not available.
        TrainingError: it does not accept images of this size.
    """
    network = create(settings.backbone, classes, weights=settings.weights, dropout=settings.dropout)
    side = settings.image_size
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, side, side))
    except (RuntimeError, AssertionError) as error:  # from timm and PyTorch
        raise TrainingError(
            f"{settings.backbone} does not accept images of {side} × {side} pixels; give another --image-size or "
            "--backbone."
        ) from error
    network.freeze(settings.finetune or "partial")
    return network


def choose_preprocessing(network: Network, data: TrainingData, settings: Settings) -> Preprocessing:
    """The preprocessing of a run. If `input_scale` is `auto`, mean and standard deviation are those of the backbone."""
    config: dict[str, Any] = dict(network.timm_model.pretrained_cfg)
    mean, std = INPUT_SCALES.get(settings.input_scale, (tuple(config["mean"]), tuple(config["std"])))
    stain = None
    if settings.normalise_stain != "none":
        sample = np.random.default_rng(settings.seed).permutation(data.split.train)[:STAIN_IMAGES]
        profiles = [StainProfile.from_image(crop_to_field_of_view(data.rows.open_image(int(row)))) for row in sample]
        keep_similar = settings.normalise_images == "foreign"
        stain = StainNormaliser.fit(settings.normalise_stain, profiles, keep_similar)
    return Preprocessing((settings.image_size,) * 2, "bicubic", mean, std, stain)

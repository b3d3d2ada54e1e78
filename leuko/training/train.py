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
from leuko.evaluation import model_warnings, tables
from leuko.images.field_of_view import crop_to_field_of_view
from leuko.images.stain_normalisation import StainNormaliser
from leuko.images.stain_profile import StainProfile
from leuko.networks.backbones import create
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing
from leuko.stats import small_sample_intervals
from leuko.training.distributed import processes
from leuko.training.finalize import finalize, last_layer, refit_last_layer
from leuko.training.prepare_data import TrainingData, prepare
from leuko.training.settings import Settings, TrainingError
from leuko.training.trainer import train_network

LOOKS = 200  # training images of which the typical look is taken
SCALES = {"imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "unit": ((0.0,) * 3, (1.0,) * 3)}
SCALES |= {"symmetric": ((0.5,) * 3, (0.5,) * 3)}


def train(settings: Settings, on_message: Callable[[str], None] = print) -> dict[str, Any]:
    """Train, calibrate, evaluate and write a model folder.

    The folder appears only when it is complete. Checkpoints lie beside it in `OUTPUT.checkpoints` until then. Under
    `accelerate launch` all processes train, and the main one alone speaks, measures and writes.

    Args:
        settings: the run.
        on_message: receives the lines meant for the user.

    Returns:
        The figures on the test split, as in `evaluation/metrics.json`; empty in processes other than the main one.

    Raises:
        leuko.data.errors.DataError: the data cannot be trained on, or the output is not free.
        leuko.networks.backbones.WeightsError: the backbone or its initial weights cannot be had.
        leuko.images.decode.ImageError: an image cannot be used.
        TrainingError: the loss diverged, the network takes no images of that size or cannot be balanced as asked, or
            the run cannot be resumed or shared.
    """
    state = processes()
    if not state.is_main_process:
        on_message = _silence
    if settings.batch_size % state.num_processes:
        raise TrainingError(
            f"{state.num_processes} processes cannot share --batch-size {settings.batch_size}; give a multiple."
        )
    for warning in settings.warnings:
        on_message(f"Warning: {warning}")
    output_paths.check_model(settings.output, settings.dataset)
    set_seed(settings.seed)
    with state.main_process_first():  # what is fetched is fetched once
        parts = load(settings.dataset, group_column=settings.group_column, on_message=on_message)
        classes = len(parts["train"].class_names)
        network = create_network(settings, classes)
    if settings.balance == "smote":
        last_layer(network, settings)  # whether there is one, before hours are spent
    data = prepare(parts, settings, on_message)
    for doubt in small_sample_intervals.small_sample_warnings(data.labels, data.truth, data.split.groups.group):
        on_message(f"Beware: {doubt[0].lower()}{doubt[1:]}")
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    on_message(
        f"{settings.backbone}: {learning:,} of {sum(p.numel() for p in network.parameters()):,} parameters learn."
    )
    how = preprocessing(network, data, settings)
    steps = train_network(network, data, how, settings, on_message)
    state.wait_for_everyone()  # the best checkpoint has been read by all
    if not state.is_main_process:
        return {}
    if settings.balance == "smote":
        refit_last_layer(network, data, how, settings)
        on_message("Balance: the last layer was fitted anew on the training images' features, SMOTE's among them.")
    report = finalize(network, data, how, settings, steps)

    shutil.rmtree(settings.checkpoints, ignore_errors=True)
    on_message(tables.as_text(report, data.labels))
    baseline = {name: tables.in_full(figure) for name, figure in report["colour_baseline"]["intervals"].items()}
    on_message(f"Colour statistics alone: accuracy {baseline['accuracy']}, F1 (macro) {baseline['f1']}.")
    for warning in model_warnings.of_trained(report):
        on_message(f"Warning: {warning}")
    on_message(f"Written: {settings.output}")
    return report


def _silence(line: str) -> None:
    """What processes other than the main one say."""


def create_network(settings: Settings, classes: int) -> Network:
    """The network of a run, before it has learnt anything; what is not to learn is frozen.

    Raises:
        leuko.networks.backbones.WeightsError: the backbone or its initial weights cannot be had.
        TrainingError: it takes no images of that size.
    """
    network = create(settings.backbone, classes, weights=settings.weights, dropout=settings.dropout)
    side = settings.image_size
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, side, side))
    except (RuntimeError, AssertionError) as error:  # as timm and PyTorch have it
        raise TrainingError(
            f"{settings.backbone} takes no images of {side} × {side} pixels; give another --image-size or --backbone."
        ) from error
    network.freeze(settings.finetune)
    return network


def preprocessing(network: Network, data: TrainingData, settings: Settings) -> Preprocessing:
    """How images become inputs: as the backbone's weights were trained, or as asked for."""
    cfg = network.timm_model.pretrained_cfg
    mean, std = SCALES.get(settings.input_scale, (tuple(cfg["mean"]), tuple(cfg["std"])))
    stain = None
    if settings.normalise_stain != "none":
        some = np.random.default_rng(settings.seed).permutation(data.split.train)[:LOOKS]
        profiles = [StainProfile.from_image(crop_to_field_of_view(data.rows.open_image(int(row)))) for row in some]
        keep_similar = settings.normalise_images == "foreign"
        stain = StainNormaliser.fit(settings.normalise_stain, profiles, keep_similar)
    return Preprocessing((settings.image_size,) * 2, "bicubic", mean, std, stain)

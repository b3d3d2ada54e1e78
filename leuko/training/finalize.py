"""The last steps of a training run: calibrate the network, evaluate it on test, and write the model folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from leuko.data.splitting import balance
from leuko.decision.apparent_cell_size import ScaleRange, measure_scales
from leuko.decision.calibration import OperatingPoint, fit_temperature
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.evaluation import metrics, model_warnings
from leuko.evaluation.logits import predict
from leuko.evaluation.predict_dataset import DatasetPredictions, predict_dataset
from leuko.evaluation.shortcut_audit import colour_baseline
from leuko.inference.classifier import Classifier
from leuko.inference.finding import leukaemia_probability
from leuko.networks import model_folder
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing
from leuko.reports.cards.model_card import write_card
from leuko.reports.evaluation import plots
from leuko.stats.calibration_metrics import unscaled_probabilities
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings, TrainingError

OOD_IMAGES = 500  # training images from which the in-distribution statistics are computed
SCALE_IMAGES = 60  # of these, images for measuring the size of the cells
REFIT_DECAY = 1e-3  # L2 penalty on the last layer's weights when it is fitted again


def finalize(
    network: Network,
    data: TrainingData,
    preprocessing: Preprocessing,
    settings: Settings,
    steps: int,
    *,
    command: str | None = None,
    own_architecture: str | None = None,
) -> dict[str, Any]:
    """Calibrate on validation, evaluate on test, and write the model folder.

    Args:
        network: the trained network.
        data: the data of the run.
        preprocessing: from an image to the network's input.
        settings: the run; `output` is the folder to write.
        steps: number of training steps.
        command, own_architecture: for the card, see `leuko.reports.cards.model_card.write_card`.

    Returns:
        The figures on the test split.

    Raises:
        TrainingError: the logits are not finite.
    """
    model = calibrate(network, data, preprocessing, settings, steps)
    predictions, report = evaluate_on_test(model, data)
    metadata = replace(model.metadata, warnings=(*settings.warnings, *model_warnings.of_trained(report)))
    with model_folder.new_folder(settings.output) as draft:
        model_folder.write_network(draft, network, data.labels, preprocessing, metadata)
        folder = draft / "evaluation"
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        truth = data.truth[data.split.test][predictions.rows]
        plots.write(predictions.probabilities, truth, data.labels, folder, report)
        data.split.save(folder / "split.json", data.rows.files)
        if data.cleaning:
            data.cleaning.save(folder / "cleaning.json")
        write_card(
            draft / "README.md",
            metadata,
            settings.backbone,
            data.labels,
            report,
            command=command,
            own_architecture=own_architecture,
        )
    return report


def calibrate(
    network: Network, data: TrainingData, preprocessing: Preprocessing, settings: Settings, steps: int
) -> model_folder.Model:
    """Round the weights to half precision, and fit temperature, operating point and in-distribution statistics.

    Raises:
        TrainingError: the logits are not finite.
    """
    network.round_to_half_precision()
    network.eval().requires_grad_(False)
    split, rows = data.split, data.rows
    logits, _ = predict(network, rows.select(split.validation), preprocessing)
    if not np.isfinite(logits).all():
        raise TrainingError("Training diverged (the logits are not finite); use a lower --lr.")
    truth = data.truth[split.validation]
    temperature = fit_temperature(logits, truth)
    network.fold_temperature(temperature)
    network.round_to_half_precision()

    logits, validation_features = predict(network, rows.select(split.validation), preprocessing)
    has_leukaemia = np.isin(truth, [data.labels.index(name) for name in data.positive])
    score = leukaemia_probability(softmax(logits, axis=1), data.labels, data.positive)
    sample = np.random.default_rng(settings.seed).permutation(split.train)[:OOD_IMAGES]
    _, training_features = predict(network, rows.select(sample), preprocessing)
    metadata = model_folder.ModelMetadata(
        name=f"Deep Leuko {settings.backbone} on {settings.title}",
        positive=data.positive,
        temperature=temperature,
        operating_point=OperatingPoint.fit(score, has_leukaemia),
        ood_detector=MahalanobisOOD.fit(training_features, validation_features, data.truth[sample]),
        training=settings.record()
        | {"steps": steps, "split": data.split.how, "images": data.sizes, "fingerprint": data.fingerprint},
        scale=scale_of((rows.open_image(int(row)) for row in sample[:SCALE_IMAGES]), preprocessing.size),
    )
    return model_folder.Model(network.cpu(), settings.backbone, data.labels, preprocessing, metadata, version="")


def evaluate_on_test(model: model_folder.Model, data: TrainingData) -> tuple[DatasetPredictions, dict[str, Any]]:
    """Classify the test images like the app; returns the predictions, and the figures with the colour baseline."""
    split = data.split
    predictions = predict_dataset(Classifier(model), data.rows.select(split.test))
    truth, groups = data.truth[split.test][predictions.rows], split.group[split.test][predictions.rows]
    report = metrics.evaluate(
        predictions.probabilities,
        truth,
        data.labels,
        data.positive,
        model.metadata.operating_point.threshold,
        groups=groups,
        unscaled=unscaled_probabilities(predictions.probabilities, model.metadata.temperature),
        decisions=predictions.decisions,
    ).as_json()
    report["colour_baseline"] = colour_baseline(
        data.colours[split.train],
        data.truth[split.train],
        predictions.colours,
        truth,
        groups,
        network=predictions.probabilities.argmax(axis=1),
    )
    return predictions, report


def scale_of(images: Iterable[np.ndarray], size: tuple[int, int]) -> ScaleRange | None:
    """Fit the range of cell sizes of training images (uint8, H × W × 3, RGB) in a network input of the given size."""
    return ScaleRange.fit(measure_scales(images, size))


def last_layer(network: Network, settings: Settings) -> nn.Linear:
    """The layer that `refit_last_layer` fits.

    Raises:
        TrainingError: the network has no such layer.
    """
    last = network.timm_model.get_classifier()
    if not isinstance(last, nn.Linear):
        raise TrainingError(
            f"--balance smote needs a network that ends in a linear layer; {settings.backbone} does not."
        )
    return last


def refit_last_layer(network: Network, data: TrainingData, preprocessing: Preprocessing, settings: Settings) -> None:
    """Fit the last layer, in place, on features of the training images balanced by SMOTE.

    SMOTE mixes rows, which is meaningful for features but not for images. Therefore only the classifier is trained
    again, on a trunk that was trained on the unchanged images: Kang et al., "Decoupling representation and
    classifier for long-tailed recognition", 2020, arXiv:1910.09217.
    """
    last = last_layer(network, settings)
    rows = data.split.train
    network.eval()
    features, labels = balance.synthesise(
        predict(network, data.rows.select(rows), preprocessing)[1], data.truth[rows], seed=settings.seed
    )
    inputs, truth = (torch.from_numpy(values).to(last.weight.device) for values in (features, labels))
    last.requires_grad_(True)
    optimiser = torch.optim.LBFGS(last.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = nn.functional.cross_entropy(last(inputs), truth) + REFIT_DECAY * last.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)

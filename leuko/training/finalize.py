"""The end of a run: a trained network is calibrated, measured, and becomes a model folder."""

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
from leuko.decision.calibration import OperatingPoint, fit_temperature
from leuko.decision.magnification import ScaleRange, measure_scales
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.evaluation import metrics, model_warnings
from leuko.evaluation.logits import predict
from leuko.evaluation.predict_dataset import DatasetPredictions, predict_dataset
from leuko.evaluation.shortcut_audit import colour_baseline
from leuko.inference.classifier import Classifier, leukaemia_probability
from leuko.networks import model_folder
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing
from leuko.reports.cards.model_card import write_card
from leuko.stats.calibration_metrics import unscaled_probabilities
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings, TrainingError

FAMILIAR_IMAGES = 500  # training images that say what is in distribution
SCALE_IMAGES = 60  # of them that say how large cells are
REFIT_DECAY = 1e-3  # of the last layer's squared weights, where it is fitted anew


def finalize(
    network: Network, data: TrainingData, how: Preprocessing, settings: Settings, steps: int
) -> dict[str, Any]:
    """Calibrate on validation, evaluate on test, and write the model folder; the figures on the test split.

    Raises:
        TrainingError: the network's answers are not numbers.
    """
    model = calibrate(network, data, how, settings, steps)
    predictions, report = evaluate_on_test(model, data)
    metadata = replace(model.metadata, warnings=(*settings.warnings, *model_warnings.of_trained(report)))
    split = data.split
    with model_folder.new_folder(settings.output) as draft:
        model_folder.write_network(draft, network, data.labels, how, metadata)
        (draft / "evaluation").mkdir()
        (draft / "evaluation" / "metrics.json").write_text(json.dumps(report, indent=1) + "\n")
        metrics.plot(
            predictions.probabilities,
            data.truth[split.test][predictions.rows],
            data.labels,
            draft / "evaluation",
            report,
        )
        split.save(draft / "evaluation" / "split.json", data.rows.files)
        if data.cleaning:
            data.cleaning.save(draft / "evaluation" / "cleaning.json")
        write_card(draft / "README.md", metadata, settings.backbone, data.labels, report)
    return report


def calibrate(
    network: Network, data: TrainingData, how: Preprocessing, settings: Settings, steps: int
) -> model_folder.Model:
    """Round a trained network to what is stored, and fit on validation what turns its answers into findings.

    Raises:
        TrainingError: the network's answers are not numbers.
    """
    network.round_to_half_precision()
    network.eval().requires_grad_(False)
    split, rows = data.split, data.rows
    logits, _ = predict(network, rows.select(split.validation), how)
    if not np.isfinite(logits).all():
        raise TrainingError("Training diverged (the network's answers are not numbers); use a lower --lr.")
    truth = data.truth[split.validation]
    temperature = fit_temperature(logits, truth)
    network.fold_temperature(temperature)
    network.round_to_half_precision()

    logits, validation_features = predict(network, rows.select(split.validation), how)
    ill = np.isin(truth, [data.labels.index(name) for name in data.positive])
    point = OperatingPoint.fit(leukaemia_probability(softmax(logits, axis=1), data.labels, data.positive), ill)
    some = np.random.default_rng(settings.seed).permutation(split.train)[:FAMILIAR_IMAGES]
    _, training_features = predict(network, rows.select(some), how)
    metadata = model_folder.ModelMetadata(
        name=f"Deep Leuko {settings.backbone} on {settings.title}",
        positive=data.positive,
        temperature=temperature,
        operating_point=point,
        ood_detector=MahalanobisOOD.fit(training_features, validation_features, data.truth[some]),
        training=settings.record()
        | {"steps": steps, "split": data.split.how, "images": data.sizes, "fingerprint": data.fingerprint},
        scale=scale_of((rows.open_image(int(row)) for row in some[:SCALE_IMAGES]), how.size),
    )
    return model_folder.Model(network.cpu(), settings.backbone, data.labels, how, metadata, version="")


def evaluate_on_test(model: model_folder.Model, data: TrainingData) -> tuple[DatasetPredictions, dict[str, Any]]:
    """What a model says of the test split, image by image as the app does it, and the figures."""
    split, metadata = data.split, model.metadata
    predictions = predict_dataset(Classifier(model), data.rows.select(split.test))
    truth, groups = data.truth[split.test][predictions.rows], split.group[split.test][predictions.rows]
    report = metrics.evaluate(
        predictions.probabilities,
        truth,
        data.labels,
        data.positive,
        metadata.operating_point.threshold,
        groups=groups,
        earlier=unscaled_probabilities(predictions.probabilities, metadata.temperature),
        verdicts=predictions.verdicts,
    )
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
    """How large the cells of training images (uint8, H × W × 3, RGB) are to a network with this input size."""
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


def refit_last_layer(network: Network, data: TrainingData, how: Preprocessing, settings: Settings) -> None:
    """Fit the last layer, in place, on features of the training images balanced by SMOTE.

    SMOTE mixes rows, which has a meaning between features and none between images; hence the classifier alone is
    trained again, on a trunk that has learnt from the images as they are: Kang et al., "Decoupling representation and
    classifier for long-tailed recognition", 2020, arXiv:1910.09217.
    """
    last = last_layer(network, settings)
    rows = data.split.train
    network.eval()
    features, labels = balance.synthesise(
        predict(network, data.rows.select(rows), how)[1], data.truth[rows], seed=settings.seed
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

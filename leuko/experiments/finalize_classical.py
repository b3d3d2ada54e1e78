"""The last steps for a classical classifier: calibrate, evaluate, write the model folder."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from leuko.decision.calibration import OperatingPoint, fit_temperature
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.evaluation import metrics, model_warnings
from leuko.evaluation.shortcut_audit import colour_baseline
from leuko.experiments import single_run
from leuko.experiments.baselines import Fitted
from leuko.experiments.methods import FeatureClassifier
from leuko.inference.finding import leukaemia_probability
from leuko.networks import classical_onnx, model_folder
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing
from leuko.reports.cards.model_card import write_card
from leuko.reports.evaluation import plots
from leuko.stats.calibration_metrics import unscaled_probabilities
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings


def finalize(
    fitted: Fitted,
    features: np.ndarray,
    method: FeatureClassifier,
    data: TrainingData,
    settings: Settings,
    trunk: tuple[Network, Preprocessing] | None,
) -> None:
    """Calibrate on validation, evaluate on test, and write the model folder.

    The figures are those of the classifier alone; unlike the app, they do not use the cell-based score.

    Args:
        fitted: the classifier.
        features: float32, N × D, of all rows of the data.
        method: the method of the comparison.
        data: the data.
        settings: `output` is the folder to write.
        trunk: network and preprocessing of deep features; None for others.
    """
    split, labels, truth = data.split, data.labels, data.truth
    validation_logits = fitted.logits(features[split.validation])
    temperature = fit_temperature(validation_logits, truth[split.validation])
    has_leukaemia = np.isin(truth[split.validation], [labels.index(name) for name in data.positive])
    scores = leukaemia_probability(softmax(validation_logits / temperature, axis=1), labels, data.positive)
    prepared = {part: fitted.prepare.transform(features[getattr(split, part)]) for part in ("train", "validation")}
    run = {"dataset": settings.title, "classifier": method.name, "seed": settings.seed, "steps": len(split.train)}
    metadata = model_folder.ModelMetadata(
        name=f"Deep Leuko {method.title} on {settings.title}",
        positive=data.positive,
        temperature=temperature,
        operating_point=OperatingPoint.fit(scores, has_leukaemia),
        ood_detector=MahalanobisOOD.fit(prepared["train"], prepared["validation"], truth[split.train]),
        training=run | {"split": split.how, "images": data.sizes, "fingerprint": data.fingerprint},
    )
    probabilities = softmax(fitted.logits(features[split.test]) / temperature, axis=1)
    report = metrics.evaluate(
        probabilities,
        truth[split.test],
        labels,
        data.positive,
        metadata.operating_point.threshold,
        groups=split.group[split.test],
        unscaled=unscaled_probabilities(probabilities, temperature),
    ).as_json()
    report["colour_baseline"] = colour_baseline(
        data.colours[split.train],
        truth[split.train],
        data.colours[split.test],
        truth[split.test],
        split.group[split.test],
        network=probabilities.argmax(axis=1),
    )
    metadata = replace(metadata, warnings=model_warnings.of_trained(report))
    model = classical_onnx.as_onnx(fitted.prepare, fitted.classifier, len(labels), temperature)
    with model_folder.new_folder(settings.output) as draft:
        model_folder.write_classical(draft, model, method.name, method.features, labels, metadata, trunk)
        (draft / "evaluation").mkdir()
        (draft / "evaluation" / "metrics.json").write_text(json.dumps(report, indent=1) + "\n")
        plots.write(probabilities, truth[split.test], labels, draft / "evaluation", report)
        split.save(draft / "evaluation" / "split.json", data.rows.files)
        if data.cleaning:
            data.cleaning.save(draft / "evaluation" / "cleaning.json")
        write_card(
            draft / "README.md", metadata, method.title, labels, report, command=single_run.compare_command(settings)
        )

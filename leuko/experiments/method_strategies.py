"""How each kind of method in a comparison is trained and measured on one split: one function per kind."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from tqdm import tqdm

from leuko.evaluation.logits import predict_with_model
from leuko.experiments import baselines, finalize_classical, methods, single_run
from leuko.networks import classical_features, ensemble, model_folder
from leuko.networks.backbones import WeightsError, create
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.networks.runtime import runtime_of
from leuko.reports.comparison import MethodResult, Part, scratch_note
from leuko.training import train
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings

TIMED_IMAGES = 20  # test images that are classified one by one to measure the latency
PRETRAINED = "from ImageNet weights"


@dataclass(frozen=True)
class Effort:
    """Training of networks from random weights, which cannot converge on a small data set anyway.

    Attributes:
        epochs: of training.
        image_size: side of the network's input, in pixels.
    """

    epochs: int
    image_size: int


@dataclass(frozen=True)
class SplitContext:
    """What all methods on one split share.

    Attributes:
        base: settings; `output` is the folder of the split.
        data: the data with the split.
        features: folder for image features, shared by all splits.
        weights: `auto`, `none` and safetensors files, as on the command line.
        scratch: training of networks without pretrained weights.
        available: by backbone, `auto` if the Hub has its weights, else `none`; shared by all splits, filled on demand.
    """

    base: Settings
    data: TrainingData
    features: Path
    weights: tuple[str, ...]
    scratch: Effort
    available: dict[str, str] = field(default_factory=dict)

    def model_folder(self, name: str) -> Path:
        """The model folder of a method."""
        return self.base.output / "models" / name

    def best_weights(self, backbone: str) -> str:
        """The best available weights of a backbone: a file, `auto` or `none`."""
        if file := next((given for given in self.weights if Path(given).stem == backbone), None):
            return file
        if "auto" not in self.weights:
            return "none"
        if backbone not in self.available:
            try:
                create(backbone, 2)
                self.available[backbone] = "auto"
            except WeightsError:  # after half a minute without an answer
                self.available[backbone] = "none"
        return self.available[backbone]

    def weights_digests(self) -> list[str]:
        """The weights as given, with files replaced by their digests."""
        files = [hashlib.sha256(Path(w).read_bytes()).hexdigest()[:16] for w in self.weights if Path(w).is_file()]
        return sorted(files + [given for given in self.weights if given in ("auto", "none")])

    def latency(self, classify: Callable[[np.ndarray], object]) -> float:
        """Median milliseconds from a decoded image to its prediction, one image at a time."""
        images = [self.data.rows.open_image(int(row)) for row in self.data.split.test[:TIMED_IMAGES]]
        classify(images[0])  # warm-up
        times = []
        for image in images:
            start = time.perf_counter()
            classify(image)
            times.append(1000 * (time.perf_counter() - start))
        return float(np.median(times))


def run_feature_classifier(method: methods.FeatureClassifier, context: SplitContext) -> MethodResult:
    """Compute the features of all images, fit the classifier, and measure its model folder."""
    data, split, base = context.data, context.data.split, context.base
    describe, trunk, note = _feature_function(method.features, context)
    images = hashlib.sha256("\n".join(data.rows.files).encode()).hexdigest()[:16]
    key = f"{images} {method.features} {note} {('stored', context.weights_digests()) if trunk else ''}"
    cache = context.features / f"{method.features.replace(' ', '-')}.npz"
    features = baselines.compute_features(data.rows, describe, cache, key, _progress)
    start = time.perf_counter()
    fitted = baselines.fit(method.classifier, features.matrix, data.truth, split, smote=method.smote, seed=base.seed)
    seconds = time.perf_counter() - start + features.seconds * (len(split.train) + len(split.validation))
    settings = replace(base, output=context.model_folder(method.name))
    finalize_classical.finalize(fitted, features.matrix, method, data, settings, trunk)

    model = model_folder.load(settings.output)
    runtime = runtime_of(model)
    outputs = runtime.run(features.matrix[split.test])
    return MethodResult(
        name=method.name,
        title=method.title,
        probabilities=_probabilities(np.stack([output.logits for output in outputs])),
        part="measured",
        note=note,
        train_seconds=seconds,
        megabytes=sum(file.stat().st_size for file in (settings.output / "onnx").iterdir()) / 1e6,
        latency_ms=context.latency(lambda image: runtime.run(model.prepare(image)[None])[0].logits),
    )


def run_network(method: methods.TrainedNetwork, context: SplitContext, checkpoints: Path) -> MethodResult:
    """Train a network and measure its model folder.

    Args:
        method: the network.
        context: the split.
        checkpoints: folder for the checkpoints of an interrupted training.
    """
    weights = context.best_weights(method.backbone) if method.pretrained else "none"
    settings = replace(context.base, backbone=method.backbone, weights=weights, resume=True)
    if weights == "none":
        scratch = context.scratch
        settings = replace(
            settings,
            finetune="full",
            lr=method.scratch_lr,
            epochs=scratch.epochs,
            image_size=scratch.image_size,
        )
    trained = single_run.train(context.data, replace(settings, output=checkpoints))
    output = context.model_folder(method.name)
    single_run.write(
        trained.network, trained.preprocessing, context.data, replace(settings, output=output), trained.steps
    )
    effort = f"{settings.epochs} epochs at {settings.image_size} px"
    if weights == "none":
        return _measure(method, context, "scratch", scratch_note(effort), trained.seconds)
    return _measure(method, context, "measured", f"{PRETRAINED}, {effort}", trained.seconds)


def run_ensemble(
    method: methods.ProbabilityAverage, members: Sequence[MethodResult], context: SplitContext
) -> MethodResult:
    """Combine trained networks into one network that averages their probabilities, and measure its model folder."""
    models = [model_folder.load(context.model_folder(member.name)) for member in members]
    network, preprocessing = ensemble.combine(models)
    settings = replace(
        context.base,
        output=context.model_folder(method.name),
        backbone=ensemble.NAME,
        weights="none",
        finetune="full",
        image_size=preprocessing.size[0],
    )
    steps = sum(model.metadata.training["steps"] for model in models)
    single_run.write(network, preprocessing, context.data, settings, steps)
    converged = all(member.part == "measured" for member in members)
    note = f"of {', '.join(method.members)}" + ("" if converged else ", some from scratch, not converged")
    seconds = sum(member.train_seconds for member in members)
    return _measure(method, context, "measured" if converged else "scratch", note, seconds)


def _feature_function(
    features: classical_features.FeatureSet, context: SplitContext
) -> tuple[classical_features.DescribeImage, tuple[Network, Preprocessing] | None, str]:
    """The function from an image to its features, the network it needs, if any, and a note."""
    if features != "deep":
        return classical_features.FEATURES[features], None, ""
    weights = context.best_weights(methods.FROZEN)
    if weights == "none":
        raise WeightsError(
            f"the ImageNet weights of {methods.FROZEN} are not available; give them as {methods.FROZEN}.safetensors"
        )
    network = create(methods.FROZEN, 2, weights=weights).eval()
    network.round_to_half_precision()
    preprocessing = replace(train.choose_preprocessing(network, context.data, context.base), stain=None)
    note = f"{PRETRAINED}, {context.base.image_size} px"
    return baselines.trunk_features(network, preprocessing), (network, preprocessing), note


def _measure(
    method: methods.TrainedNetwork | methods.ProbabilityAverage,
    context: SplitContext,
    part: Part,
    note: str,
    seconds: float,
) -> MethodResult:
    """Test a network as it is loaded from its model folder."""
    model = model_folder.load(context.model_folder(method.name))
    network, preprocessing = model.network, model.preprocessing
    assert preprocessing is not None  # every network has one
    logits, _ = predict_with_model(model, context.data.rows.select(context.data.split.test))
    return MethodResult(
        name=method.name,
        title=method.title,
        probabilities=_probabilities(logits),
        part=part,
        note=note,
        train_seconds=seconds,
        megabytes=sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()) / 1e6,
        latency_ms=context.latency(lambda image: _logits(network, preprocessing, image)),
    )


def _logits(network: Network, preprocessing: Preprocessing, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(to_input(image, preprocessing))[None]).numpy()


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return softmax(logits.astype(np.float64), axis=1)


def _progress(items: Iterable, description: str, total: int) -> Iterable:
    return tqdm(items, desc=description, total=total, smoothing=0.05, disable=None if total else True)

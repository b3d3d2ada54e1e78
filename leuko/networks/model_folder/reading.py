"""Loading a model folder: it is complete and unchanged, or it is refused with a sentence that says what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from leuko.images.stain.normalisation import StainNormaliser
from leuko.networks.classical_features import FEATURES
from leuko.networks.metadata import ModelMetadata
from leuko.networks.model import Model, ModelFolderError
from leuko.networks.model_folder.files import CLASSICAL, CONFIG, LEUKO, ONNX, TRUNK, WEIGHTS, digest
from leuko.networks.model_folder.locating import locate
from leuko.networks.preprocessing import CropError, Preprocessing, to_input
from leuko.networks.runtime import OnnxRuntime

# How arguments begin with which timm loads weights that no digest covers.
_SOURCE_ARGUMENTS = ("pretrained", "checkpoint", "cache_dir")
# What reading damaged JSON may raise.
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def load(model: str | os.PathLike[str] | None = None) -> Model:
    """Load a model folder or Hub id; without one, the embedded default.

    Raises:
        ModelFolderError: missing, half-written, changed, pickled, untrained, or weights would come from elsewhere.
    """
    folder = locate(model)
    kind = _kind(folder)
    if kind == CLASSICAL:
        return _load_classical(folder)
    if kind is not None:
        raise ModelFolderError(f"{folder} holds a model of an unknown kind ({kind}); update Deep Leuko.")
    return _load_network(folder)


def _kind(folder: Path) -> str | None:
    """The kind of model that `leuko.json` states; None: a network, or the file cannot be read."""
    try:
        return json.loads((folder / LEUKO).read_text()).get("kind")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _load_network(folder: Path) -> Model:
    _check_files(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        stored = json.loads((folder / LEUKO).read_text())
        backbone, labels = config["architecture"], tuple(config["label_names"])
        metadata = ModelMetadata.from_json(stored, labels)
        preprocessing = Preprocessing.from_timm(config["pretrained_cfg"])
        if stain := stored.get("stain"):
            preprocessing = replace(preprocessing, stain=StainNormaliser.from_json(stain))
        arguments = config.get("model_args", {})
        foreign = ":" in backbone or _names_sources(arguments)
        steps, trained_backbone = float(stored["training"]["steps"]), stored["training"].get("backbone")
        digests = stored["sha256"]
        weights_digest = digests[WEIGHTS]
        version = weights_digest[:12]
    except CropError as error:
        raise ModelFolderError(f"{folder} cannot be used: {error}.") from error
    except _DAMAGED as error:
        raise ModelFolderError(f"{folder} is damaged: {CONFIG} or {LEUKO} cannot be read; train again.") from error
    if foreign:
        raise ModelFolderError(
            f"{folder / CONFIG} would have weights loaded from elsewhere, which is never done; train again."
        )
    if not steps > 0:
        raise ModelFolderError(f"{folder} holds an untrained network; it is never served. Train it with train.py.")
    if digest(folder / WEIGHTS) != weights_digest:
        raise ModelFolderError(
            f"{folder / WEIGHTS} is incomplete or not the file that was trained; copy it again or train again."
        )
    if trained_backbone not in (None, backbone):
        raise ModelFolderError(f"The weights in {folder} do not fit {backbone}; train again.")
    onnx = folder / ONNX
    complete = onnx.is_file() and digest(onnx) == digests.get(ONNX)
    return Model(
        folder / WEIGHTS,
        backbone,
        labels,
        preprocessing,
        metadata,
        version,
        timm_arguments=arguments,
        onnx=onnx if complete else None,
    )


def _check_files(folder: Path) -> None:
    for name in (CONFIG, WEIGHTS, LEUKO):
        if not (folder / name).is_file():
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*")) or any(folder.glob("*.pkl"))
            reason = "pickled weights are never loaded" if pickled else "it is not a complete model folder"
            raise ModelFolderError(f"{folder} has no {name}: {reason}; write one with train.py.")


def _names_sources(arguments: Any) -> bool:
    """Whether arguments of timm, those of an ensemble's members among them, name files, the Hub or caches."""
    if isinstance(arguments, dict):
        return any(
            key.startswith(_SOURCE_ARGUMENTS) or (key == "architecture" and ":" in value) or _names_sources(value)
            for key, value in arguments.items()
        )
    return isinstance(arguments, list) and any(map(_names_sources, arguments))


def _load_classical(folder: Path) -> Model:
    try:
        stored: dict[str, Any] = json.loads((folder / LEUKO).read_text())
        labels = tuple(stored["labels"])
        metadata = ModelMetadata.from_json(stored, labels)
        features, digests, name = stored["measures"], dict(stored["sha256"]), str(stored["classifier"])
        preprocessing = Preprocessing.from_timm(stored["preprocessing"]) if features == "deep" else None
        needed = [ONNX, TRUNK] if features == "deep" else [ONNX]
        wrong = [file for file in needed if not (folder / file).is_file() or digest(folder / file) != digests[file]]
        version = digests[ONNX][:12]
    except (*_DAMAGED, CropError) as error:
        raise ModelFolderError(f"{folder} is damaged: {LEUKO} cannot be read; run the comparison again.") from error
    if wrong:
        raise ModelFolderError(
            f"{folder / wrong[0]} is missing, incomplete or not the file that was written; copy it again or run the "
            "comparison again."
        )
    if preprocessing:
        describe_image = _features_of_network(folder / TRUNK, preprocessing)
    elif features in FEATURES:
        describe_image = FEATURES[features]
    else:
        raise ModelFolderError(f"{folder} uses features that are not known ({features}); update Deep Leuko.")
    return Model(
        folder / LEUKO,
        name,
        labels,
        preprocessing,
        metadata,
        version,
        onnx=folder / ONNX,
        describe_image=lambda image: np.asarray(describe_image(image), np.float32),
    )


def _features_of_network(file: Path, preprocessing: Preprocessing) -> Callable[[np.ndarray], np.ndarray]:
    trunk = OnnxRuntime(file)
    return lambda image: trunk.features(to_input(image, preprocessing)[None])[0]

"""Making one network of several trained ones, which predicts the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import timm
import torch

from leuko.networks.ensemble_network import NAME, Ensemble, EnsembleError, largest
from leuko.networks.model import Model
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing

__all__ = ["NAME", "EnsembleError", "combine"]


def combine(models: Sequence[Model]) -> tuple[Network, Preprocessing]:
    """Make one network of trained ones.

    Args:
        models: two or more, of the same classes and stain normalisation.

    Returns:
        The ensemble in evaluation mode, and its preprocessing: that of the first model, at the largest input size.

    Raises:
        EnsembleError: too few, or they do not agree.
    """
    if len(models) < 2:
        raise EnsembleError("An ensemble needs two trained networks or more.")
    first = models[0]
    inputs = [model.network_preprocessing for model in models]
    members = []
    for model, preprocessing in zip(models, inputs, strict=True):
        if model.labels != first.labels:
            raise EnsembleError(f"{model.metadata.name} knows other classes than {first.metadata.name}.")
        if replace(preprocessing, mean=inputs[0].mean, std=inputs[0].std, size=inputs[0].size) != inputs[0]:
            raise EnsembleError(f"{model.metadata.name} sees its images otherwise than {first.metadata.name}.")
        with torch.no_grad():
            shape = model.network.trunk(torch.zeros(1, 3, *preprocessing.size)).shape[1:]
        members.append(
            {"architecture": model.backbone, "args": _arguments(model.network), "shape": list(shape)}
            | {"mean": list(preprocessing.mean), "std": list(preprocessing.std), "size": list(preprocessing.size)}
        )
    ensemble = cast(Ensemble, timm.create_model(NAME, num_classes=len(first.labels), members=members))
    for member, model in zip(ensemble.members, models, strict=True):
        member.load_state_dict(model.network.timm_model.state_dict())
    size = largest([preprocessing.size for preprocessing in inputs])
    return Network(ensemble).eval().requires_grad_(False), replace(inputs[0], size=size)


def _arguments(network: Network) -> dict[str, Any]:
    """The arguments with which timm made the network, beside those that an ensemble gives all members."""
    arguments = network.timm_model._model_args
    return {key: value for key, value in arguments.items() if key not in ("num_classes", "drop_rate")}

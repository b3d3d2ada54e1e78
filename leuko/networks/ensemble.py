"""Making one network of several trained ones, which predicts the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import timm
import torch

from leuko.networks.ensemble_network import NAME, EnsembleError, largest
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
    members = []
    for model in models:
        how = model.preprocessing
        if model.labels != first.labels:
            raise EnsembleError(f"{model.metadata.name} knows other classes than {first.metadata.name}.")
        same = first.preprocessing
        if replace(how, mean=same.mean, std=same.std, size=same.size) != same:
            raise EnsembleError(f"{model.metadata.name} sees its images otherwise than {first.metadata.name}.")
        network = model.network.timm_model
        with torch.no_grad():
            shape = model.network.trunk(torch.zeros(1, 3, *how.size)).shape[1:]
        arguments = {
            key: value for key, value in network._model_args.items() if key not in ("num_classes", "drop_rate")
        }
        members.append(
            {"architecture": model.backbone, "args": arguments, "shape": list(shape)}
            | {"mean": list(how.mean), "std": list(how.std), "size": list(how.size)}
        )
    ensemble = timm.create_model(NAME, num_classes=len(first.labels), members=members)
    for own, model in zip(ensemble.members, models, strict=True):
        own.load_state_dict(model.network.timm_model.state_dict())
    how = replace(first.preprocessing, size=largest([model.preprocessing.size for model in models]))
    return Network(ensemble).eval().requires_grad_(False), how

"""Logits and features of a network for the images of a data set."""

from __future__ import annotations

import numpy as np
import torch

from leuko.data.image_table import ImageTable
from leuko.networks.model_folder import Model
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input


def predict(
    network: Network, rows: ImageTable, preprocessing: Preprocessing, batch: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the logits and the pooled features of all images, without augmentation.

    Returns:
        Logits, float32, N × classes, and features, float32, N × features.

    Raises:
        leuko.images.decode.ImageError: an image cannot be used.
    """
    device = next(network.parameters()).device
    logits, features = [], []
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            images = [rows.open_image(row) for row in range(start, min(start + batch, len(rows)))]
            pixels = torch.from_numpy(np.stack([to_input(image, preprocessing) for image in images]))
            feature_map = network.trunk(pixels.to(device, memory_format=torch.channels_last))  # faster on a CPU
            logits.append(network.head(feature_map).cpu().numpy())
            features.append(network.pooled(feature_map).cpu().numpy())
    return np.concatenate(logits), np.concatenate(features)


def predict_with_model(model: Model, rows: ImageTable, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """`predict` with the network and the preprocessing of a model folder.

    Raises:
        ValueError: the model is a classical classifier, not a network.
        leuko.images.decode.ImageError: an image cannot be used.
    """
    if model.preprocessing is None:
        raise ValueError(f"{model.metadata.name} is not a network and has no logits.")
    return predict(model.network, rows, model.preprocessing, batch)

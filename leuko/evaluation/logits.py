"""A network over the rows of a data set."""

from __future__ import annotations

import numpy as np
import torch

from leuko.data.image_table import ImageTable
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input


def predict(network: Network, rows: ImageTable, how: Preprocessing, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N × classes) and pooled features (N × features) of a data set's rows, without augmentation.

    Raises:
        leuko.images.decode.ImageError: an image cannot be used.
    """
    device = next(network.parameters()).device
    logits, features = [], []
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            images = [rows.open_image(row) for row in range(start, min(start + batch, len(rows)))]
            pixels = torch.from_numpy(np.stack([to_input(image, how) for image in images]))
            feature_map = network.trunk(pixels.to(device, memory_format=torch.channels_last))  # faster on a CPU
            logits.append(network.head(feature_map).cpu().numpy())
            features.append(network.pooled(feature_map).cpu().numpy())
    return np.concatenate(logits), np.concatenate(features)

"""Model folders to measure: four architectures, the same weights for us and for the peers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.networks import backbones, model_folder
from leuko.networks.preprocessing import Preprocessing

NAMES = ("efficientnet_lite0", "resnet50", "densenet201", "vgg16")


def write(place: Path) -> None:
    """Write the folders that are not there yet; weights are random, but for those of the embedded default.

    Stain normalisation is left out, since the peers know none.
    """
    embedded = model_folder.load()
    for name in NAMES:
        if (place / name).is_dir():
            continue
        torch.manual_seed(0)
        own = name == embedded.backbone
        network = embedded.network if own else backbones.create(name, len(embedded.labels), weights="none").eval()
        network.round_to_half_precision()
        how = Preprocessing((224, 224), "bicubic", embedded.preprocessing.mean, embedded.preprocessing.std)
        metadata = embedded.metadata
        if not own:
            width = network.timm_model.head_hidden_size
            everything = MahalanobisOOD(np.zeros((1, width), "f"), np.eye(1, width, dtype="f"), np.ones(2, "f"), np.inf)
            metadata = replace(metadata, ood_detector=everything, training={"steps": 1})
        with model_folder.new_folder(place / name) as draft:
            model_folder.write_network(draft, network, embedded.labels, how, metadata)

"""Grad-CAM: which parts of an image raise the score of a class, by gradients through the head alone.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017,
arXiv:1610.02391. The class score depends on the image only through the last feature map A. So ∂score/∂A needs no
backward pass through the trunk, no hooks, and leaves no state behind. Where the head is a chain of dense layers and
ReLUs, often a single linear layer on the map's mean, the gradient has a closed form (`leuko.networks.dense_head`), and
exported networks compute the maps themselves (`leuko.networks.export`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from leuko.networks.model import ModelFolderError
from leuko.system import optional_packages

if TYPE_CHECKING:
    import torch

    from leuko.networks.ensemble_network import Ensemble
    from leuko.networks.model import Model
    from leuko.networks.network import Network

OVERLAY_SIDE = 1024  # pixels; a heat map of 7 × 7 shows no more detail on a larger picture


def by_gradients(model: Model, feature_map: np.ndarray | None, class_index: int) -> np.ndarray:
    """Grad-CAM of a model whose head has no closed form; few have such a head.

    Args:
        model: a network.
        feature_map: float32, of one image, without a batch dimension; every network has one.
        class_index: the class whose score is explained.

    Returns:
        As `grad_cam`.

    Raises:
        leuko.networks.model.ModelFolderError: PyTorch is not installed.
    """
    if feature_map is None:
        raise ValueError(f"{model.metadata.name} gives no feature map.")
    try:
        import torch
    except ImportError as error:
        purpose = f"The heat map of {model.metadata.name}"
        raise ModelFolderError(optional_packages.needs(purpose, "PyTorch")) from error
    return grad_cam(model.network, torch.from_numpy(feature_map)[None], class_index)


def grad_cam(network: Network, feature_map: torch.Tensor, class_index: int) -> np.ndarray:
    """Grad-CAM of one image at the resolution of the feature map.

    Equations 1 and 2 of the paper: α_k is the mean of ∂score/∂A_k over the map, and the result
    ReLU(Σ_k α_k A_k), scaled to a maximum of 1. The map of an ensemble is the mean of its members' maps, weighted by
    each member's probability of the class, at the resolution of the finest map.

    Args:
        network: in evaluation mode.
        feature_map: one image's output of `network.trunk`, with a batch dimension of 1.
        class_index: the class whose score is explained.

    Returns:
        float32, h × w, 0 to 1; all 0 where no position raises the score of the class.
    """
    import torch  # imported here: the maps of most models need no PyTorch

    from leuko.networks.ensemble_network import Ensemble

    if isinstance(network.timm_model, Ensemble):
        return _mean_cam(network.timm_model, feature_map, class_index)
    leaf = feature_map.detach().requires_grad_(True)
    with torch.enable_grad():
        score = network.head(leaf)[0, class_index]
        (gradient,) = torch.autograd.grad(score, leaf)
    activation, gradient = network.spatial(leaf.detach())[0], network.spatial(gradient)[0]
    return positive_part(torch.einsum("k,khw->hw", gradient.mean(dim=(1, 2)), activation).numpy())


def positive_part(cam: np.ndarray) -> np.ndarray:
    """A map, float32, h × w, with negative values set to 0, scaled to a maximum of 1; all 0 where none is positive."""
    cam = np.maximum(cam, 0)
    return (cam / max(cam.max(), 1e-7)).astype(np.float32)


def _mean_cam(ensemble: Ensemble, feature_map: torch.Tensor, class_index: int) -> np.ndarray:
    import torch

    from leuko.networks.network import Network

    members = [Network(member) for member in ensemble.networks()]
    maps = ensemble.split(feature_map.detach())
    pairs = list(zip(members, maps, strict=True))
    with torch.no_grad():
        shares = [float(member.head(part).softmax(dim=1)[0, class_index]) for member, part in pairs]
    cams = [grad_cam(member, part, class_index) for member, part in pairs]
    height, width = np.max([cam.shape for cam in cams], axis=0)
    weighted = [share * upsample(cam, int(height), int(width)) for share, cam in zip(shares, cams, strict=True)]
    mean = np.sum(weighted, axis=0)
    return (mean / max(mean.max(), 1e-7)).astype(np.float32)


def upsample(cam: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map scaled to height × width (bilinear), float32, 0 to 1."""
    return np.clip(cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)


def shrink(image: np.ndarray) -> np.ndarray:
    """The image at no more than `OVERLAY_SIDE` on its longer side, uint8, H × W × 3."""
    scale = OVERLAY_SIDE / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def overlay(image: np.ndarray, cam: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """The image with the heat map laid over it.

    The colours are those of `cividis`, from dark blue (nothing) to yellow (most), made to read the same with and
    without colour-vision deficiency (Nuñez, Anderton & Renslow 2018, doi:10.1371/journal.pone.0199239).

    Args:
        image: uint8, H × W × 3, RGB.
        cam: float32, any size, 0 to 1.
        opacity: of the heat map, 0 to 1.

    Returns:
        uint8, RGB; the image's size, or smaller in proportion if it is larger than `OVERLAY_SIDE`.
    """
    image = shrink(image)
    height, width = image.shape[:2]
    heat = upsample(cam, height, width)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_CIVIDIS)[..., ::-1]
    return cv2.addWeighted(colours, opacity, image, 1 - opacity, 0)

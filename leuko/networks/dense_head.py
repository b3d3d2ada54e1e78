"""Grad-CAM in closed form, for heads that are a chain of dense layers with ReLUs between them.

Let A be the feature map (K channels, at P positions), and let the head compute

    h_1 = W_1 · flatten(A) + b_1        or W_1 · mean(A) + b_1 after global average pooling
    h_i = W_i · relu(h_{i-1}) + b_i     for i = 2 … n; h_n are the logits.

Grad-CAM's weight of channel k for class c is the mean over the positions of ∂h_n[c] / ∂A_k (Selvaraju et al. 2017,
arXiv:1610.02391, equation 1). By the chain rule

    ∂h_n / ∂A = W_n · D_{n-1} · W_{n-1} · … · D_1 · W_1

where D_i is diagonal, with 1 where h_i > 0 and 0 elsewhere. So the weights of all classes are a product of the layers'
matrices, in which columns of later ones are set to 0 where a ReLU let nothing through. The mean over the positions can
be taken of W_1 beforehand: a dense layer on a map of 7 × 7 then costs a 49th of what a backward pass does. Where the
head is pooling and one linear layer, the weights are W_1 itself, for every image, and the maps are the class activation
maps of Zhou et al. 2016, arXiv:1512.04150.

A factor common to all channels (P, or 1 / P) is left out: heat maps are scaled to a maximum of 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from leuko.networks.network import Network


class DenseLayer(NamedTuple):
    """A layer of a head as it was run.

    Attributes:
        weight: outputs × inputs; of a convolution as large as its input, flattened.
        inputs: of the layer, as it was given to it, with a batch dimension.
    """

    weight: torch.Tensor
    inputs: torch.Tensor


def run_head(network: Network, feature_map: torch.Tensor) -> tuple[torch.Tensor, list[DenseLayer]]:
    """The logits of a feature map, and the head's layers with weights in the order in which they ran."""
    layers: list[DenseLayer] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            layers.append(DenseLayer(module.weight.flatten(1), inputs[0]))

    hooks = [
        module.register_forward_pre_hook(note)
        for module in network.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ]
    try:
        return network.head(feature_map), layers
    finally:
        for hook in hooks:
            hook.remove()


def channel_weights(layers: list[DenseLayer], channels: int) -> torch.Tensor:
    """Grad-CAM's weights of the channels, but for a common factor, of a head that `is_dense_chain`.

    Args:
        layers: from `run_head`.
        channels: of the feature map.

    Returns:
        classes × channels, or B × classes × channels where they depend on the image, which they do behind a ReLU.
    """
    first, *later = layers
    first_weight = first.weight
    if first_weight.shape[1] > channels:  # on the flattened map: the sum over the positions
        first_weight = first_weight.unflatten(1, (channels, -1)).sum(2)
    if not later:
        return first_weight
    weights = later[-1].weight
    before = [first_weight, *(layer.weight for layer in later[:-1])]
    for weight, layer in zip(reversed(before), reversed(later), strict=True):
        weights = (weights * (layer.inputs.flatten(1) > 0)[:, None]) @ weight
    return weights


def is_dense_chain(network: Network, feature_map: torch.Tensor) -> bool:
    """Whether the head is a chain of dense layers with ReLUs between them, on the map or on its mean.

    The formula is compared with PyTorch's gradient on random maps, with small and with large values.

    Args:
        network: in evaluation mode.
        feature_map: of any image, with a batch dimension of 1.
    """
    if not isinstance(network.timm_model.get_classifier(), nn.Linear):
        return False
    for strength in (1, 100):
        leaf = strength * torch.randn(feature_map.shape, generator=torch.Generator().manual_seed(0))
        channels = network.spatial(leaf.requires_grad_(True)).shape[1]
        with torch.enable_grad():
            logits, layers = run_head(network, leaf)
            if any(layer.inputs[0].numel() != layer.weight.shape[1] for layer in layers):
                return False
            if layers[0].weight.shape[1] % channels:
                return False
            gradients = [torch.autograd.grad(logit, leaf, retain_graph=True)[0] for logit in logits[0]]
        with torch.no_grad():
            ours = channel_weights(layers, channels).reshape(-1, channels)
        expected = torch.stack([network.spatial(gradient)[0].sum(dim=(1, 2)) for gradient in gradients])
        if not torch.allclose(ours, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
            return False
    return True

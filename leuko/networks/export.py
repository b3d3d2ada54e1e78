"""The network as ONNX: trunk and head in one forward pass, for serving without PyTorch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch import nn

from leuko.networks.network import Network


class _Served(nn.Module):
    """Everything that a finding and its heat map need of a network."""

    def __init__(self, network: Network, chain: bool) -> None:
        super().__init__()
        self.network, self.chain = network, chain

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feature_map = self.network.trunk(pixel_values)
        if not self.chain:
            return feature_map, self.network.pooled(feature_map), self.network.head(feature_map)
        logits, layers = _run_head(self.network, feature_map)
        activation = self.network.spatial(feature_map)
        weights = _channel_weights(layers, activation.shape[1])
        cams = torch.einsum("ck,bkhw->bchw" if weights.ndim == 2 else "bck,bkhw->bchw", weights, activation)
        return feature_map, layers[-1][1].flatten(1), logits, cams


# The layers of a head that have weights, in the order in which they run, and what each was given.
Layers = list[tuple[nn.Module, torch.Tensor]]


def _run_head(network: Network, feature_map: torch.Tensor) -> tuple[torch.Tensor, Layers]:
    layers: Layers = []
    hooks = [
        module.register_forward_pre_hook(lambda module, given: layers.append((module, given[0])))
        for module in network.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ]
    try:
        return network.head(feature_map), layers
    finally:
        for hook in hooks:
            hook.remove()


def _channel_weights(layers: Layers, channels: int) -> torch.Tensor:
    """The sum of ∂logit/∂A_k over the map A, by the chain rule, for a head that `is_chain`.

    That is as many times Grad-CAM's α_k as the map has positions. The matrices are multiplied from the logits back, for
    all classes at once; a ReLU lets through what it let through forwards. The first matrix is summed over the positions
    before, so that the dense layer on VGG's map of 7 × 7 costs a 49th of what a backward pass does.

    Returns:
        classes × channels, or B × classes × channels where the image matters, which it does behind a ReLU.
    """
    (first, _), *later = layers
    first_matrix = first.weight.flatten(1)
    if first_matrix.shape[1] > channels:
        first_matrix = first_matrix.unflatten(1, (channels, -1)).sum(2)
    if not later:
        return first_matrix
    weights = later[-1][0].weight.flatten(1)
    matrices = [first_matrix, *(layer.weight.flatten(1) for layer, _ in later[:-1])]
    for matrix, (_, given) in zip(reversed(matrices), reversed(later), strict=True):
        weights = (weights * (given.flatten(1) > 0)[:, None]) @ matrix
    return weights


def is_chain(network: Network, feature_map: torch.Tensor) -> bool:
    """Whether the head is a chain of dense layers with ReLUs between them, on the map or on its mean.

    A lone linear layer is the commonest; a convolution as large as the map is a dense layer too. Tried out on made-up
    maps, weak ones and strong ones, against the gradient by PyTorch.

    Args:
        network: in evaluation mode.
        feature_map: of any image.
    """
    if not isinstance(network.timm_model.get_classifier(), nn.Linear):
        return False
    for strength in (1, 100):
        leaf = strength * torch.randn(feature_map.shape, generator=torch.Generator().manual_seed(0))
        channels = network.spatial(leaf.requires_grad_(True)).shape[1]
        with torch.enable_grad():
            logits, layers = _run_head(network, leaf)
            if any(given[0].numel() != layer.weight[0].numel() for layer, given in layers[1:]):
                return False
            if layers[0][0].weight[0].numel() % channels or layers[0][1][0].numel() != layers[0][0].weight[0].numel():
                return False
            gradients = [torch.autograd.grad(logit, leaf, retain_graph=True)[0] for logit in logits[0]]
        with torch.no_grad():
            ours = _channel_weights(layers, channels).reshape(-1, channels)
        theirs = torch.stack([network.spatial(gradient)[0].sum(dim=(1, 2)) for gradient in gradients])
        if not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max())):
            return False
    return True


def export_onnx(network: Network, size: tuple[int, int], file: Path) -> None:
    """Write the network as ONNX with a free batch dimension.

    Input `pixel_values`, float32, B × 3 × H × W; outputs, float32: `feature_map`, `features` (B × F, of the last layer)
    and `logits`; and `cams` (B × classes × h × w) where the head `is_chain`: Grad-CAM's maps before they are cut off at
    0 and scaled. Where it is pooling and a linear layer, they are the class activation maps of Zhou et al. 2016,
    arXiv:1512.04150 (Selvaraju et al. 2017, arXiv:1610.02391, section 3.1). Matrices and kernels are stored in half
    precision and cast on loading, so the file is as small as the safetensors file and computes the same.

    Args:
        network: in evaluation mode, its weights already rounded to half precision.
        size: (H, W).
        file: where to write; its folder is made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(2, 3, *size)
    with torch.no_grad():
        chain = is_chain(network, network.trunk(example[:1]))
    quiet = logging.getLogger("torch.onnx")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Served(network, chain).eval(),
                (example,),
                input_names=["pixel_values"],
                output_names=["feature_map", "features", "logits", *(["cams"] if chain else [])],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                dynamo=True,
                optimize=False,  # it would fold batch norms into kernels, which then round differently
                verbose=False,
            )
    finally:
        quiet.setLevel(before)
    # ONNX Runtime fuses convolutions with what follows only where their biases are plain constants.
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    model = _halved(_without_zeros(program.model_proto))
    # The exporter notes stack traces and paths of the exporting machine.
    for item in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        del item.metadata_props[:]
        item.doc_string = ""
    onnx.save(model, file)


def _without_zeros(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convolutions without the biases of zeros that the exporter gives them."""
    graph = model.graph
    zeros = {tensor.name for tensor in graph.initializer if not numpy_helper.to_array(tensor).any()}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]
    used = {name for node in graph.node for name in node.input}
    left = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(left)
    return model


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model

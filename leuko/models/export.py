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

from leuko.models.backbones import Network


class _Served(nn.Module):
    """Everything that a finding and its heat map need of a network."""

    def __init__(self, network: Network, linear: bool) -> None:
        super().__init__()
        self.network, self.linear = network, linear

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feature_map = self.network.trunk(pixel_values)
        found = feature_map, self.network.pooled(feature_map), self.network.head(feature_map)
        if not self.linear:
            return found
        weight = self.network.timm_model.get_classifier().weight
        return *found, torch.einsum("ck,bkhw->bchw", weight, self.network.spatial(feature_map))


def has_linear_head(network: Network, feature_map: torch.Tensor) -> bool:
    """Whether the logits are a linear layer of the feature map's mean: then Grad-CAM is that layer of the map itself.

    Args:
        network: in evaluation mode.
        feature_map: of any image.
    """
    last = network.timm_model.get_classifier()
    if not isinstance(last, nn.Linear):
        return False
    other = torch.randn(feature_map.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean = network.spatial(other).mean(dim=(2, 3))
        return mean.shape[1] == last.in_features and torch.allclose(last(mean), network.head(other), atol=1e-4)


def export_onnx(network: Network, size: tuple[int, int], file: Path) -> None:
    """Write the network as ONNX with a free batch dimension.

    Input `pixel_values`, float32, B × 3 × H × W; outputs, float32: `feature_map`, `features` (B × F, of the last layer)
    and `logits`; and `cams` (B × classes × h × w) where the head is pooling and a linear layer: the class activation
    maps of Zhou et al. 2016, arXiv:1512.04150, which are Grad-CAM's before they are cut off at 0 and scaled (Selvaraju
    et al. 2017, arXiv:1610.02391, section 3.1). Matrices and kernels are stored in half precision and cast on loading,
    so the file is as small as the safetensors file and computes the same.

    Args:
        network: in evaluation mode, its weights already rounded to half precision.
        size: (H, W).
        file: where to write; its folder is made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(2, 3, *size)
    with torch.no_grad():
        linear = has_linear_head(network, network.trunk(example[:1]))
    quiet = logging.getLogger("torch.onnx")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Served(network, linear).eval(),
                (example,),
                input_names=["pixel_values"],
                output_names=["feature_map", "features", "logits", *(["cams"] if linear else [])],
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

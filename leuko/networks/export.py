"""The network as ONNX: trunk and head in one forward pass, for serving without PyTorch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch import nn

from leuko.networks.dense_head import channel_weights, is_dense_chain, run_head
from leuko.networks.linear_head import HALF
from leuko.networks.network import Network


class _ServedNetwork(nn.Module):
    """Computes everything that a finding and its heat map need of a network."""

    def __init__(self, network: Network, with_cams: bool) -> None:
        super().__init__()
        self.network, self.with_cams = network, with_cams

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feature_map = self.network.trunk(pixel_values)
        if not self.with_cams:
            return feature_map, self.network.pooled(feature_map), self.network.head(feature_map)
        logits, layers = run_head(self.network, feature_map)
        activation = self.network.spatial(feature_map)
        weights = channel_weights(layers, activation.shape[1])
        cams = torch.einsum("ck,bkhw->bchw" if weights.ndim == 2 else "bck,bkhw->bchw", weights, activation)
        return feature_map, layers[-1].inputs.flatten(1), logits, cams


def export_onnx(network: Network, size: tuple[int, int], file: Path) -> None:
    """Write the network as ONNX with a free batch dimension.

    Input: `pixel_values`, float32, B × 3 × H × W. Outputs, float32: `feature_map`, `features` (B × D, the input of the
    last layer) and `logits`; where the head is a chain of dense layers (`leuko.networks.dense_head`) also `cams`
    (B × classes × h × w): Grad-CAM's maps before negative values are cut off and the maximum is scaled to 1. Matrices
    and kernels are stored in half precision and cast on loading, so that the file is as small as the safetensors file
    and computes the same.

    Args:
        network: in evaluation mode, its weights already rounded to half precision.
        size: (H, W).
        file: where to write; its folder is made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(2, 3, *size)
    with torch.no_grad():
        with_cams = is_dense_chain(network, network.trunk(example[:1]))
    model = to_onnx(
        _ServedNetwork(network, with_cams),
        example,
        ["pixel_values"],
        ["feature_map", "features", "logits", *(["cams"] if with_cams else [])],
        {0: torch.export.Dim("batch", min=1, max=4096)},
    )
    _store_in_half_precision(model)
    onnx.save(model, file)


def to_onnx(
    module: nn.Module, example: torch.Tensor, inputs: list[str], outputs: list[str], free: dict[int, Any]
) -> onnx.ModelProto:
    """A module with one input as ONNX, without what the exporter adds of this machine.

    Args:
        module: as it is to compute; it is put in evaluation mode.
        example: an input.
        inputs, outputs: their names.
        free: the dimensions of the input, of `torch.export`, that are not fixed, by axis.
    """
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=(free,),
                dynamo=True,
                optimize=False,  # it would fold batch norms into kernels, which then round differently
                verbose=False,
            )
    finally:
        exporter_log.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program.")
    # ONNX Runtime fuses convolutions with what follows only where their biases are plain constants.
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    _remove_zero_biases(model)
    # The exporter adds stack traces and paths of this machine.
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
    return model


def _remove_zero_biases(model: onnx.ModelProto) -> None:
    """Remove the biases of zeros that the exporter gives to convolutions without a bias."""
    graph = model.graph
    zeros = {tensor.name for tensor in graph.initializer if not numpy_helper.to_array(tensor).any()}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]
    used = {name for node in graph.node for name in node.input}
    remaining = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(remaining)


def _store_in_half_precision(model: onnx.ModelProto) -> None:
    """Store matrices and kernels in half precision, each with a node that casts it to single precision."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}{HALF}"))
            casts.append(helper.make_node("Cast", [f"{name}{HALF}"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)

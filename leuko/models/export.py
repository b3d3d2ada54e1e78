"""The network as ONNX: trunk and head in one forward pass, for serving without PyTorch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from leuko.models.backbones import Network


class _MapAndLogits(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        feature_map = self.network.trunk(pixel_values)
        return feature_map, self.network.head(feature_map)


def export_onnx(network: Network, size: tuple[int, int], file: Path) -> None:
    """Write the network as ONNX with a free batch dimension.

    Input `pixel_values`, float32, B × 3 × H × W; outputs `feature_map` and `logits`, float32. Matrices and kernels
    are stored in half precision and cast on loading, so the file is as small as the safetensors file and computes
    the same.

    Args:
        network: in evaluation mode, its weights already rounded to half precision.
        size: (H, W).
        file: where to write; its folder is made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(2, 3, *size)
    quiet = logging.getLogger("torch.onnx")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _MapAndLogits(network).eval(),
                (example,),
                input_names=["pixel_values"],
                output_names=["feature_map", "logits"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                dynamo=True,
                optimize=False,  # it would fold batch norms into kernels, which then round differently
                verbose=False,
            )
    finally:
        quiet.setLevel(before)
    model = _halved(program.model_proto)
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

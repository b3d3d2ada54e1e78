"""The network of kinds as ONNX, as `leuko.cells.kinds.network` reads it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from leuko.cells.kinds.crops import SIDE_PX
from leuko.networks.export import to_onnx
from leuko.training.kinds.two_views import TwoViewNetwork

LARGE = 20_000  # values from which weights are stored in eight bits; others take half precision
STEPS = 127  # of eight bits, on either side of 0


def export(network: TwoViewNetwork, file: Path) -> None:
    """Write the network as ONNX in one step, its weights in eight bits or half precision.

    Input: `pixels`, float32, N × 3 × 96 × 96. Outputs: `probabilities`, `features` and `novelty` as of
    `TwoViewNetwork.forward`. Large weights are rounded to 255 steps of each output channel and read back as
    floating point when the file is loaded, so that the file is small and computes in single precision.
    """
    model = to_onnx(
        copy.deepcopy(network).to(memory_format=torch.contiguous_format),
        torch.zeros(2, 3, SIDE_PX, SIDE_PX),
        ["pixels"],
        ["probabilities", "features", "novelty"],
        {0: torch.export.Dim("cells", min=1, max=4096)},
    )
    _store_in_eight_bits(model)
    draft = file.with_suffix(".draft")
    onnx.save(model, draft)
    draft.replace(file)


def _store_in_eight_bits(model: onnx.ModelProto) -> None:
    """Replace convolution weights by whole numbers, a factor an output channel, and nodes that multiply.

    The runtime multiplies once, when it loads the file.
    """
    graph = model.graph
    kernels = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    nodes = []
    for tensor in [tensor for tensor in graph.initializer if tensor.name in kernels]:
        values, name = numpy_helper.to_array(tensor), tensor.name
        graph.initializer.remove(tensor)
        if values.size < LARGE:
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
            continue
        shape = (-1, *[1] * (values.ndim - 1))
        largest = np.abs(values).reshape(len(values), -1).max(axis=1)
        factors = np.maximum(largest / STEPS, 1e-12).astype(np.float32).reshape(shape)
        whole = np.rint(values / factors).astype(np.int8)
        graph.initializer.append(numpy_helper.from_array(whole, f"{name}.whole"))
        graph.initializer.append(numpy_helper.from_array(factors, f"{name}.factors"))
        nodes.append(helper.make_node("Cast", [f"{name}.whole"], [f"{name}.steps"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.steps", f"{name}.factors"], [name]))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)

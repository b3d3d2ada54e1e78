"""The last layer of an exported network: reading it from an ONNX file, and putting another one in its place.

Both need the `onnx` package alone and no PyTorch, so that adapting a model to a laboratory works in the light
installation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

PREFIX = "network.timm_model."  # before timm's names of parameters in files written by `leuko.networks.export`
HALF = ".half"  # after the name of a matrix that is stored in half precision and cast on loading


class LinearHeadError(ValueError):
    """The network does not end in one linear layer."""


@dataclass(frozen=True)
class LinearHead:
    """A linear layer from D features to C logits.

    Attributes:
        weight: float, C × D.
        bias: float, C.
    """

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Logits, … × C, of features, … × D."""
        return features @ self.weight.T + self.bias

    def with_temperature(self, temperature: float) -> LinearHead:
        """The head whose logits are divided by a temperature."""
        return LinearHead(self.weight / temperature, self.bias / temperature)


@dataclass(frozen=True)
class _Place:
    """Where the last layer is in a graph: timm's name of the layer, and the initialisers of weight and bias."""

    layer: str
    weight: onnx.TensorProto
    bias: onnx.TensorProto


def _find(model: onnx.ModelProto) -> _Place:
    tensors = {tensor.name.removesuffix(HALF): tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if "logits" not in node.output:
            continue
        transposed = any(a.name == "transB" and a.i == 1 for a in node.attribute)
        names = list(node.input[1:])
        if node.op_type != "Gemm" or not transposed or len(names) != 2 or not all(name in tensors for name in names):
            break
        weight, bias = names
        layer = weight.removeprefix(PREFIX).removesuffix(".weight")
        if weight == f"{PREFIX}{layer}.weight" and bias == f"{PREFIX}{layer}.bias":
            return _Place(layer, tensors[weight], tensors[bias])
    raise LinearHeadError("The network does not end in one linear layer with a bias.")


def read_head(file: Path) -> tuple[str, LinearHead]:
    """Read the last layer of a network written by `leuko.networks.export.export_onnx`.

    Returns:
        timm's name of the layer (`fc`, `classifier`, …), and the layer in single precision.

    Raises:
        LinearHeadError: the network does not end in one linear layer with a bias.
    """
    place = _find(onnx.load(file))
    weight, bias = (numpy_helper.to_array(tensor).astype(np.float32) for tensor in (place.weight, place.bias))
    return place.layer, LinearHead(weight, bias)


def replace_head(file: Path, head: LinearHead, target: Path, size: tuple[int, int]) -> None:
    """Write an exported network with another last layer; the number of classes and the input size may differ.

    Args:
        file: as `leuko.networks.export.export_onnx` writes it.
        head: the new last layer; its weight is stored in half precision, as all matrices are.
        target: the file to write; its folder is made.
        size: height and width of the inputs; the network must be one that takes them (`with_free_input_size`).

    Raises:
        LinearHeadError: the network does not end in one linear layer with as many features.
    """
    model = onnx.load(file)
    place = _find(model)
    classes, features = head.weight.shape
    if place.weight.dims[1] != features:
        raise LinearHeadError(f"The last layer takes {place.weight.dims[1]} features, and the new one {features}.")
    weight = head.weight.astype(np.float16 if place.weight.name.endswith(HALF) else np.float32)
    place.weight.CopyFrom(numpy_helper.from_array(weight, place.weight.name))
    place.bias.CopyFrom(numpy_helper.from_array(head.bias.astype(np.float32), place.bias.name))
    for output in model.graph.output:
        if output.name in ("logits", "cams"):
            output.type.tensor_type.shape.dim[1].dim_value = classes
    shape = model.graph.input[0].type.tensor_type.shape.dim
    if (shape[2].dim_value, shape[3].dim_value) != size:
        shape[2].dim_value, shape[3].dim_value = size
        for output in model.graph.output:
            if output.name in ("feature_map", "cams"):
                output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]  # shapes of the old number of classes and the old input size
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)


def with_free_input_size(file: Path) -> bytes:
    """An exported network, as bytes, whose input may be of any height and width.

    Most convolutional networks work at any size. Others fail when they are run.
    """
    model = onnx.load(file)
    for number, side in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[number].dim_param = side
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return model.SerializeToString()

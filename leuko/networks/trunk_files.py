"""The files of a trunk that can be adapted: weights, configuration and ONNX file, all read without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.networks.linear_head import LinearHead, LinearHeadError, read_head
from leuko.networks.model import Model, ModelFolderError
from leuko.networks.model_folder.files import CONFIG, GENERAL, ONNX, WEIGHTS, digest
from leuko.networks.runtime import OnnxRuntime, onnx_file_of


@dataclass(frozen=True)
class TrunkFiles:
    """Where the parts of a network are stored whose trunk may get a new last layer.

    Attributes:
        name: of the network, for people.
        version: the first digits of the digest of the weights.
        config: timm's `config.json`.
        weights: safetensors, under timm's names; the last layer may be missing.
        onnx: the network as `leuko.networks.export` writes it; its last layer is linear.
        layer: timm's name of the last layer.
        head: the last layer as it is.
    """

    name: str
    version: str
    config: Path
    weights: Path
    onnx: Path
    layer: str
    head: LinearHead

    @classmethod
    def of_model(cls, model: Model) -> TrunkFiles:
        """The files of a loaded model folder; a model without an ONNX file is exported once, which needs PyTorch.

        Raises:
            ModelFolderError: the model does not end in one linear layer, or must be exported and PyTorch is missing.
        """
        refusal = ModelFolderError(
            f"{model.metadata.name} does not end in one linear layer, which is what adapting fits anew; give a model "
            "with another backbone (resnet50, efficientnet_lite0, …)."
        )
        if not isinstance(model.weights, Path) or not model.folder or not model.is_network:
            raise refusal
        onnx = onnx_file_of(model)
        try:
            layer, head = read_head(onnx)
        except LinearHeadError as error:
            raise refusal from error
        config = model.folder / CONFIG
        return cls(model.metadata.name, model.version, config, model.weights, onnx, layer, head)

    @classmethod
    def general(cls, backbone: str) -> TrunkFiles | None:
        """The trunk of a backbone as trained on ImageNet, or None if none is kept here."""
        folder = GENERAL / backbone
        if not (folder / WEIGHTS).is_file():
            return None
        version = digest(folder / WEIGHTS)[:12]
        name = f"{backbone} of ImageNet"
        return cls(name, version, folder / CONFIG, folder / WEIGHTS, folder / ONNX, *read_head(folder / ONNX))

    def open(self, size: tuple[int, int]) -> OnnxRuntime:
        """A session that computes pooled features (`OnnxRuntime.features`) of inputs of this height and width.

        Raises:
            ValueError: the network takes no inputs of this size.
        """
        runtime = OnnxRuntime(self.onnx, any_size=True)
        try:
            features = runtime.features(np.zeros((1, 3, *size), np.float32))
        except Exception as error:  # ONNX Runtime raises many kinds
            raise ValueError(f"{self.name} takes no inputs of {size[0]} × {size[1]} pixels.") from error
        if features.shape != (1, self.head.weight.shape[1]):
            raise ValueError(f"{self.name} takes no inputs of {size[0]} × {size[1]} pixels.")
        return runtime

"""A trained model in memory, from a model folder or just trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leuko.networks.metadata import ModelMetadata
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.system import optional_packages

if TYPE_CHECKING:
    from leuko.networks.network import Network


class ModelFolderError(ValueError):
    """A model that cannot be used; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Model:
    """A trained model, from a folder or just made.

    Attributes:
        weights: the safetensors file in the folder (`leuko.json` for a classifier that is no network), or the network
            itself, in evaluation mode.
        backbone: timm's name, or the name of a classifier that is no network.
        labels: the classes in the order of the outputs.
        preprocessing: from an image to the network's input; None where `describe_image` needs no network.
        metadata: the content of `leuko.json`.
        version: the first digits of the digest of the weights.
        timm_arguments: of `timm.create_model`, beside the number of classes.
        onnx: the exported network, if the folder has it complete and unchanged.
        describe_image: from an image (uint8, H × W × 3, RGB) to features, float32, D, for a classifier that is no
            network (`leuko.networks.classical_features`); None: the model is a network.
    """

    weights: Path | Network
    backbone: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing | None
    metadata: ModelMetadata
    version: str
    timm_arguments: dict[str, Any] = field(default_factory=dict)
    onnx: Path | None = None
    describe_image: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def is_network(self) -> bool:
        """Whether the model is a network, and no classifier on features of the image."""
        return self.describe_image is None

    @property
    def folder(self) -> Path | None:
        """The model folder; None for a network that was just made."""
        return self.weights.parent if isinstance(self.weights, Path) else None

    @property
    def network_preprocessing(self) -> Preprocessing:
        """From an image to the network's input.

        Raises:
            ModelFolderError: the model has no network.
        """
        if self.preprocessing is None:
            raise self._no_network()
        return self.preprocessing

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The input of the model, float32, for an image, uint8, H × W × 3, RGB."""
        if self.describe_image:
            return self.describe_image(image)
        return to_input(image, self.network_preprocessing)

    @cached_property
    def network(self) -> Network:
        """The network in evaluation mode; the weights are read at first use, which needs PyTorch.

        Raises:
            ModelFolderError: the weights do not fit the network, the model is no network, or PyTorch is not installed.
        """
        if not self.is_network:
            raise self._no_network()
        if not isinstance(self.weights, Path):
            return self.weights
        try:
            from leuko.networks import backbones
        except ImportError as error:
            raise ModelFolderError(
                optional_packages.needs(f"Reading the weights of {self.metadata.name}", "PyTorch")
            ) from error
        try:
            network = backbones.read_network(self.weights, self.backbone, len(self.labels), self.timm_arguments)
        except Exception as error:
            raise ModelFolderError(f"The weights in {self.folder} do not fit {self.backbone}; train again.") from error
        return network.eval().requires_grad_(False)

    def _no_network(self) -> ModelFolderError:
        return ModelFolderError(
            f"{self.metadata.name} is no network but a classifier on measures ({self.backbone}), and this needs a "
            "network; give another model."
        )

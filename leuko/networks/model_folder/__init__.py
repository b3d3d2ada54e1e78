"""The model folder: what `leuko train` writes, the Hub stores and the app loads.

    config.json          timm's Hub format: architecture, labels, preprocessing
    model.safetensors    the weights, the temperature folded into the last layer
    onnx/model.onnx      trunk and head in one pass: feature map, features and logits
    leuko.json           decision, abstention, in-distribution statistics, scale, stain normalisation, data, versions
    README.md            the model card
    .eval_results/       the main figures in the Hub's format
    evaluation/          metrics.json and plots

A classifier that is no network has `onnx/model.onnx` from features to logits, `onnx/trunk.onnx` where the features are
those of a network, and no `config.json` and `model.safetensors`.

A folder is complete or it is refused: `leuko.json` is written last and contains the digests of the other files.
Matrices and kernels are stored in half precision, for half the download; a network is rounded before it is evaluated,
so that the figures are those of the stored network. Vectors, such as batch-norm statistics, are in single precision.

Neither loading nor `write_adapted` needs PyTorch.
"""

from leuko.networks.metadata import ModelMetadata
from leuko.networks.model import Model, ModelFolderError
from leuko.networks.model_folder.files import (
    CLASSICAL,
    CONFIG,
    EMBEDDED,
    GENERAL,
    LEUKO,
    ONNX,
    RESULTS,
    TRUNK,
    WEIGHTS,
    digest,
)
from leuko.networks.model_folder.locating import locate
from leuko.networks.model_folder.reading import load
from leuko.networks.model_folder.writing import (
    new_folder,
    write_adapted,
    write_classical,
    write_network,
    write_network_files,
)

__all__ = [
    "CLASSICAL",
    "CONFIG",
    "EMBEDDED",
    "GENERAL",
    "LEUKO",
    "ONNX",
    "RESULTS",
    "TRUNK",
    "WEIGHTS",
    "Model",
    "ModelFolderError",
    "ModelMetadata",
    "digest",
    "load",
    "locate",
    "new_folder",
    "write_adapted",
    "write_classical",
    "write_network",
    "write_network_files",
]

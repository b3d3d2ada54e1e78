"""The one writer of model folders: trained networks, adapted ones, and classifiers that are no networks.

Write inside `new_folder`, so that a folder appears complete or not at all; the card and the evaluation are added by the
caller. Only what needs PyTorch imports it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leuko.networks.metadata import ModelMetadata
from leuko.networks.model_folder.files import CLASSICAL, CONFIG, LEUKO, ONNX, TRUNK, WEIGHTS, digest
from leuko.networks.preprocessing import Preprocessing
from leuko.system.about import VERSION

if TYPE_CHECKING:
    from leuko.networks.linear_head import LinearHead
    from leuko.networks.network import Network
    from leuko.networks.trunk_files import TrunkFiles

FORMAT = 1  # of `leuko.json`
NETWORK_PACKAGES = ("torch", "timm", "transformers", "datasets")  # whose versions `leuko.json` contains
CLASSICAL_PACKAGES = ("scikit-learn", "skl2onnx", "onnx")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block ends well, and vanishes if not.

    An existing model folder there is replaced in one step.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield draft
        for written in (draft, *draft.rglob("*")):  # the temporary folder and safetensors keep others out
            written.chmod(0o755 if written.is_dir() else 0o644)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
            target.replace(old / "replaced")
            draft.replace(target)
            shutil.rmtree(old)
        else:
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_network(
    folder: Path, network: Network, labels: tuple[str, ...], preprocessing: Preprocessing, metadata: ModelMetadata
) -> None:
    """Write the weights, the configuration, the ONNX file and `leuko.json` of a trained network; needs PyTorch.

    Args:
        folder: to write to; it exists.
        network: in evaluation mode, its weights rounded to half precision and the temperature folded in.
        labels: the classes in the order of the outputs.
        preprocessing: from an image to the network's input.
        metadata: the content of `leuko.json`.
    """
    write_network_files(folder, network, labels, preprocessing)
    stain = preprocessing.stain.as_json() if preprocessing.stain else None
    _write_metadata(folder, metadata, [WEIGHTS, ONNX], NETWORK_PACKAGES, {"stain": stain})


def write_network_files(folder: Path, network: Network, labels: tuple[str, ...], preprocessing: Preprocessing) -> None:
    """Write `config.json`, `model.safetensors` and `onnx/model.onnx` of a network in evaluation mode."""
    from safetensors.torch import save_file
    from timm.models._hub import save_config_for_hf

    from leuko.networks.export import export_onnx

    timm_model = network.timm_model
    stored = {
        name: tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor.contiguous()
        for name, tensor in timm_model.state_dict().items()
    }
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    save_config_for_hf(
        timm_model,
        str(folder / CONFIG),
        model_config={"label_names": list(labels), "pretrained_cfg": preprocessing.as_timm()},
        data_config={"input_size": (3, *preprocessing.size), "crop_pct": 1.0},
    )
    config = json.loads((folder / CONFIG).read_text())
    # transformers 5 passes num_classes itself, and would run a half-precision file in half precision.
    config.get("model_args", {}).pop("num_classes", None)
    config["dtype"] = "float32"
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    export_onnx(network, preprocessing.size, folder / ONNX)


def write_adapted(
    folder: Path,
    trunk: TrunkFiles,
    head: LinearHead,
    labels: tuple[str, ...],
    preprocessing: Preprocessing,
    metadata: ModelMetadata,
) -> None:
    """Write a trunk with a new last layer, without PyTorch.

    Args:
        folder: to write to; it exists.
        trunk: the files of the network whose trunk is taken.
        head: the new last layer, the temperature folded in (`LinearHead.with_temperature`). Its weight is rounded to
            half precision.
        labels: the classes in the order of the head's outputs.
        preprocessing: from an image to the network's input; its size may differ from the trunk's.
        metadata: the content of `leuko.json`.
    """
    from safetensors.numpy import load_file, save_file

    from leuko.networks.linear_head import replace_head

    tensors = load_file(trunk.weights)
    tensors[f"{trunk.layer}.weight"] = head.weight.astype(np.float16)
    tensors[f"{trunk.layer}.bias"] = head.bias.astype(np.float32)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = json.loads(trunk.config.read_text())
    config["num_classes"] = len(labels)
    config["label_names"] = list(labels)
    described = config["pretrained_cfg"]
    if described["input_size"][1:] != list(preprocessing.size):
        described["pool_size"] = None  # the size of the feature map was stated for the other input size
    config["pretrained_cfg"] = described | preprocessing.as_timm() | {"num_classes": len(labels)}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    replace_head(trunk.onnx, head, folder / ONNX, preprocessing.size)
    stain = preprocessing.stain.as_json() if preprocessing.stain else None
    _write_metadata(folder, metadata, [WEIGHTS, ONNX], NETWORK_PACKAGES, {"stain": stain})


def write_classical(
    folder: Path,
    model: bytes,
    name: str,
    features: str,
    labels: tuple[str, ...],
    metadata: ModelMetadata,
    trunk: tuple[Network, Preprocessing] | None = None,
) -> None:
    """Write a classifier that is no network.

    Args:
        folder: to write to; it exists.
        model: from `leuko.networks.classical_onnx.as_onnx`.
        name: of the kind of classifier, as findings give it.
        features: which ones the classifier takes (`leuko.networks.classical_features`).
        labels: the classes in the order of the outputs.
        metadata: the content of `leuko.json`.
        trunk: for the features of a network: the network, its weights rounded to half precision, and its preprocessing.
    """
    (folder / ONNX).parent.mkdir()
    (folder / ONNX).write_bytes(model)
    files = [ONNX]
    if trunk:
        from leuko.networks.export import export_onnx

        export_onnx(trunk[0], trunk[1].size, folder / TRUNK)
        files.append(TRUNK)
    own_fields = {
        "kind": CLASSICAL,
        "classifier": name,
        "labels": list(labels),
        "measures": features,
        "preprocessing": trunk[1].as_timm() if trunk else None,
    }
    _write_metadata(folder, metadata, files, CLASSICAL_PACKAGES, own_fields)


def _write_metadata(
    folder: Path, metadata: ModelMetadata, files: Iterable[str], packages: Iterable[str], own_fields: dict[str, Any]
) -> None:
    """Write `leuko.json`, which makes the folder complete.

    Args:
        folder: to write to.
        metadata: of the model.
        files: that it needs, for their digests.
        packages: whose versions are noted, if they are installed.
        own_fields: of this kind of model.
    """
    versions = {"leuko": VERSION}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    content = {
        "format": FORMAT,
        **own_fields,
        "versions": versions,
        "sha256": {file: digest(folder / file) for file in files},
        **metadata.as_json(),
    }
    (folder / LEUKO).write_text(json.dumps(content, indent=1) + "\n")

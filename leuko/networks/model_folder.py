"""The model folder: what `train.py` writes, the Hub keeps and the app loads.

    config.json          timm's Hub format: architecture, labels, preprocessing
    model.safetensors    the weights, the temperature folded into the last layer
    onnx/model.onnx      trunk and head in one pass: feature map and logits
    leuko.json           decision, abstention, in-distribution statistics, scale, stain normalisation, data, versions
    README.md            the model card
    .eval_results/       the figures that matter most, in the Hub's format
    evaluation/          metrics.json and plots

A folder is complete or it is refused: `leuko.json` is written last and names the digest of the weights. Matrices and
kernels are stored in half precision (half the download; the network is rounded before it is evaluated, so that the
figures are those of what is stored), vectors such as batch-norm statistics in single.

PyTorch takes seconds to import, and serving needs none of it: it is imported where weights are written or read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leuko import __version__
from leuko.images.stain import Normalisation
from leuko.networks.metadata import ModelMetadata
from leuko.networks.preprocessing import CropError, Preprocessing, to_input
from leuko.system.hub_ids import is_path

if TYPE_CHECKING:
    from leuko.networks.backbones import Network
    from leuko.networks.linear_head import LinearHead
    from leuko.networks.trunk_files import TrunkFiles

EMBEDDED = Path(__file__).parent / "embedded"
CONFIG, WEIGHTS, LEUKO, ONNX = "config.json", "model.safetensors", "leuko.json", "onnx/model.onnx"
TRUNK, CLASSICAL = "onnx/trunk.onnx", "classical"  # of models on measures, see `leuko.networks.classical`
RESULTS = ".eval_results/test.yaml"
_VERSIONED = ("torch", "timm", "transformers", "datasets")
_SOURCES = ("pretrained", "checkpoint", "cache_dir")  # how arguments begin with which timm loads what no digest names


class ModelFolderError(ValueError):
    """A model that cannot be served; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Model:
    """A trained model, from a folder or just made.

    Attributes:
        origin: its folder, or its network, in evaluation mode.
        backbone: timm's name.
        labels: the classes in the order of the network's outputs.
        preprocessing: from an image to the network's input; None where measures need none.
        metadata: the content of `leuko.json`.
        version: the first digits of the weights' digest.
        arguments: of `timm.create_model`, beside the number of classes.
        onnx: the exported network, whole and as it was written; None if there is none.
        measures: of an image (uint8, H × W × 3, RGB), float32, D, on which a classifier that is no network stands
            (`leuko.networks.classical`); None: the model is a network.
    """

    origin: Path | Network
    backbone: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing | None
    metadata: ModelMetadata
    version: str
    arguments: dict[str, Any] = field(default_factory=dict)
    onnx: Path | None = None
    measures: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def is_network(self) -> bool:
        """Whether the model is a network, and no classifier on measures."""
        return self.measures is None

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """What an engine runs on, float32, of an image, uint8, H × W × 3, RGB."""
        return self.measures(image) if self.measures else to_input(image, self.preprocessing)

    @cached_property
    def network(self) -> Network:
        """In evaluation mode; read when it is first asked for.

        Raises:
            ModelFolderError: the weights do not fit the network, or there is none.
        """
        if self.measures:
            raise ModelFolderError(
                f"{self.metadata.name} is no network but a classifier on measures ({self.backbone}), and this needs a "
                "network; give another model."
            )
        if not isinstance(self.origin, Path):
            return self.origin
        import timm
        from safetensors.torch import load_file

        from leuko.networks.backbones import Network

        try:
            timm_model = timm.create_model(self.backbone, num_classes=len(self.labels), **self.arguments)
            timm_model.load_state_dict(load_file(self.origin / WEIGHTS))  # copied into single precision
        except Exception as error:
            raise ModelFolderError(f"The weights in {self.origin} do not fit {self.backbone}; train again.") from error
        return Network(timm_model).eval().requires_grad_(False)


def round_to_half_precision(network: Network) -> None:
    """Round the weights, in place, to what a folder stores."""
    import torch

    with torch.no_grad():
        for tensor in network.timm_model.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim > 1:
                tensor.copy_(tensor.half().float())


def fold_temperature(network: Network, temperature: float) -> None:
    """Divide the logits by `temperature` for good, in the weights of the last linear layer."""
    import torch

    last = network.timm_model.get_classifier()
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.div_(temperature)


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


def save(folder: Path, network: Network, labels: tuple[str, ...], how: Preprocessing, metadata: ModelMetadata) -> None:
    """Write weights, configuration, ONNX and `leuko.json` into an existing folder, `leuko.json` last.

    Call it inside `new_folder`, after `round_to_half_precision`; the card and the evaluation are written by the caller.
    """
    write_network_files(folder, network, labels, how)
    _write_metadata(folder, how, metadata)


def write_network_files(folder: Path, network: Network, labels: tuple[str, ...], how: Preprocessing) -> None:
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
        model_config={"label_names": list(labels), "pretrained_cfg": how.as_timm()},
        data_config={"input_size": (3, *how.size), "crop_pct": 1.0},
    )
    config = json.loads((folder / CONFIG).read_text())
    # transformers 5 passes num_classes itself, and would run a half-precision file in half precision.
    config.get("model_args", {}).pop("num_classes", None)
    config["dtype"] = "float32"
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    export_onnx(network, how.size, folder / ONNX)


def write_adapted(
    folder: Path,
    trunk: TrunkFiles,
    head: LinearHead,
    labels: tuple[str, ...],
    preprocessing: Preprocessing,
    metadata: ModelMetadata,
) -> None:
    """Write a trunk with a new last layer into an existing folder, without PyTorch; `leuko.json` last.

    Call it inside `new_folder`; the card and the evaluation are written by the caller.

    Args:
        folder: to write to.
        trunk: of the network.
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
    _write_metadata(folder, preprocessing, metadata)


def _write_metadata(folder: Path, preprocessing: Preprocessing, metadata: ModelMetadata) -> None:
    content = {
        "format": 1,
        "stain": preprocessing.stain.as_json() if preprocessing.stain else None,
        "versions": {"leuko": __version__, **_installed(_VERSIONED)},
        "sha256": {WEIGHTS: digest(folder / WEIGHTS), ONNX: digest(folder / ONNX)},
        **metadata.as_json(),
    }
    (folder / LEUKO).write_text(json.dumps(content, indent=1) + "\n")


def _installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    versions = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def locate(model: str | os.PathLike[str] | None) -> Path:
    """The folder of a model given as a folder or a Hub id (`USER/NAME`); without one, the embedded default.

    Raises:
        ModelFolderError: there is no such folder, and the Hub has or gives no such model.
    """
    if not model:
        return EMBEDDED
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelFolderError(f"{str(model)!r} is a file and no model folder; give the folder that train.py wrote.")
    if is_path(str(model)):
        raise ModelFolderError(
            f"There is no model folder {str(model)!r}; check the path. A model of the Hub is given as USER/NAME."
        )
    import httpx2  # late, as what follows: most models are folders
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    from leuko.networks import hub_errors

    try:
        with hub_errors.quiet(), hub_errors.cached_if_unreachable():
            return Path(snapshot_download(str(model), allow_patterns=[CONFIG, WEIGHTS, LEUKO, ONNX, TRUNK]))
    except HFValidationError as error:
        raise ModelFolderError(
            f"There is no model folder {str(model)!r}; give a folder written by train.py or a Hub id (USER/NAME)."
        ) from error
    except (httpx2.HTTPError, OSError) as error:
        raise ModelFolderError(
            f"There is no model folder {str(model)!r}, and {hub_errors.why_no_model(error)}."
        ) from error


def load(model: str | os.PathLike[str] | None = None) -> Model:
    """Load a model folder or Hub id; without one, the embedded default.

    Raises:
        ModelFolderError: missing, half-written, changed, pickled, untrained, or weights would come from elsewhere.
    """
    folder = locate(model)
    if (kind := _kind(folder)) == CLASSICAL:
        from leuko.networks import classical  # late: it needs this module

        return classical.load(folder)
    if kind is not None:
        raise ModelFolderError(f"{folder} holds a model of an unknown kind ({kind}); update Deep Leuko.")
    for name in (CONFIG, WEIGHTS, LEUKO):
        if not (folder / name).is_file():
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*")) or any(folder.glob("*.pkl"))
            why = "pickled weights are never loaded" if pickled else "it is not a complete model folder"
            raise ModelFolderError(f"{folder} has no {name}: {why}; write one with train.py.")
    try:
        config = json.loads((folder / CONFIG).read_text())
        stored = json.loads((folder / LEUKO).read_text())
        backbone, labels = config["architecture"], tuple(config["label_names"])
        metadata = ModelMetadata.from_json(stored, labels)
        how = Preprocessing.from_timm(config["pretrained_cfg"])
        if stain := stored.get("stain"):
            how = replace(how, stain=Normalisation.from_json(stain))
        arguments = config.get("model_args", {})
        foreign = ":" in backbone or _names_sources(arguments)
        steps, trained = float(stored["training"]["steps"]), stored["training"].get("backbone")
        digests = stored["sha256"]
        weights = digests[WEIGHTS]
    except CropError as error:
        raise ModelFolderError(f"{folder} cannot be used: {error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFolderError(f"{folder} is damaged: {CONFIG} or {LEUKO} cannot be read; train again.") from error
    if foreign:
        raise ModelFolderError(
            f"{folder / CONFIG} would have weights loaded from elsewhere, which is never done; train again."
        )
    if not steps > 0:
        raise ModelFolderError(f"{folder} holds an untrained network; it is never served. Train it with train.py.")
    if digest(folder / WEIGHTS) != weights:
        raise ModelFolderError(
            f"{folder / WEIGHTS} is incomplete or not the file that was trained; copy it again or train again."
        )
    if trained not in (None, backbone):
        raise ModelFolderError(f"The weights in {folder} do not fit {backbone}; train again.")
    onnx = folder / ONNX
    whole = onnx.is_file() and digest(onnx) == digests.get(ONNX)
    return Model(folder, backbone, labels, how, metadata, weights[:12], arguments, onnx if whole else None)


def _kind(folder: Path) -> str | None:
    """What a folder says it holds; None: a network, or nothing that can be read."""
    try:
        return json.loads((folder / LEUKO).read_text()).get("kind")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _names_sources(arguments: Any) -> bool:
    """Whether arguments of timm, those of an ensemble's members among them, name files, the Hub or caches."""
    if isinstance(arguments, dict):
        return any(
            key.startswith(_SOURCES) or (key == "architecture" and ":" in value) or _names_sources(value)
            for key, value in arguments.items()
        )
    return isinstance(arguments, list) and any(map(_names_sources, arguments))


def digest(file: Path) -> str:
    """The SHA-256 of a file, as `leuko.json` names it."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()

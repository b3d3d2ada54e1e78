"""Running a model: by ONNX Runtime, or by PyTorch where a network cannot be exported.

On a processor, ONNX Runtime is 1.8 to 3.9 times as fast, and it needs neither PyTorch nor timm, which take seconds to
import.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from leuko.networks.model import Model, ModelFolderError
from leuko.system import optional_packages
from leuko.system.onnx_session import open_session

if TYPE_CHECKING:
    from leuko.networks.network import Network

_log = logging.getLogger("leuko")
# Of what was exported here, by the weights' version.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "leuko" / "onnx"
NEEDED = {"feature_map", "features", "logits"}


class Output(NamedTuple):
    """The outputs of a model for one image; float32.

    Attributes:
        feature_map: in the backbone's layout; None for a classifier that is no network.
        features: D, the input of the last layer.
        logits: one for each class.
        cams: classes × h × w, Grad-CAM's maps before negative values are cut off; None where they need gradients.
    """

    feature_map: np.ndarray | None
    features: np.ndarray
    logits: np.ndarray
    cams: np.ndarray | None


class NotExportableError(RuntimeError):
    """PyTorch cannot write this network as an ONNX file."""


class Runtime(Protocol):
    """Runs a model."""

    def run(self, inputs: np.ndarray) -> list[Output]:
        """What the model makes of B inputs, float32, as `leuko.networks.model.Model.prepare` gives them, stacked."""


class OnnxRuntime:
    """Runs an exported network; may be used by several threads at once."""

    def __init__(self, file: Path, any_size: bool = False) -> None:
        """Open a network.

        Args:
            file: as `leuko.networks.export.export_onnx` writes it.
            any_size: take inputs of any height and width, where the network can; else only those it was exported for.
        """
        network: bytes | Path = file
        if any_size:
            from leuko.networks.linear_head import with_free_input_size  # imported here: serving needs no `onnx`

            network = with_free_input_size(file)
        self._session = open_session(network)
        self._input = self._session.get_inputs()[0].name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: np.ndarray) -> list[Output]:
        """See `Runtime`."""
        arrays = dict(zip(self.outputs, self._session.run(None, {self._input: inputs}), strict=True))
        columns = [arrays.get(name, [None] * len(inputs)) for name in Output._fields]
        return [Output(*row) for row in zip(*columns, strict=True)]

    def features(self, inputs: np.ndarray) -> np.ndarray:
        """Input of the last layer, float32, B × D, of B inputs, float32, stacked."""
        (features,) = self._session.run(["features"], {self._input: inputs})
        return features


class TorchRuntime:
    """Runs a network that is in memory."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def run(self, inputs: np.ndarray) -> list[Output]:
        """See `Runtime`."""
        import torch

        with torch.no_grad():
            feature_map = self._network.trunk(torch.from_numpy(inputs))
            features, logits = self._network.pooled(feature_map), self._network.head(feature_map)
        rows = zip(feature_map.numpy(), features.numpy(), logits.numpy(), strict=True)
        return [Output(*row, cams=None) for row in rows]


def runtime_of(model: Model) -> Runtime:
    """The fastest way to run a model.

    A model whose folder has no usable ONNX file is exported once, and the file is kept in `CACHE`.

    Raises:
        ModelFolderError: the model must be exported, and PyTorch is not installed.
    """
    if not isinstance(model.weights, Path):
        return TorchRuntime(model.network)
    try:
        return _open_onnx(model)[1]
    except NotExportableError:
        _log.warning("It cannot be exported, so PyTorch runs it, more slowly.")
        return TorchRuntime(model.network)


def onnx_file_of(model: Model) -> Path:
    """The ONNX file of a model from a folder: the folder's own, or one that was exported from its weights.

    Raises:
        NotExportableError: PyTorch cannot export this network.
        ModelFolderError: the model must be exported, and PyTorch is not installed.
    """
    return _open_onnx(model)[0]


def _open_onnx(model: Model) -> tuple[Path, OnnxRuntime]:
    cached = CACHE / f"{model.version}.onnx"
    for file in (model.onnx, cached):
        try:
            runtime = OnnxRuntime(file) if file and file.is_file() else None
        except Exception:  # ONNX Runtime raises many kinds
            continue
        if file and runtime and (set(runtime.outputs) >= NEEDED or not model.is_network):
            return file, runtime
    file = _export(model, cached)
    return file, OnnxRuntime(file)


def _export(model: Model, target: Path) -> Path:
    """Export a network; the file that was written: `target`, or a temporary one where `target` cannot be written."""
    if not model.is_network:
        raise ModelFolderError(f"The ONNX file of {model.metadata.name} cannot be read; copy the folder again.")
    _log.warning("%s has no ONNX file that can be used: exporting it, once.", model.metadata.name)
    try:
        from leuko.networks.export import export_onnx  # imports PyTorch
    except ImportError as error:
        purpose = f"{model.metadata.name} has no ONNX file that can be used, and exporting it"
        raise ModelFolderError(optional_packages.needs(purpose, "PyTorch")) from error
    draft = Path(tempfile.mkdtemp(prefix="leuko-onnx-")) / target.name
    atexit.register(shutil.rmtree, draft.parent, ignore_errors=True)
    try:
        export_onnx(model.network, model.network_preprocessing.size, draft)
    except ModelFolderError:
        raise
    except Exception as error:  # the exporter raises many kinds
        _log.debug("export of %s", model.metadata.name, exc_info=error)
        raise NotExportableError(f"{model.metadata.name} cannot be exported to ONNX.") from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as copy:
            copy.write(draft.read_bytes())
        Path(copy.name).replace(target)
    except OSError:
        _log.warning("It cannot be kept in %s, so it will be exported again.", target.parent)
        return draft
    return target

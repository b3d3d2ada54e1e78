"""What runs a network: ONNX Runtime, or PyTorch where there is no file for it.

ONNX Runtime is some times faster on a processor, and needs neither PyTorch nor timm, which take seconds to import.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import onnxruntime

from leuko.networks.model_folder import Model
from leuko.system.threads import cores

if TYPE_CHECKING:
    from leuko.networks.backbones import Network

# Of what was exported here, by the weights' version.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "leuko" / "onnx"
NEEDED = {"feature_map", "features", "logits"}


class Output(NamedTuple):
    """What a model makes of one image; float32.

    Attributes:
        feature_map: in the backbone's own layout; None of a classifier on measures.
        features: F, what its last layer is given.
        logits: one a class.
        cams: classes × h × w, from which Grad-CAM's maps are cut, or None where only its gradient tells.
    """

    feature_map: np.ndarray | None
    features: np.ndarray
    logits: np.ndarray
    cams: np.ndarray | None


class Engine(Protocol):
    """Runs a network."""

    def run(self, inputs: np.ndarray) -> list[Output]:
        """What the model makes of B inputs, float32, as `leuko.networks.model_folder.Model.input_of` gives them, stacked."""


class Onnx:
    """Runs an exported network; may be used by several threads at once."""

    def __init__(self, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning takes the cores from cells
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: np.ndarray) -> list[Output]:
        """See `Engine`."""
        found = dict(zip(self.outputs, self._session.run(None, {self._input: inputs}), strict=True))
        columns = [found.get(name, [None] * len(inputs)) for name in Output._fields]
        return [Output(*each) for each in zip(*columns, strict=True)]


class Torch:
    """Runs a network that is in memory."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def run(self, inputs: np.ndarray) -> list[Output]:
        """See `Engine`."""
        import torch

        with torch.no_grad():
            feature_map = self._network.trunk(torch.from_numpy(inputs))
            found = feature_map, self._network.pooled(feature_map), self._network.head(feature_map)
        return [Output(*each, None) for each in zip(*(part.numpy() for part in found), strict=True)]


def runtime_of(model: Model) -> Engine:
    """The fastest way to run a model; one whose folder has no usable ONNX file is exported once, and that is kept."""
    if model.measures:
        return Onnx(model.onnx)
    if not isinstance(model.origin, Path):
        return Torch(model.network)
    kept = CACHE / f"{model.version}.onnx"
    return _usable(model.onnx) or _usable(kept) or _exported(model, kept)


def _usable(file: Path | None) -> Onnx | None:
    try:
        engine = Onnx(file) if file and file.is_file() else None
    except Exception:  # ONNX Runtime raises many kinds
        return None
    return engine if engine and set(engine.outputs) >= NEEDED else None


def _exported(model: Model, target: Path) -> Engine:
    from leuko.networks.export import export_onnx  # late, as all that brings PyTorch along

    log = logging.getLogger("leuko")
    log.warning("%s has no ONNX file that can be used: exporting it, once.", model.metadata.name)
    with tempfile.TemporaryDirectory(prefix="leuko-onnx-") as scratch:
        draft = Path(scratch) / target.name
        try:
            export_onnx(model.network, model.preprocessing.size, draft)
        except Exception as error:  # the exporter raises many kinds
            log.warning("It cannot be exported, so PyTorch runs it, more slowly.")
            log.debug("export of %s", model.metadata.name, exc_info=error)
            return Torch(model.network)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as beside:
                beside.write(draft.read_bytes())
            Path(beside.name).replace(target)
        except OSError:
            log.warning("It cannot be kept in %s, so it will be exported again.", target.parent)
        return Onnx(draft)

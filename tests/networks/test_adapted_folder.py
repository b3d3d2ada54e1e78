"""A model folder with a new last layer is written without PyTorch, and others read it as any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from transformers import AutoModelForImageClassification

import leuko
from leuko.decision.calibration import OperatingPoint
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.networks import backbones, model_folder
from leuko.networks.linear_head import LinearHead, LinearHeadError, read_head, replace_head
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing
from leuko.networks.runtime import OnnxRuntime
from leuko.networks.trunk_files import TrunkFiles
from tests.no_pytorch import run_without_pytorch

LABELS = ("blasts", "healthy", "other")
WRITE = """
import json
from pathlib import Path
import numpy as np
from dataclasses import replace
from leuko.networks import model_folder
from leuko.networks.linear_head import LinearHead
from leuko.networks.trunk_files import TrunkFiles

source, target, side = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
model = model_folder.load(source)
trunk = TrunkFiles.general(model.backbone) if sys.argv[4] == "general" else TrunkFiles.of_model(model)
rng = np.random.default_rng(0)
inputs = rng.standard_normal((2, 3, side, side)).astype(np.float32)
features = trunk.open((side, side)).features(inputs)
weight = rng.standard_normal((3, features.shape[1])) / features.std() / features.shape[1] ** 0.5
head = LinearHead(weight, rng.standard_normal(3)).with_temperature(0.7)
metadata = replace(model.metadata, positive=("blasts",), temperature=0.7)
preprocessing = replace(model.preprocessing, size=(side, side))
with model_folder.new_folder(target) as draft:
    model_folder.write_adapted(draft, trunk, head, ("blasts", "healthy", "other"), preprocessing, metadata)
np.savez(target / "expected.npz", inputs=inputs, features=features, logits=head(features))
"""


def write_network(folder: Path, backbone: str) -> Network:
    torch.manual_seed(0)
    network = backbones.create(backbone, 2, weights="none").eval().requires_grad_(False)
    network.round_to_half_precision()
    features = np.eye(2, network.timm_model.head_hidden_size)
    metadata = model_folder.ModelMetadata(
        "Base", ("b",), 1.0, OperatingPoint(0.5, (0.2, 0.8), ""), MahalanobisOOD.fit(features, features), {"steps": 1}
    )
    with model_folder.new_folder(folder) as draft:
        preprocessing = Preprocessing((64, 64), "bicubic", (0.5,) * 3, (0.25,) * 3)
        model_folder.write_network(draft, network, ("a", "b"), preprocessing, metadata)
    return network


@pytest.mark.parametrize(
    ("backbone", "side", "trunk"),
    [
        ("resnet10t", 96, "own"),  # another input size, `fc`
        ("compact_cnn", 64, "own"),  # two dense layers, of which the last is replaced
        ("mobilenetv3_small_050", 64, "own"),  # no class activation maps
        ("efficientnet_lite0", 128, "general"),
    ],
)
def test_what_was_written_without_pytorch_is_read_by_timm_transformers_and_onnx_runtime(
    backbone, side, trunk, tmp_path
):
    source, target = tmp_path / "base", tmp_path / "adapted"
    network = write_network(source, backbone)
    done = run_without_pytorch(WRITE, source, target, side, trunk)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(target / "expected.npz") as file:
        inputs, features, expected = file["inputs"], file["features"], file["logits"]
    pixels = torch.from_numpy(inputs)
    if trunk == "own":
        with torch.no_grad():
            assert features == pytest.approx(network.pooled(network.trunk(pixels)).numpy(), abs=1e-4)

    model = model_folder.load(target)
    assert model.labels == LABELS and model.onnx and model.preprocessing.size == (side, side)
    with torch.no_grad():
        logits = {
            "leuko, PyTorch": model.network(pixels).numpy(),
            "timm": timm.create_model(f"local-dir:{target}", pretrained=True).eval()(pixels).numpy(),
            "transformers": AutoModelForImageClassification.from_pretrained(target)(pixels).logits.numpy(),
        }
    outputs = OnnxRuntime(model.onnx).run(inputs)
    logits["ONNX Runtime"] = np.stack([output.logits for output in outputs])
    for name, rows in logits.items():
        assert rows == pytest.approx(logits["timm"], abs=1e-4), name
        assert rows == pytest.approx(expected, abs=5e-3), name  # the head is rounded to half precision
    chain = backbone != "mobilenetv3_small_050"
    assert all((output.cams is not None and output.cams.shape[0] == 3) == chain for output in outputs)

    # The same network written with PyTorch has the same configuration and the same tensors.
    again = tmp_path / "again"
    with model_folder.new_folder(again) as draft:
        model_folder.write_network(draft, model.network, LABELS, model.preprocessing, model.metadata)
    assert json.loads((target / "config.json").read_text()) == json.loads((again / "config.json").read_text())
    exported = OnnxRuntime(again / model_folder.ONNX).run(inputs)
    for ours, theirs in zip(outputs, exported, strict=True):
        assert ours.logits == pytest.approx(theirs.logits, abs=1e-4)
        assert not chain or ours.cams == pytest.approx(theirs.cams, abs=1e-4 * float(np.abs(theirs.cams).max()))


def test_the_last_layer_is_read_from_the_onnx_file():
    layer, head = read_head(model_folder.EMBEDDED / model_folder.ONNX)
    classifier = model_folder.load().network.timm_model.get_classifier()
    assert layer == "classifier"
    assert np.array_equal(head.weight, classifier.weight.numpy()) and np.array_equal(head.bias, classifier.bias.numpy())


def test_a_head_with_other_features_is_refused(tmp_path):
    head = LinearHead(np.zeros((2, 7)), np.zeros(2))
    with pytest.raises(LinearHeadError, match="1280"):
        replace_head(model_folder.EMBEDDED / model_folder.ONNX, head, tmp_path / "x.onnx", (224, 224))


def test_input_sizes_that_a_network_does_not_take_are_refused():
    trunk = TrunkFiles.of_model(model_folder.load())
    with pytest.raises(ValueError, match="takes no inputs"):
        trunk.open((0, 224))


def test_a_model_that_does_not_end_in_a_linear_layer_is_refused(tmp_path):
    model = leuko.load().model
    with pytest.raises(model_folder.ModelFolderError, match="linear layer"):
        TrunkFiles.of_model(replace(model, describe_image=np.ravel))

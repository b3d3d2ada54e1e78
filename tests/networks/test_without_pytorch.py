"""The light installation: loading, classifying, heat maps and cells need no PyTorch, timm, transformers or datasets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from leuko.decision.calibration import OperatingPoint
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.networks import backbones, model_folder
from leuko.networks.preprocessing import Preprocessing
from tests.no_pytorch import run_without_pytorch

CLASSIFY = """
import json
import numpy as np
import leuko

image = np.load(sys.argv[1])
model = leuko.load(sys.argv[2] if len(sys.argv) > 2 else None)
finding = model.classify(image)
heat_map = model.explain(image, model.labels[0])
segmentation = leuko.segment(image)
print(json.dumps([finding.as_json("x"), heat_map.tolist(), int(segmentation.white_cells.max())]))
"""
COMMANDS = """
import leuko.cli.main
sys.argv[0] = "leuko"
raise SystemExit(leuko.cli.main.main())
"""
INSTALL = 'install it with `pip install "leuko[train]"` (in a checkout: `make install`)'


@pytest.fixture
def smear_file(smear, tmp_path) -> Path:
    np.save(tmp_path / "smear.npy", smear)
    return tmp_path / "smear.npy"


def without_class_activation_maps(folder: Path) -> Path:
    """A small model whose heat maps need gradients."""
    torch.manual_seed(0)
    network = backbones.create("mobilenetv3_small_050", 2, weights="none").eval().requires_grad_(False)
    network.round_to_half_precision()
    features = np.eye(2, network.timm_model.head_hidden_size)
    metadata = model_folder.ModelMetadata(
        "Small", ("b",), 1.0, OperatingPoint(0.5, (0.2, 0.8), ""), MahalanobisOOD.fit(features, features), {"steps": 1}
    )
    with model_folder.new_folder(folder) as draft:
        preprocessing = Preprocessing((64, 64), "bicubic", (0.5,) * 3, (0.25,) * 3)
        model_folder.write_network(draft, network, ("a", "b"), preprocessing, metadata)
    return folder


def test_the_embedded_model_gives_the_same_finding_and_heat_map(embedded, smear, smear_file):
    done = run_without_pytorch(CLASSIFY, smear_file)
    assert done.returncode == 0, done.stderr[-3000:]
    finding, heat_map, white_cells = json.loads(done.stdout)
    result = embedded.analyse(smear)
    assert finding == result.finding.as_json("x")
    assert np.array(heat_map) == pytest.approx(embedded.heat_map(result, embedded.labels[0]), abs=1e-6)
    assert white_cells == result.segmentation.white_cells.max()


def test_the_version_names_what_is_installed():
    done = run_without_pytorch(COMMANDS, "--version")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "leuko" in done.stdout.lower() and "onnxruntime" in done.stdout


def test_a_heat_map_that_needs_gradients_names_the_command(smear_file, tmp_path):
    folder = without_class_activation_maps(tmp_path / "model")
    done = run_without_pytorch(CLASSIFY, smear_file, folder)
    assert done.returncode == 1
    assert f"The heat map of Small needs PyTorch, which is not installed; {INSTALL}." in done.stderr


def test_a_model_that_must_be_exported_names_the_command(smear_file, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(model_folder.EMBEDDED, tmp_path / "model")
    (tmp_path / "model" / model_folder.ONNX).unlink()
    done = run_without_pytorch(CLASSIFY, smear_file, tmp_path / "model")
    assert done.returncode == 1
    assert f"exporting it needs PyTorch, which is not installed; {INSTALL}." in done.stderr


def test_a_heat_map_segments_nothing(embedded, smear, monkeypatch):
    result = embedded.analyse(smear)
    monkeypatch.setattr("leuko.inference.classifier.segment", lambda *_, **__: pytest.fail("cells were segmented"))
    label = result.finding.label
    assert embedded.explain(smear) == pytest.approx(embedded.heat_map(result, label))
    again = embedded.analyse(smear, segmentation=result.segmentation)
    assert again.finding == result.finding

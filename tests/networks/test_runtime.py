"""What runs a network: the same answers by ONNX Runtime as by PyTorch, without importing it."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from leuko.inference.classifier import Classifier
from leuko.networks import backbones, grad_cam, model_folder, runtime
from leuko.networks.export import export_onnx
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.system.threads import cores, in_order
from tests.conftest import ROOT

HEAVY = ("torch", "timm", "transformers", "datasets", "sklearn", "matplotlib", "pandas", "huggingface_hub")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(runtime, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def copied(tmp_path) -> Path:
    """The embedded model folder, to be spoilt."""
    target = tmp_path / "model"
    shutil.copytree(model_folder.EMBEDDED, target)
    return target


def small(backbone: str, embedded: Classifier, place: Path) -> Path:
    """A folder with a network of random weights at 64 pixels."""
    torch.manual_seed(0)
    network = backbones.create(backbone, 4, weights="none").eval()
    network.round_to_half_precision()
    known = embedded.model.metadata
    ood_detector = replace(
        known.ood_detector, mean=np.zeros((1, network.timm_model.head_hidden_size), "f"), directions=np.zeros((0, 1))
    )
    ood_detector = replace(ood_detector, directions=ood_detector.mean[:0], variance=np.ones(1, "f"))
    how = Preprocessing((64, 64), "bicubic", (0.5,) * 3, (0.5,) * 3)
    with model_folder.new_folder(place) as draft:
        metadata = replace(known, ood_detector=ood_detector, training={"steps": 1})
        model_folder.write_network(draft, network, embedded.labels, how, metadata)
    return place


def test_onnx_runtime_and_pytorch_say_the_same(embedded, smear):
    pixels = np.stack([to_input(view, embedded.model.preprocessing) for view in (smear, smear[::-1], smear[:150])])
    assert isinstance(embedded.runtime, runtime.OnnxRuntime)
    pairs = zip(embedded.runtime.run(pixels), runtime.TorchRuntime(embedded.model.network).run(pixels), strict=True)
    for fast, slow in pairs:
        assert np.allclose(fast.logits, slow.logits, atol=1e-4)
        assert np.allclose(fast.features, slow.features, atol=1e-4)
        assert fast.feature_map == pytest.approx(slow.feature_map, abs=1e-3)


def test_heat_maps_are_those_of_pytorch_grad_cam(embedded, smear):
    reading = embedded.analyse(smear, use_cells=False)
    network = embedded.model.network.timm_model
    pixels = torch.from_numpy(to_input(smear, embedded.model.preprocessing))[None]
    trained = [p for p in network.parameters() if p.requires_grad]
    network.requires_grad_(True)  # the oracle needs a backward pass
    try:
        with GradCAM(network, [network.bn2]) as oracle:
            for number, label in enumerate(embedded.labels):
                theirs = oracle(pixels, [ClassifierOutputTarget(number)])[0]
                ours = grad_cam.upsample(embedded.heat_map(reading, label), *theirs.shape)
                assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] >= 0.999
    finally:
        network.requires_grad_(bool(trained))


@pytest.mark.parametrize(
    ("backbone", "chain"), [("resnet18", True), ("compact_cnn", True), ("mobilenetv3_small_050", False)]
)
def test_heads_of_all_kinds_are_explained(backbone, chain, embedded, smear, tmp_path):
    ours = Classifier.load(small(backbone, embedded, tmp_path / "model"))
    reading = ours.analyse(smear, use_cells=False)
    assert isinstance(ours.runtime, runtime.OnnxRuntime) and (reading.output.cams is not None) == chain
    with torch.no_grad():
        feature_map = ours.model.network.trunk(torch.from_numpy(to_input(smear, ours.model.preprocessing))[None])
    for number, label in enumerate(ours.labels):
        by_gradient = grad_cam.grad_cam(ours.model.network, feature_map, number)
        assert ours.heat_map(reading, label) == pytest.approx(by_gradient, abs=1e-3)


def test_the_dense_layers_of_vgg_are_explained_as_by_pytorch_grad_cam(smear, tmp_path):
    """On the map of 7 × 7 that they are made for, and two images at once."""
    torch.manual_seed(0)
    network = Network(timm.create_model("vgg11", num_classes=4, mlp_ratio=1 / 64).eval())
    export_onnx(network, (224, 224), tmp_path / "model.onnx")
    how = Preprocessing((224, 224), "bicubic", (0.5,) * 3, (0.5,) * 3)
    pixels = np.stack([to_input(view, how) for view in (smear, smear[:150])])
    found = runtime.OnnxRuntime(tmp_path / "model.onnx").run(pixels)
    with GradCAM(network.timm_model, [network.timm_model.features]) as oracle:
        for number in range(4):
            theirs = oracle(torch.from_numpy(pixels), [ClassifierOutputTarget(number)] * 2)
            for output, their in zip(found, theirs, strict=True):
                ours = grad_cam.upsample(grad_cam.positive_part(output.cams[number]), *their.shape)
                assert ours.max() < 1e-6 > their.max() or np.corrcoef(ours.ravel(), their.ravel())[0, 1] >= 0.999


def test_neither_the_command_line_nor_the_app_imports_what_is_heavy(tmp_path, smear):
    np.save(tmp_path / "smear.npy", smear)
    code = f"""
import sys, numpy as np, leuko, leuko.__main__
classifier = leuko.load()
reading = classifier.analyse(np.load({str(tmp_path / "smear.npy")!r}))
classifier.heat_map(reading, "Early")
print([name for name in {HEAVY} if name in sys.modules])
from leuko.serving.tabs import examples
from leuko.serving.interface import build
build(classifier, examples.gather())
print([name for name in ("torch", "timm", "transformers", "datasets", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "[]"], done.stdout + done.stderr[-2000:]


def test_a_model_without_onnx_is_exported_once(copied, cache, smear, embedded, caplog):
    (copied / model_folder.ONNX).unlink()
    with caplog.at_level(logging.WARNING, "leuko"):
        first = Classifier.load(copied)
    assert [record.message for record in caplog.records if "exporting it, once" in record.message]
    caplog.clear()
    again = Classifier.load(copied)
    assert not caplog.records and len(list(cache.iterdir())) == 1
    for classifier in (first, again):
        assert isinstance(classifier.runtime, runtime.OnnxRuntime)
        assert classifier.classify(smear).probabilities == pytest.approx(embedded.classify(smear).probabilities, 1e-3)


def test_where_nothing_can_be_kept_it_is_served_all_the_same(copied, tmp_path, monkeypatch, smear):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(runtime, "CACHE", tmp_path / "file" / "cache")
    (copied / model_folder.ONNX).unlink()
    assert Classifier.load(copied).classify(smear).label


def test_an_onnx_file_that_is_not_the_models_own_is_not_served(copied, cache, smear, embedded):
    """Cut off, or another network's: the digest in leuko.json tells."""
    other = small("resnet18", embedded, copied.parent / "other") / model_folder.ONNX
    shutil.copy(other, copied / model_folder.ONNX)
    assert Classifier.load(copied).classify(smear).probabilities == pytest.approx(
        embedded.classify(smear).probabilities, abs=1e-3
    )


def test_a_folder_of_another_architecture_is_refused(copied):
    config = json.loads((copied / model_folder.CONFIG).read_text())
    (copied / model_folder.CONFIG).write_text(json.dumps(config | {"architecture": "resnet18"}))
    with pytest.raises(model_folder.ModelFolderError, match="do not fit resnet18"):
        Classifier.load(copied)


def test_the_network_alone_can_be_asked(embedded, smear):
    alone, both = embedded.analyse(smear, use_cells=False), embedded.analyse(smear)
    assert alone.segmentation is None and both.segmentation is not None
    assert alone.finding.evidence["cells"] is None
    assert alone.finding.probabilities == pytest.approx(both.finding.probabilities)


def test_work_is_done_in_order_a_few_things_ahead():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = in_order(lambda number: number**2, items())
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(taken) <= 3 + 2 * cores() + 1
    results.close()
    assert len(taken) <= 3 + 2 * cores() + 1
    assert list(in_order(str, range(10))) == [str(number) for number in range(10)]
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 / (number - 5), range(10)))

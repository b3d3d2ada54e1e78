"""Networks that timm lacks, and ensembles: as published, and the same network to timm, transformers, ONNX and us."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.models import alexnet as published_alexnet
from transformers import AutoModelForImageClassification

import leuko
from leuko.decision.calibration import OperatingPoint
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.networks import ensemble, ensemble_network, grad_cam, model_folder
from leuko.networks.backbones import create
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from tests.conftest import ROOT

LABELS = ("Benign", "Early", "Pre")


@pytest.mark.parametrize(
    ("name", "millions", "channels", "features"),
    [("alexnet", 61.100840, 256, 4096), ("vgg16", 138.357544, 512, 4096), ("vgg16_bn", 138.365992, 512, 4096)],
)
def test_published_networks_have_their_published_size(name, millions, channels, features):
    with torch.device("meta"):
        network = timm.create_model(name)
    assert sum(p.numel() for p in network.parameters()) == round(1e6 * millions)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == name.endswith("_bn")
    pixels = torch.zeros(2, 3, 224, 224, device="meta")
    assert network.forward_features(pixels).shape[:2] == (2, channels)
    assert network.forward_head(network.forward_features(pixels), pre_logits=True).shape == (2, features)
    assert network(pixels).shape == (2, 1000)


def test_alexnet_is_torchvisions():
    theirs = published_alexnet().eval()
    ours = timm.create_model("alexnet").eval()
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        assert torch.allclose(ours(pixels), theirs(pixels), atol=1e-5)


@pytest.mark.parametrize("name", ["alexnet", "compact_cnn"])
def test_networks_of_ours_are_trained_like_any_other(name):
    network = create(name, 3, weights="none", dropout=0.1)
    pixels = torch.randn(2, 3, 96, 96)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.freeze("partial")
    network.train()
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    network(pixels).square().mean().backward()
    optimiser.step()
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert "timm_model.features.0.weight" not in moved
    assert f"timm_model.classifier.{len(network.timm_model.classifier) - 1}.weight" in moved
    network.timm_model.reset_classifier(7)
    assert network(pixels).shape == (2, 7)


def some_features(network: Network) -> np.ndarray:
    width = network.pooled(network.trunk(torch.zeros(1, 3, 64, 64))).shape[1]
    return np.random.default_rng(0).normal(size=(30, width))


def model(backbone: str, mean: float, seed: int) -> model_folder.Model:
    torch.manual_seed(seed)
    network = create(backbone, len(LABELS), weights="none").eval().requires_grad_(False)
    with torch.no_grad():  # answers that differ, as those of trained networks do
        network.timm_model.get_classifier().weight.mul_(20)
    network.round_to_half_precision()
    how = Preprocessing((64, 64), "bicubic", (mean,) * 3, (0.5 * mean,) * 3)
    features = np.random.default_rng(0).normal(
        size=(30, network.pooled(network.trunk(torch.zeros(1, 3, 64, 64))).shape[1])
    )
    metadata = model_folder.ModelMetadata(
        name=backbone,
        positive=LABELS[1:],
        temperature=1.0,
        operating_point=OperatingPoint.fit(np.linspace(0, 1, 20), np.arange(20) > 9),
        ood_detector=MahalanobisOOD.fit(features, features),
        training={"steps": 5},
    )
    return model_folder.Model(network, backbone, LABELS, how, metadata, "")


@pytest.fixture(scope="module")
def members() -> list[model_folder.Model]:
    return [model("resnet10t", 0.5, 1), model("compact_cnn", 0.4, 2)]


@pytest.fixture(scope="module")
def saved(members, tmp_path_factory):
    network, how = ensemble.combine(members)
    features = np.random.default_rng(0).normal(
        size=(30, network.pooled(network.trunk(torch.zeros(1, 3, 64, 64))).shape[1])
    )
    metadata = replace(members[0].metadata, name="two", ood_detector=MahalanobisOOD.fit(features, features))
    target = tmp_path_factory.mktemp("models") / "two"
    with model_folder.new_folder(target) as draft:
        model_folder.write_network(draft, network, LABELS, how, metadata)
    return target


def test_an_ensemble_folder_answers_with_the_mean_of_its_members(members, saved, smear):
    found = leuko.load(str(saved)).classify(smear).probabilities
    each = []
    for member in members:
        with torch.no_grad():
            pixels = torch.from_numpy(to_input(smear, member.preprocessing))[None]
            each.append(member.network(pixels).softmax(dim=1)[0].numpy())
    assert np.abs(each[0] - each[1]).max() > 0.05
    assert list(found.values()) == pytest.approx(np.mean(each, axis=0), abs=1e-4)


def test_strangers_and_onnx_agree_on_an_ensemble(saved, smear):
    ours = leuko.load(str(saved))
    pixels = torch.from_numpy(np.stack([to_input(image, ours.model.preprocessing) for image in (smear, smear[::-1])]))
    with torch.no_grad():
        logits = ours.model.network(pixels).numpy()
        by_timm = timm.create_model(f"local-dir:{saved}", pretrained=True).eval()(pixels).numpy()
        by_transformers = AutoModelForImageClassification.from_pretrained(saved)(pixels).logits.numpy()
    import onnxruntime

    by_onnx = onnxruntime.InferenceSession(saved / "onnx" / "model.onnx").run(
        ["logits"], {"pixel_values": pixels.numpy()}
    )
    for theirs in (by_timm, by_transformers, by_onnx[0]):
        assert np.abs(theirs - logits).max() < 1e-4


def test_importing_the_models_is_all_a_stranger_needs(saved):
    known = f"timm.create_model('local-dir:{saved}', pretrained=True)"
    code = f"import leuko.networks.backbones, timm; print({known}.num_classes)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "3", done.stderr[-2000:]


def test_an_ensembles_heat_map_is_the_weighed_mean_of_its_members(members, saved, smear):
    ours = leuko.load(str(saved))
    reading = ours.analyse(smear)
    maps, shares = [], []
    for member in members:
        with torch.no_grad():
            feature_map = member.network.trunk(torch.from_numpy(to_input(smear, member.preprocessing))[None])
            shares.append(float(member.network.head(feature_map).softmax(dim=1)[0, 1]))
        maps.append(grad_cam.upsample(grad_cam.grad_cam(member.network, feature_map, 1), 4, 4))
    wanted = sum(share * cam for share, cam in zip(shares, maps, strict=True))
    heat = ours.heat_map(reading, "Early")
    assert heat.shape == (4, 4)
    assert heat == pytest.approx(wanted / wanted.max(), abs=1e-3)


def test_networks_of_other_layouts_can_be_averaged(members, smear):
    torch.manual_seed(0)
    swin = Network(timm.create_model("swinv2_cr_tiny_224", num_classes=3, img_size=64, window_size=2).eval())
    pair = [members[0], replace(members[0], weights=swin, backbone="swinv2_cr_tiny_224")]
    network, how = ensemble.combine(pair)
    with torch.no_grad():
        pixels = torch.from_numpy(to_input(smear, how))[None]
        wanted = (members[0].network(pixels).softmax(dim=1) + swin(pixels).softmax(dim=1)) / 2
        assert torch.allclose(network(pixels).softmax(dim=1), wanted, atol=1e-5)


def test_a_temperature_sharpens_the_mean(members, smear):
    network, how = ensemble.combine(members)
    with torch.no_grad():
        pixels = torch.from_numpy(to_input(smear, how))[None]
        before = network(pixels)
        network.fold_temperature(0.5)
        assert torch.allclose(network(pixels), 2 * before)


def test_what_does_not_belong_together_is_refused(members):
    how = members[1].preprocessing
    otherwise = {"bicubic": "bilinear", "bilinear": "bicubic"}[how.interpolation]
    resized_otherwise = replace(members[1], preprocessing=replace(how, interpolation=otherwise))
    with pytest.raises(ensemble.EnsembleError, match="sees its images otherwise"):
        ensemble.combine([members[0], resized_otherwise])
    with pytest.raises(ensemble.EnsembleError, match="other classes"):
        ensemble.combine([members[0], replace(members[1], labels=("a", "b", "c"))])
    with pytest.raises(ensemble.EnsembleError, match="two"):
        ensemble.combine(members[:1])


def test_a_member_of_another_size_sees_the_image_as_pillow_makes_it_smaller(smear):
    large = Image.fromarray(smear).resize((224, 224), Image.Resampling.BICUBIC)
    small = np.asarray(large.resize((96, 96), Image.Resampling.BICUBIC), np.float32)
    resize = ensemble_network._Resize((224, 224), (96, 96))
    found = resize(torch.from_numpy(np.array(large, np.float32)).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert np.abs(found.clamp(0, 255).numpy() - small).max() < 1.5  # Pillow rounds in between

"""Backbones, Grad-CAM, calibration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import save_file
from scipy.special import softmax
from sklearn.metrics import log_loss
from torch import nn

from leuko.decision.calibration import OperatingPoint, fit_temperature
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.images.decode import decode
from leuko.networks import backbones, grad_cam, model_folder
from leuko.networks.network import Network
from leuko.networks.preprocessing import to_input
from leuko.networks.trunk_files import GENERAL, TrunkFiles
from scripts.write_imagenet_weights import imagenet

# For each backbone the module whose output is the last feature map, where the oracle hooks in.
LAST = {
    "vgg16": lambda m: m.features,
    "resnet50": lambda m: m.layer4,
    "densenet201": lambda m: m.features,
    "efficientnet_lite0": lambda m: m.bn2,
}


@pytest.fixture(scope="module", params=LAST)
def network(request) -> tuple[str, Network]:
    torch.manual_seed(0)
    return request.param, backbones.create(request.param, 4, weights="none").eval()


def test_head_after_trunk_is_the_network(network):
    _, net = network
    pixels = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(net.head(net.trunk(pixels)), net.timm_model(pixels), atol=1e-6)


@pytest.mark.parametrize("mode", ["frozen", "partial", "full"])
def test_what_is_frozen_does_not_move(network, mode):
    """Also not the running statistics, although the Trainer sets train mode at every step."""
    name, net = network
    net.freeze(mode)
    statistics = {
        k: v.clone() for m in net.frozen_batch_norms().values() for k, v in m.named_buffers(prefix=str(id(m)))
    }
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    net.train()
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(torch.randn(3, 3, 64, 64)), torch.tensor([0, 1, 2])).backward()
        optimiser.step()
    after = {k: v for m in net.frozen_batch_norms().values() for k, v in m.named_buffers(prefix=str(id(m)))}
    assert all(torch.equal(statistics[k], after[k]) for k in statistics)
    moved = {k for k, p in net.named_parameters() if not torch.equal(before[k], p)}
    learning = {k for k, p in net.named_parameters() if p.requires_grad}
    assert moved <= learning
    total = len(before)
    assert {"frozen": len(learning) == 2, "partial": 2 < len(learning) < total, "full": len(learning) == total}[mode]
    assert bool(statistics) == (mode != "full" and name != "vgg16")


def test_grad_cam_agrees_with_pytorch_grad_cam(network, smear):
    name, net = network
    net.freeze("full")
    net.eval()
    pixels = torch.from_numpy(smear.transpose(2, 0, 1).copy()).float()[None] / 127.5 - 1
    with torch.no_grad():
        feature_map = net.trunk(pixels)
    for label in range(4):
        ours = grad_cam.upsample(grad_cam.grad_cam(net, feature_map, label), 224, 224)
        with GradCAM(net.timm_model, [LAST[name](net.timm_model)]) as oracle:
            theirs = oracle(pixels, [ClassifierOutputTarget(label)])[0]
        if theirs.max() < 1e-6:
            assert ours.max() < 1e-6
        else:
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


def test_grad_cam_keeps_no_state(network):
    _, net = network
    feature_map = net.trunk(torch.zeros(1, 3, 64, 64)).detach()
    first = grad_cam.grad_cam(net, feature_map, 1)
    grad_cam.grad_cam(net, feature_map, 2)
    assert (grad_cam.grad_cam(net, feature_map, 1) == first).all()
    assert not feature_map.requires_grad and feature_map.grad is None
    assert all(p.grad is None for p in net.parameters() if not p.requires_grad)


def test_transformers_with_tokens_have_maps_too():
    net = backbones.create("vit_tiny_patch16_224", 3, weights="none").eval()
    with torch.no_grad():
        feature_map = net.trunk(torch.randn(1, 3, 224, 224))
    assert grad_cam.grad_cam(net, feature_map, 0).shape == (14, 14)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"backbone": "resnot50"}, "did you mean"),
        ({"backbone": "resnet18", "weights": "weights.pth"}, "safetensors"),
        ({"backbone": "resnet18", "weights": "nowhere.safetensors"}, "missing"),
    ],
)
def test_unusable_weights_are_refused(arguments, words):
    with pytest.raises(backbones.WeightsError, match=words):
        backbones.create(classes=2, **{"weights": "none", **arguments})


def test_initial_weights_with_other_classes_fit_but_for_the_last_layer(tmp_path):
    source = backbones.create("resnet18", 10, weights="none")
    save_file(source.timm_model.state_dict(), tmp_path / "w.safetensors")
    target = backbones.create("resnet18", 3, weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(source.timm_model.layer4[1].conv2.weight, target.timm_model.layer4[1].conv2.weight)
    with torch.no_grad():  # a new last layer favours no class, so that its first mistakes do not spoil the trunk
        assert not target.eval()(torch.randn(2, 3, 64, 64)).any()
    same = backbones.create("resnet18", 10, weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(same.timm_model.fc.weight, source.timm_model.fc.weight)
    with pytest.raises(backbones.WeightsError, match="does not fit"):
        backbones.create("resnet50", 3, weights=str(tmp_path / "w.safetensors"))


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(4000, 3)) * 2
    labels = np.array([rng.choice(3, p=p) for p in softmax(honest, axis=1)])
    temperature = fit_temperature(honest * 4, labels)
    assert temperature == pytest.approx(4, rel=0.1)
    assert log_loss(labels, softmax(honest * 4 / temperature, axis=1)) < log_loss(labels, softmax(honest * 4, axis=1))


def test_a_faultless_validation_split_does_not_make_the_network_certain():
    labels = np.arange(200) % 2
    logits = np.where(np.arange(2) == labels[:, None], 2.0, -2.0)
    assert 0.5 < fit_temperature(logits, labels) < 1


def test_operating_point_keeps_its_promises():
    rng = np.random.default_rng(1)
    positive = rng.random(2000) < 0.5
    probability = np.clip(rng.normal(np.where(positive, 0.8, 0.2), 0.2), 0, 1)
    point = OperatingPoint.fit(probability, positive)
    low, high = point.abstain
    assert (probability[positive] >= point.threshold).mean() >= 0.98
    assert (probability[~positive] < high).mean() >= 0.98
    assert low <= point.threshold <= 0.5 <= high
    assert [point.decide(p) for p in (low / 2, (low + high) / 2, high)] == ["not suspicious", "uncertain", "suspicious"]
    assert OperatingPoint.from_json(point.as_json()) == point


def test_the_ood_detector_accepts_the_training_distribution_and_rejects_what_is_far():
    rng = np.random.default_rng(2)
    known = rng.normal(3, 2, size=(1000, 50))
    ood_detector = MahalanobisOOD.fit(known[:500], known[500:])
    assert (ood_detector.distance(known[500:]) <= ood_detector.bound).mean() >= 0.97
    assert (ood_detector.distance(rng.normal(3, 6, size=(100, 50))) > ood_detector.bound).all()


def test_the_ood_detector_is_of_directions_and_of_classes():
    rng = np.random.default_rng(3)
    centre = np.eye(4, 60) * 8
    labels = rng.integers(4, size=800)
    known = centre[labels] + rng.normal(0, 0.7, size=(800, 60))
    ood_detector = MahalanobisOOD.fit(known[:400], known[400:], labels[:400])
    assert ood_detector.distance(known[0]) == pytest.approx(
        ood_detector.distance(known[0] * 0.1)
    )  # faint, but the same
    between = (centre[0] + centre[1]) / 2 + rng.normal(0, 0.7, size=(100, 60))
    faint = rng.normal(0, 0.1, size=(100, 60))  # what the network sees nothing in, near the mean of all
    for strange in (between, faint):
        assert (ood_detector.distance(strange) > ood_detector.bound).mean() > 0.95
    alike = MahalanobisOOD.from_json(ood_detector.as_json())
    assert np.allclose(alike.distance(known), ood_detector.distance(known), rtol=1e-2)
    with pytest.raises(ValueError, match="rows"):
        MahalanobisOOD.from_json(ood_detector.as_json() | {"mean": [0.0] * 60})
    few = MahalanobisOOD.fit(known[:6], known[400:])  # of few images, too
    assert (few.distance(known[400:]) <= few.bound).mean() >= 0.97


def test_the_general_trunk_is_that_of_imagenet_in_half_precision(real_files, tmp_path):
    """Against the weights it was made from, in single precision."""
    half = GENERAL / "efficientnet_lite0" / model_folder.WEIGHTS
    save_file(imagenet(), tmp_path / "whole.safetensors")
    assert half.stat().st_size < 7.1e6 < 1.8e7 < (tmp_path / "whole.safetensors").stat().st_size
    how = model_folder.load().preprocessing
    pixels = torch.from_numpy(np.stack([to_input(decode(file), how) for file in real_files[::4]]))
    features = []
    for weights in (half, tmp_path / "whole.safetensors"):
        network = backbones.create("efficientnet_lite0", 2, weights=str(weights)).eval()
        with torch.no_grad():
            features.append(network.pooled(network.trunk(pixels)))
    assert torch.cosine_similarity(*features).min() > 0.99999
    exported = TrunkFiles.general("efficientnet_lite0").open(how.size).features(pixels.numpy())
    assert exported == pytest.approx(features[0].numpy(), abs=1e-4)


def test_committed_weights_stay_small():
    sizes = [f.stat().st_size for f in model_folder.EMBEDDED.parent.rglob("*") if f.suffix in (".safetensors", ".onnx")]
    assert max(sizes) < 10e6 and sum(sizes) < 30e6

"""Compare results of Deep Leuko with independent programs on real images.

    python -m benchmarks.agreement ../shared/data/aria

Two comparisons: Grad-CAM with pytorch-grad-cam, on the same weights and layer, for four backbones; and the embedded
model with timm, transformers and ONNX Runtime. For Grad-CAM, weights are from ImageNet or random, because only the
computation is compared and not the network.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import timm
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from transformers import AutoModelForImageClassification, pipeline

from leuko.images.decode import decode
from leuko.inference.classifier import Classifier
from leuko.networks import backbones, grad_cam, model_folder
from leuko.networks.network import Network
from leuko.networks.preprocessing import to_input

IMAGES = 20
LAST = {
    "vgg16": lambda m: m.features,
    "resnet50": lambda m: m.layer4,
    "densenet201": lambda m: m.features,
    "efficientnet_lite0": lambda m: m.bn2,
}


def main(data: Path) -> None:
    files = [f for c in sorted(data.iterdir()) for f in sorted(c.iterdir())[3 :: len(list(c.iterdir())) // 5][:5]]
    images = [decode(file) for file in files[:IMAGES]]
    classifier = Classifier.load()
    how = classifier.model.preprocessing
    pixels = torch.from_numpy(np.stack([to_input(image, how) for image in images]))

    print("| agreement on 20 real images | target | measured |\n|---|---|---|")
    for name in LAST:
        torch.manual_seed(0)
        network = backbones.create(name, 4, weights="none").eval()
        row("Grad-CAM, " + name + " (random weights)", "≥ 0.999", min(correlations(network, LAST[name], pixels)))
    network = classifier.model.network.requires_grad_(True)
    row("Grad-CAM, embedded default", "≥ 0.999", min(correlations(network, LAST["efficientnet_lite0"], pixels)))

    model = str(model_folder.EMBEDDED)
    with torch.no_grad():
        ours = network(pixels).numpy()
        by_timm = timm.create_model(f"local-dir:{model}", pretrained=True).eval()(pixels).numpy()
        by_transformers = AutoModelForImageClassification.from_pretrained(model)(pixels).logits.numpy()
    session = onnxruntime.InferenceSession(model_folder.EMBEDDED / model_folder.ONNX)
    by_onnx = session.run(["logits"], {"pixel_values": pixels.numpy()})[0]
    for name, logits in {"timm": by_timm, "AutoModel": by_transformers, "ONNX Runtime": by_onnx}.items():
        row(f"logits, {name}: largest difference", "≤ 1e-4", np.abs(logits - ours).max())
    ask = pipeline("image-classification", model=model)
    worst = 0.0
    for image in images:
        theirs = {answer["label"]: answer["score"] for answer in ask(Image.fromarray(image))}
        found = classifier.classify(image).probabilities
        worst = max(worst, max(abs(theirs[name] - found[name]) for name in found))
    row("probabilities, pipeline from the image: largest difference", "≤ 1e-3", worst)


def correlations(network: Network, last: object, pixels: torch.Tensor) -> list[float]:
    """Pearson correlation of the two programs' maps, for the most probable class of each image."""
    found = []
    with GradCAM(network.timm_model, [last(network.timm_model)]) as oracle:
        for one in pixels.split(1):
            with torch.no_grad():
                feature_map = network.trunk(one)
                label = int(network.head(feature_map).argmax())
            ours = grad_cam.upsample(grad_cam.grad_cam(network, feature_map, label), *one.shape[2:])
            theirs = oracle(one, [ClassifierOutputTarget(label)])[0]
            if theirs.max() > 1e-6:  # otherwise nothing speaks for the class, and both maps are empty
                found.append(float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]))
    print(f"<!-- {len(found)} maps compared -->", file=sys.stderr)
    return found


def row(what: str, target: str, measured: float) -> None:
    print(f"| {what} | {target} | {measured:.3g} |" if measured < 0.5 else f"| {what} | {target} | {measured:.6f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

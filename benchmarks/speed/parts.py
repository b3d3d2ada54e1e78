"""What is timed inside a process: `python -m benchmarks.speed.parts PART WHO MODEL IMAGES` prints one JSON object.

`ours` never imports PyTorch; `peer` is what people would write with timm, pytorch-grad-cam and transformers.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

RUNS = 30
WARM = 5
THREADS = len(os.sched_getaffinity(0))


def timed(work: Callable[[], Any], runs: int = RUNS) -> list[float]:
    """Seconds of each run, after a few that do not count."""
    for _ in range(WARM):
        work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def explain_ours(model: str, images: list[Path]) -> dict[str, Any]:
    """Decoded image → probabilities and overlay; and the network part alone."""
    from leuko.images.decode import decode
    from leuko.inference.classifier import Classifier
    from leuko.networks import grad_cam
    from leuko.networks.preprocessing import to_input

    classifier, image = Classifier.load(model), decode(images[0])
    pixels = to_input(image, classifier.model.preprocessing)[None]

    def whole() -> tuple[dict[str, float], np.ndarray]:
        reading = classifier.analyse(image, use_cells=False)
        cam = classifier.heat_map(reading, reading.finding.label)
        grad_cam.overlay(image, cam)
        return reading.finding.probabilities, cam

    reading = classifier.analyse(image, use_cells=False)

    def network() -> None:
        (output,) = classifier.runtime.run(pixels)
        classifier.heat_map(replace(reading, output=output), reading.finding.label)

    probabilities, cam = whole()
    return {
        "seconds": timed(whole),
        "network": timed(network),
        "probabilities": list(probabilities.values()),
        "cam": grad_cam.upsample(cam, 224, 224).ravel()[::101].tolist(),
    }


def explain_peer(model: str, images: list[Path]) -> dict[str, Any]:
    """The same by pytorch-grad-cam on eager PyTorch, with the same pre- and post-processing."""
    import timm
    import torch
    from pytorch_grad_cam import GradCAM

    from leuko.images.decode import decode
    from leuko.networks import grad_cam, model_folder
    from leuko.networks.preprocessing import to_input

    torch.set_num_threads(THREADS)
    network = timm.create_model(f"local-dir:{model}", pretrained=True).eval()
    assert all(p.dtype == torch.float32 for p in network.parameters())
    how, image = model_folder.load(model).preprocessing, decode(images[0])
    peer_cam = GradCAM(network, [_last(network)])
    pixels = torch.from_numpy(to_input(image, how)[None])

    def whole() -> tuple[torch.Tensor, np.ndarray]:
        cam = peer_cam(torch.from_numpy(to_input(image, how)[None]), None)[0]
        grad_cam.overlay(image, cam)
        return peer_cam.outputs.softmax(dim=1)[0], cam

    probabilities, cam = whole()
    return {
        "seconds": timed(whole),
        "network": timed(lambda: peer_cam(pixels, None)),
        "probabilities": probabilities.tolist(),
        "cam": cam.ravel()[::101].tolist(),
    }


LAST = {"EfficientNet": "bn2", "ResNet": "layer4", "DenseNet": "features.norm5", "VGG": "features"}


def _last(network: Any) -> Any:
    """The module whose output is the feature map, by the names in timm."""
    return network.get_submodule(LAST[type(network).__name__])


def classify_ours(model: str, images: list[Path]) -> dict[str, Any]:
    """Decoded image → probabilities."""
    from leuko.images.decode import decode
    from leuko.inference.classifier import Classifier

    classifier, image = Classifier.load(model), decode(images[0])
    found = classifier.analyse(image, use_cells=False).finding.probabilities
    return {"seconds": timed(lambda: classifier.analyse(image, use_cells=False)), "probabilities": list(found.values())}


def classify_peer(model: str, images: list[Path]) -> dict[str, Any]:
    """The same by a transformers pipeline."""
    from PIL import Image

    ask, labels = _pipeline(model)
    image = Image.open(images[0]).convert("RGB")
    found = {answer["label"]: answer["score"] for answer in ask(image)}
    return {"seconds": timed(lambda: ask(image)), "probabilities": [found[label] for label in labels]}


def batch_ours(model: str, images: list[Path]) -> dict[str, Any]:
    """A folder of images → a CSV of probabilities."""
    from leuko.images.decode import decode
    from leuko.inference.classifier import Classifier
    from leuko.system.threads import in_order

    classifier = Classifier.load(model)

    def row(file: Path) -> list[Any]:
        return [file.name, *classifier.analyse(decode(file), use_cells=False).finding.probabilities.values()]

    return _to_csv(lambda: in_order(row, images))


def cells_ours(model: str, images: list[Path]) -> dict[str, Any]:
    """The same with the cells judged: no peer does that."""
    from leuko.images.decode import decode
    from leuko.inference.classifier import Classifier
    from leuko.system.threads import in_order

    classifier = Classifier.load(model)

    def row(file: Path) -> list[Any]:
        return [file.name, *classifier.analyse(decode(file)).finding.probabilities.values()]

    return _to_csv(lambda: in_order(row, images))


def batch_peer(model: str, images: list[Path]) -> dict[str, Any]:
    """The same by a transformers pipeline at the best of four batch sizes."""
    ask, labels = _pipeline(model)
    names = [str(file) for file in images]

    def rows(size: int) -> list[list[Any]]:
        found = ask(names, batch_size=size)
        by_label = [{answer["label"]: answer["score"] for answer in answers} for answers in found]
        return [[Path(n).name, *(answer[label] for label in labels)] for n, answer in zip(names, by_label, strict=True)]

    tried = {size: _to_csv(lambda size=size: rows(size)) for size in (1, 4, 16, 32)}
    best = min(tried, key=lambda size: tried[size]["seconds"][0])
    return tried[best] | {"batch": best}


def _to_csv(rows: Callable[[], Any]) -> dict[str, Any]:
    for _ in zip(range(8), rows(), strict=False):  # warm
        pass
    with tempfile.TemporaryFile("w", newline="") as file:
        start = time.perf_counter()
        written = list(rows())
        csv.writer(file).writerows(written)
        seconds = time.perf_counter() - start
    return {"seconds": [seconds], "probabilities": np.array([row[1:] for row in written]).ravel().tolist()}


def _pipeline(model: str) -> tuple[Any, list[str]]:
    import torch
    from transformers import pipeline

    torch.set_num_threads(THREADS)
    ask = pipeline("image-classification", model=model, top_k=None)
    assert all(p.dtype == torch.float32 for p in ask.model.parameters())
    config = json.loads((Path(model) / "config.json").read_text())
    return ask, config["label_names"]


def field_ours(model: str, images: list[Path]) -> dict[str, Any]:
    """A large field, everything that the page shows; and the share of each stage."""
    from leuko.cells import overlay
    from leuko.cells.features import morphology
    from leuko.cells.segmentation import segment
    from leuko.images.decode import decode
    from leuko.inference.classifier import Classifier
    from leuko.serving.analysis import analyse

    classifier, file = Classifier.load(model), images[0]
    image = decode(file)
    found = segment(image)
    stages = {
        "decoding": lambda: decode(file),
        "network alone": lambda: classifier.analyse(image, use_cells=False),
        "segmentation": lambda: segment(image),
        "shapes": lambda: morphology.Measurements(found).shapes,
        "all figures": lambda: morphology.describe(image, found),
        "overlay": lambda: overlay.draw(image, found),
    }
    return {
        "seconds": timed(lambda: analyse(classifier, file), 5),
        "stages": {name: float(np.median(timed(stage, 5))) for name, stage in stages.items()},
        "cells": int(found.white_cells.max()),
    }


PARTS = {
    ("explain", "ours"): explain_ours,
    ("explain", "peer"): explain_peer,
    ("classify", "ours"): classify_ours,
    ("classify", "peer"): classify_peer,
    ("batch", "ours"): batch_ours,
    ("batch", "peer"): batch_peer,
    ("cells", "ours"): cells_ours,
    ("field", "ours"): field_ours,
}


def main() -> None:
    part, who, model, place = sys.argv[1:]
    images = sorted(Path(place).iterdir())
    answer = PARTS[part, who](model, images)
    if who == "ours":
        assert "torch" not in sys.modules or part == "explain", "PyTorch was imported"
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

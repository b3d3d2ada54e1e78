"""Features of a frozen trunk, computed once for all epochs: the head is then fitted on them in no time.

A frozen trunk says the same of an image in every epoch, and nearly all the time of an epoch goes into asking it. So it
is asked once for every image as it is, and for some augmented views.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import onnx
import onnxruntime
import torch
from sklearn.linear_model import LogisticRegression

from leuko.images.decode import read
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.training.augmentation import Augmentation, within

AGREE = 1e-3  # of the largest feature, by which an ONNX file may differ from the network
AHEAD = 4  # images that may be decoded before a trunk has looked at them
ITERATIONS = 300


class Trunk:
    """A network's frozen trunk, from inputs to pooled features; by ONNX Runtime if there is a file that says the same.

    ONNX Runtime takes about half the time of PyTorch on two cores.

    Attributes:
        network: in evaluation mode; it stays as it is.
        how: what its inputs are.
    """

    def __init__(self, network: Network, how: Preprocessing, onnx_file: Path | None = None) -> None:
        """Take the trunk of a network in evaluation mode.

        Args:
            network, how: as above; the size may be another than the network was trained at.
            onnx_file: what `leuko.networks.export` made of it, or None; not used where it disagrees with the network.

        Raises:
            RuntimeError, AssertionError: the network takes no inputs of that size.
        """
        self.network, self.how = network, how
        example = np.random.default_rng(0).standard_normal((1, 3, *how.size)).astype(np.float32)
        with torch.no_grad():
            pixels = torch.from_numpy(example).to(next(network.parameters()).device)
            expected = network.trunk(pixels).cpu().numpy()
        self._session = (
            _agreeing(onnx_file, example, expected) if onnx_file is not None and onnx_file.is_file() else None
        )

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Pooled features, float32, B × D, of inputs, float32, B × 3 × height × width."""
        with torch.no_grad():
            if self._session:
                (feature_map,) = self._session.run(["feature_map"], {"pixel_values": inputs})
                return self.network.pooled(torch.from_numpy(feature_map)).numpy()
            pixels = torch.from_numpy(inputs).to(next(self.network.parameters()).device)
            feature_map = self.network.trunk(pixels.contiguous(memory_format=torch.channels_last))  # faster on a CPU
            return self.network.pooled(feature_map).cpu().numpy()

    def digest(self) -> str:
        """Of the weights and of what the inputs are."""
        digest = hashlib.sha256(repr(self.how).encode())
        for name, tensor in self.network.timm_model.state_dict().items():
            digest.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
        return digest.hexdigest()


def features(
    trunks: Sequence[Trunk], open_image: Callable[[int], np.ndarray], count: int, *, views: int = 0, seed: int = 0
) -> list[np.ndarray]:
    """Features of images as they are and of augmented views, by one or several trunks.

    The views of an image depend on the seed and on its number alone.

    Args:
        trunks: whose features.
        open_image: decodes image 0 to `count` − 1: uint8, H × W × 3, RGB; asked once for each.
        count: of images.
        views: of each image, as if stained and taken in other laboratories.
        seed: of the augmentation.

    Returns:
        For each trunk float32, N × (1 + views) × D; the first of each image is of the image as it is.
    """
    kinds = {id(trunk.how): trunk.how for trunk in trunks}  # some trunks are shown the same
    augmentations = {kind: Augmentation(how.size, how.mean, how.std, "stain", how.stain) for kind, how in kinds.items()}
    found: list[list[np.ndarray]] = [[] for _ in trunks]
    running: list[Future[np.ndarray]] = []
    with torch.random.fork_rng(devices=[]), ThreadPoolExecutor(1) as beside:
        for number in range(count):
            image = open_image(number)
            inputs = {}
            for kind, how in kinds.items():
                small = within(image, how.size) if views else image  # once for all views
                torch.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
                some = [augmentations[kind](small).numpy() for _ in range(views)]
                inputs[kind] = np.stack([to_input(image, how), *some])
            for trunk, done in zip(trunks, found, strict=True):
                # While a trunk looks at one image, the next one is decoded; but not all of them at once.
                running.append(beside.submit(lambda t, i, d: d.append(t(i)), trunk, inputs[id(trunk.how)], done))
                if len(running) > AHEAD:
                    running.pop(0).result()
        for rest in running:
            rest.result()
    return [np.stack(done) for done in found]


def kept(folder: Path, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """What was computed before under the same key, or is now, and is then kept in a folder.

    Args:
        folder: made if need be.
        key: a digest of everything the result depends on: images (`digest_of`), trunk (`Trunk.digest`), views, seed.
        compute: gives an array of numbers.
    """
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # there is none, or it is damaged
        result = compute()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as written:
            np.save(written, result, allow_pickle=False)
        Path(draft).replace(file)
    finally:
        Path(draft).unlink(missing_ok=True)
    return result


def digest_of(images: Iterable[bytes | Path]) -> str:
    """A digest of undecoded images, in their order."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(hashlib.sha256(read(image)).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Head:
    """A linear head.

    Attributes:
        weight: float64, classes × D.
        bias: float64, classes.
        epochs: passes over the features that fitting took.
    """

    weight: np.ndarray
    bias: np.ndarray
    epochs: int

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, classes: int, strength: float) -> Self:
        """Multinomial logistic regression on all views, with squared weights held small; every class has the same say.

        Augmented views are moved together, so that their mean is that of the images as they are: what the augmentation
        does to all of them would move the border between the classes, and is not what will be asked about.

        Args:
            features: float, N × views × D; not all rows may be the same.
            labels: int, N, each class 0 to `classes` − 1 among them.
            classes: how many.
            strength: of fitting against holding weights small; 1 is strict, 1000 lenient, whatever D and the views.
        """
        count, views, dimensions = features.shape
        centre = features[:, 0].mean(axis=0, dtype=np.float64)
        rows = features - centre
        rows[:, 1:] -= rows[:, 1:].mean(axis=(0, 1)) if views > 1 else 0
        rows = rows.reshape(-1, dimensions)
        scale = max(float(rows.std()), 1e-9)
        model = LogisticRegression(C=strength / dimensions, max_iter=ITERATIONS, tol=1e-3)
        share = count / classes / np.bincount(labels, minlength=classes)
        model.fit(rows / scale, np.repeat(labels, views), np.repeat(share[labels] / views, views))
        weight, bias = model.coef_ / scale, model.intercept_
        if classes == 2:  # scikit-learn has one row of weights then
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return cls(weight, bias - weight @ centre, int(model.n_iter_.max()))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Logits, … × classes, of features, … × D."""
        return features @ self.weight.T + self.bias


def _agreeing(file: Path, example: np.ndarray, expected: np.ndarray) -> onnxruntime.InferenceSession | None:
    """A session for inputs of the example's size, or None if it does not give the expected feature map."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(_of_any_size(file), options, providers=["CPUExecutionProvider"])
        (found,) = session.run(["feature_map"], {"pixel_values": example})
    except Exception:  # ONNX Runtime raises many kinds; PyTorch does the same, more slowly
        return None
    agree = found.shape == expected.shape and np.abs(found - expected).max() <= AGREE * np.abs(expected).max()
    return session if agree else None


def _of_any_size(file: Path) -> bytes:
    """An exported network whose input may be of any height and width; most convolutional ones can do that."""
    model = onnx.load(file)
    for number, side in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[number].dim_param = side
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return model.SerializeToString()

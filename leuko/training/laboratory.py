"""What is looked at before adapting: which trunks might serve, and what they make of the images that can be used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset
from scipy.stats import binomtest
from torch import nn

from leuko.data.clean import Cleaning, inspect
from leuko.data.load import DataError, open_image
from leuko.images.stain import colour_statistics
from leuko.models import folder
from leuko.models.backbones import create
from leuko.training.cached import Trunk, features

GENERAL = folder.EMBEDDED.parent / "general"  # trunks that have seen no smear, by backbone
FEWEST = 5  # different pictures of each class, below which nothing is fitted
ENOUGH = 10  # groups of each class, below which nothing is promised
VIEWS = 6  # augmented views of each image at most,
LOOKS = 120  # and images and views together, unless there are more images: what a minute is enough for
SIZES = 1, 2  # of the network's input, relative to what the model takes
CHANCE = 0.01  # how rarely sizes may tell as much of the class by accident


@dataclass(frozen=True)
class Candidate:
    """A trunk that might serve, and where it comes from."""

    trunk: Trunk
    backbone: str
    name: str
    version: str


def candidates(model: str | None) -> list[Candidate]:
    """The model's trunk and, if there is one of the same network, the general trunk; each at several sizes of input."""
    place = folder.locate(model)
    base = folder.load(place)
    _linear(base)
    how = base.preprocessing
    if how.stain:  # one laboratory's images are all treated alike, even where some look like the model's own
        how = replace(how, stain=replace(how.stain, known=None))
    found = []
    for factor in SIZES:
        size = replace(how, size=(round(how.size[0] * factor), round(how.size[1] * factor)))
        try:
            trunk = Trunk(base.network, size, place / folder.ONNX)
        except (RuntimeError, AssertionError):  # transformers, for one, take inputs of one size only
            if factor == 1:
                raise
            continue
        found.append(Candidate(trunk, base.backbone, base.knowledge.name, base.version))
    weights = GENERAL / f"{base.backbone}.safetensors"
    if weights.is_file():
        general = create(base.backbone, 2, weights=str(weights)).eval().requires_grad_(False)
        name, version = f"{base.backbone} of ImageNet", hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
        found += [Candidate(Trunk(general, c.trunk.how), base.backbone, name, version) for c in found]
    return found


@dataclass(frozen=True)
class Sight:
    """The images that remain after cleaning, as the trunk and the baselines see them, all in the same order.

    Attributes:
        kept: int, their numbers among all rows.
        truth: int, N.
        features: of each trunk float32, N × (1 + views) × D.
        colours: float, N × 9.
        sizes: N strings, "width × height".
        cleaning: of all rows.
    """

    kept: np.ndarray
    truth: np.ndarray
    features: list[np.ndarray]
    colours: np.ndarray
    sizes: np.ndarray
    cleaning: Cleaning


def look(rows: Dataset, trunks: Sequence[Trunk], seed: int, say: Callable[[str], None]) -> Sight:
    """Clean, and look at what remains."""
    say(f"Reading {len(rows)} images.")
    cleaning = inspect(rows)
    for issue in cleaning.issues:
        if issue.action == "dropped":
            say(f"Left out: {issue.file}: {issue.message}")
    left = rows.select(cleaning.kept)
    truth = np.asarray(left["label"][:], dtype=int)
    _check_number(truth, cleaning.duplicates.picture[cleaning.kept], rows.features["label"].names)
    colours: list[np.ndarray] = []
    sizes: list[str] = []

    def open_row(number: int) -> np.ndarray:
        image = open_image(left[number]["image"])
        colours.append(colour_statistics(image))
        sizes.append(f"{image.shape[1]} × {image.shape[0]}")
        return image

    views = int(np.clip(LOOKS // len(left) - 1, 0, VIEWS))
    say(f"Looking at {len(left)} images and {views} augmented views of each.")
    deep = features(trunks, open_row, len(left), views=views, seed=seed)
    return Sight(cleaning.kept, truth, deep, np.stack(colours), np.array(sizes), cleaning)


def _check_number(truth: np.ndarray, pictures: np.ndarray, names: Sequence[str]) -> None:
    counts = [len(np.unique(pictures[truth == c])) for c in range(len(names))]
    few = [f"{name} ({n})" for name, n in zip(names, counts, strict=True) if n < FEWEST]
    if few:
        raise DataError(
            f"Too few usable images of {', '.join(few)}: at least {FEWEST} different ones of each class are needed, "
            f"and under {ENOUGH} nothing can be promised."
        )


def _linear(base: folder.Model) -> None:
    last = base.network.timm_model.get_classifier()
    if not isinstance(last, nn.Linear) or last.bias is None:
        raise folder.ModelFolderError(
            f"{base.knowledge.name} does not end in one linear layer, which is what adapting fits anew; give a model "
            "with another backbone (resnet50, efficientnet_lite0, …)."
        )


def size_leak(sizes: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> str | None:
    """A warning if the size of an image tells its class, or None.

    Each image is guessed to be of the commonest class among the others of its size; more right guesses than the
    commonest class alone would give are no accident (binomial test).

    Args:
        sizes: N strings.
        truth: int, N.
        labels: class names.
    """
    table = {size: np.bincount(truth[sizes == size], minlength=len(labels)) for size in np.unique(sizes)}
    right = 0
    for size, label in zip(sizes, truth, strict=True):
        others = table[size].copy()
        others[label] -= 1
        right += others.any() and others.argmax() == label
    usual = np.bincount(truth).max() / len(truth)
    if len(table) == 1 or binomtest(int(right), len(truth), usual, "greater").pvalue > CHANCE:
        return None
    common = sorted(table, key=lambda size: -table[size].sum())[:3]
    shown = "; ".join(
        f"{size}: " + ", ".join(f"{n} {name}" for name, n in zip(labels, table[size], strict=True) if n)
        for size in common
    )
    return (
        f"The size of an image tells its class for {right / len(truth):.0%} of them ({shown}): the camera or the way "
        "of export goes with the class, and the figures may rest on that. Bring images of all classes from one camera."
    )

"""What is looked at before adapting: which trunks might serve, and what they make of the images that can be used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest
from torch import nn

from leuko.adaptation.frozen_features import Trunk, features
from leuko.data.cleaning.clean import Cleaning, inspect
from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.decision.magnification import measure_scales
from leuko.images.colour_statistics import colour_statistics
from leuko.networks import model_folder
from leuko.networks.backbones import create

GENERAL = model_folder.EMBEDDED.parent / "general"  # trunks that have seen no smear, by backbone
FEWEST = 5  # different pictures of each class, below which nothing is fitted
ENOUGH = 10  # groups of each class, below which nothing is promised
VIEWS = 6  # augmented views of each image at most,
LOOKS = 120  # and images and views together, unless there are more images: what a minute is enough for
SIZES = 0.5, 2.0  # least and most of an input's size, relative to what the model takes
STEP = 32  # pixels, of which sizes are multiples: most networks halve their maps five times
MEASURED = 12  # images whose cells are measured
CHANCE = 0.01  # how rarely sizes may tell as much of the class by accident


@dataclass(frozen=True)
class Candidate:
    """A trunk that might serve, and where it comes from."""

    trunk: Trunk
    backbone: str
    name: str
    version: str


def base_of(model: str | None) -> model_folder.Model:
    """The model whose trunk is adapted, by folder or Hub id; the embedded one by default.

    Raises:
        leuko.networks.model_folder.ModelFolderError: it cannot be used, or does not end in a linear layer.
    """
    base = model_folder.load(model)
    last = base.network.timm_model.get_classifier()
    if not isinstance(last, nn.Linear) or last.bias is None:
        raise model_folder.ModelFolderError(
            f"{base.metadata.name} does not end in one linear layer, which is what adapting fits anew; give a model "
            "with another backbone (resnet50, efficientnet_lite0, …)."
        )
    return base


def candidates(model: model_folder.Model, larger: float | None) -> list[Candidate]:
    """The model's trunk and, if there is one of the same network, the general trunk; each at several sizes of input.

    First comes the size at which cells appear as large as the model knows, then the one that it was trained at.

    Args:
        model: whose trunk.
        larger: see `enlargement`; where it is not known, the model's size is tried first, and twice as large.
    """
    how = model.preprocessing
    if how.stain:  # one laboratory's images are all treated alike, even where some look like the model's own
        how = replace(how, stain=replace(how.stain, accepted=None))
    times = SIZES[1] if larger is None else float(np.clip(larger, *SIZES))
    other = tuple(max(STEP, STEP * round(side * times / STEP)) for side in how.size)
    sizes = (other, how.size) if larger is not None else (how.size, other)
    found = []
    for size in dict.fromkeys(sizes):
        try:
            trunk = Trunk(model.network, replace(how, size=size), model.onnx)
        except (RuntimeError, AssertionError):  # transformers, for one, take inputs of one size only
            if size == how.size:
                raise
            continue
        found.append(Candidate(trunk, model.backbone, model.metadata.name, model.version))
    weights = GENERAL / model.backbone / model_folder.WEIGHTS
    if weights.is_file():
        general = create(model.backbone, 2, weights=str(weights)).eval().requires_grad_(False)
        name, version = f"{model.backbone} of ImageNet", hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
        found += [Candidate(Trunk(general, c.trunk.how), model.backbone, name, version) for c in found]
    return found


def enlargement(
    open_image: Callable[[int], np.ndarray], count: int, model: model_folder.Model, seed: int
) -> float | None:
    """How many times larger an input must be for cells to appear as large in it as the model knows them.

    Args:
        open_image: decodes image 0 to `count` − 1 of one laboratory: uint8, H × W × 3, RGB.
        count: of images.
        model: which knows a scale (`leuko.decision.magnification`), or None is all that can be said.
        seed: says which images are measured, where there are many.

    Returns:
        The median over the images whose scale is found; None if that is fewer than half of them.
    """
    if not model.metadata.scale:
        return None
    some = np.random.default_rng(seed).permutation(count)[:MEASURED]
    scales = measure_scales((open_image(int(number)) for number in some), model.preprocessing.size)
    known = [um for um in scales if um]
    return float(np.median(known)) / model.metadata.scale.middle if 2 * len(known) > len(scales) else None


@dataclass(frozen=True)
class Sight:
    """The images that remain after cleaning, as the trunk and the baselines see them, all in the same order.

    Attributes:
        trunks: that might serve.
        kept: int, the images' numbers among all rows.
        truth: int, N.
        features: of each trunk float32, N × (1 + views) × D.
        colours: float, N × 9.
        sizes: N strings, "width × height".
        cleaning: of all rows.
    """

    trunks: list[Candidate]
    kept: np.ndarray
    truth: np.ndarray
    features: list[np.ndarray]
    colours: np.ndarray
    sizes: np.ndarray
    cleaning: Cleaning


def look(rows: ImageTable, base: model_folder.Model, seed: int, on_message: Callable[[str], None]) -> Sight:
    """Clean, and look at what remains."""
    on_message(f"Reading {len(rows)} images.")
    cleaning = inspect(rows)
    for issue in cleaning.issues:
        if issue.action == "dropped":
            on_message(f"Left out: {issue.file}: {issue.message}")
    left = rows.select(cleaning.kept)
    truth = left.labels
    _check_number(truth, cleaning.duplicates.picture[cleaning.kept], rows.class_names)

    def read(number: int) -> np.ndarray:
        return left.open_image(number)

    larger = enlargement(read, len(left), base, seed)
    trunks = candidates(base, larger)
    if larger is not None:
        on_message(f"Cells appear at {100 / larger:.0f} % of the size that the model knows.")
    colours: list[np.ndarray] = []
    sizes: list[str] = []

    def open_row(number: int) -> np.ndarray:
        image = read(number)
        colours.append(colour_statistics(image))
        sizes.append(f"{image.shape[1]} × {image.shape[0]}")
        return image

    views = int(np.clip(LOOKS // len(left) - 1, 0, VIEWS))
    on_message(f"Looking at {len(left)} images and {views} augmented views of each.")
    deep = features([each.trunk for each in trunks], open_row, len(left), views=views, seed=seed)
    return Sight(trunks, cleaning.kept, truth, deep, np.stack(colours), np.array(sizes), cleaning)


def _check_number(truth: np.ndarray, pictures: np.ndarray, names: Sequence[str]) -> None:
    counts = [len(np.unique(pictures[truth == c])) for c in range(len(names))]
    few = [f"{name} ({n})" for name, n in zip(names, counts, strict=True) if n < FEWEST]
    if few:
        raise DataError(
            f"Too few usable images of {', '.join(few)}: at least {FEWEST} different ones of each class are needed, "
            f"and under {ENOUGH} nothing can be promised."
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

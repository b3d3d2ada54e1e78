"""The images for adapting a model, after cleaning, with features from every candidate trunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leuko.adaptation.candidate_backbones import candidates, input_enlargement
from leuko.adaptation.frozen_features import FrozenTrunk, compute_features
from leuko.data.cleaning.clean import Cleaning, inspect
from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.splitting.groups import Groups, find_groups
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.networks.model import Model

MIN_IMAGES = 5  # different pictures of each class; with fewer, nothing is fitted
MIN_GROUPS = 10  # of each class; with fewer, figures are given with a warning
MAX_VIEWS = 6  # augmented views of an image
MAX_INPUTS = 120  # images and views together, unless there are more images; takes about a minute


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The images that remain after cleaning; all arrays have the same order.

    Attributes:
        images: N images.
        trunks: candidate trunks, the preferred one first.
        features: for each trunk float32, N × (1 + views) × D.
        colours: float, N × 9, colour statistics.
        sizes: N strings, "width × height".
        groups: groups of images that a split must keep together.
        cleaning: findings of cleaning on all images.
    """

    images: ImageTable
    trunks: list[FrozenTrunk]
    features: list[np.ndarray]
    colours: np.ndarray
    sizes: np.ndarray
    groups: Groups
    cleaning: Cleaning

    @property
    def labels(self) -> np.ndarray:
        """Class number of every image; int, N."""
        return self.images.labels


def prepare(images: ImageTable, model: Model, seed: int, on_message: Callable[[str], None]) -> TrainingSet:
    """Clean the images, and compute their features with every candidate trunk.

    Raises:
        DataError: there are too few images of a class.
        leuko.networks.model_folder.ModelFolderError: the model does not end in one linear layer.
    """
    on_message(f"Reading {len(images)} images.")
    cleaning = inspect(images)
    for issue in cleaning.issues:
        if issue.action == "dropped":
            on_message(f"Left out: {issue.file}: {issue.message}")
    kept, duplicates = images.select(cleaning.kept), cleaning.duplicates
    _check_counts(kept.labels, duplicates.picture[cleaning.kept], images.class_names)

    enlargement = input_enlargement(kept.open_image, len(kept), model, seed)
    trunks = candidates(model, enlargement)
    if enlargement is not None:
        on_message(f"Cells appear at {100 / enlargement:.0f} % of their size in the model's training images.")
    colours: list[np.ndarray] = []
    sizes: list[str] = []

    def open_image(row: int) -> np.ndarray:
        image = kept.open_image(row)
        colours.append(colour_statistics(image))
        sizes.append(f"{image.shape[1]} × {image.shape[0]}")
        return image

    views = int(np.clip(MAX_INPUTS // len(kept) - 1, 0, MAX_VIEWS))
    on_message(f"Computing features of {len(kept)} images and {views} augmented views of each.")
    features = compute_features(trunks, open_image, len(kept), views=views, seed=seed)
    groups = find_groups(
        kept.label_names,
        given=kept.groups,
        colours=np.stack(colours),
        sources=kept.sources,
        pictures=duplicates.field[cleaning.kept],
    )
    return TrainingSet(kept, trunks, features, np.stack(colours), np.array(sizes), groups, cleaning)


def _check_counts(labels: np.ndarray, pictures: np.ndarray, class_names: Sequence[str]) -> None:
    counts = [len(np.unique(pictures[labels == c])) for c in range(len(class_names))]
    if too_few := [f"{name} ({n})" for name, n in zip(class_names, counts, strict=True) if n < MIN_IMAGES]:
        raise DataError(
            f"Too few usable images of {', '.join(too_few)}: at least {MIN_IMAGES} different ones of each class are "
            f"needed, and {MIN_GROUPS} for reliable figures."
        )

"""Prepare the data of a training run: clean, split by groups, balance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from leuko.data.cleaning import clean
from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.labels.positive_classes import choose_positive, describe_positive
from leuko.data.splitting import balance
from leuko.data.splitting.groups import Groups, find_groups
from leuko.data.splitting.split import Split, class_shares_off, split_rows, verify
from leuko.evaluation.logits import predict_with_model
from leuko.images.decode import ImageError
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.networks import model_folder
from leuko.training.settings import Settings

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class TrainingData:
    """The data of a training run.

    Attributes:
        labels: class names, in the order of the network's outputs.
        positive: the labels that mean leukaemia.
        rows: N images of all parts, after cleaning.
        colours: float, N × 9, colour statistics.
        split: which rows are for training, validation and test.
        learning: int, training rows in one epoch; after oversampling some occur more than once.
        cleaning: the findings of cleaning; None if the data were not cleaned.
        fingerprint: digest of all file names and labels.
    """

    labels: tuple[str, ...]
    positive: tuple[str, ...]
    rows: ImageTable
    colours: np.ndarray
    split: Split
    learning: np.ndarray
    cleaning: clean.Cleaning | None
    fingerprint: str

    @property
    def truth(self) -> np.ndarray:
        """Class of every image, int, N."""
        return self.rows.labels

    @property
    def digest(self) -> str:
        """Digest of the file names, the labels and the split; it identifies the data of a run."""
        digest, files = hashlib.sha256(self.fingerprint.encode()), self.rows.files
        for part in PARTS:
            digest.update("\n".join([part, *(files[row] for row in getattr(self.split, part))]).encode())
        return digest.hexdigest()[:16]

    @property
    def sizes(self) -> dict[str, int]:
        """The number of images of each part."""
        return {part: len(getattr(self.split, part)) for part in PARTS}


def prepare(parts: Mapping[str, ImageTable], settings: Settings, on_message: Callable[[str], None]) -> TrainingData:
    """Clean, split and balance the data of a run, and report these steps in a few lines.

    If the data set has its own splits, they are kept, but copies are removed: images of the test part from the
    validation and the training part, and images of the validation part from the training part.

    Args:
        parts: from `leuko.data.load.load`.
        settings: the run.
        on_message: receives the lines meant for the user.

    Raises:
        DataError: the data cannot be trained on.
    """
    rows = ImageTable.concatenate(list(parts.values()))
    part = np.repeat(np.arange(len(parts)), [len(parts[part]) for part in parts])
    labels = rows.class_names
    counts = rows.class_counts()
    positive = choose_positive(labels, settings.positive, counts)
    on_message(f"{settings.title}: {len(rows)} images ({', '.join(f'{n} {name}' for name, n in counts.items())}).")
    on_message(describe_positive(labels, positive))
    digest = rows.fingerprint()

    cleaning, pictures = None, np.arange(len(rows))
    if settings.clean:
        cleaning = clean.inspect(rows, _deep_features, keep=settings.keep)
        on_message(cleaning.summary())
        pictures, part = cleaning.duplicates.field[cleaning.kept], part[cleaning.kept]
        rows = rows.select(cleaning.kept)
        if missing := [name for i, name in enumerate(labels) if i not in set(rows.labels.tolist())]:
            raise DataError(
                f"Cleaning leaves no image of class {', '.join(missing)}; `leuko eda` shows why, --keep overrides."
            )
    colours = _colours(rows)
    truth = rows.labels
    if settings.split:
        split = Split.load(settings.split, rows.files)
    elif len(parts) > 1:
        split = _own_split(rows, list(parts), part, pictures, settings.seed)
    else:
        groups = find_groups(
            truth,
            given=rows.groups,
            colours=colours,
            sources=rows.sources,
            pictures=pictures,
        )
        split = split_rows([labels[i] for i in truth], groups, settings.seed)
    verify(split, pictures)
    _check_parts(split, truth, labels, 2 if settings.balance == "smote" else 1)
    data = TrainingData(labels, positive, rows, colours, split, _balanced(truth, split, settings), cleaning, digest)
    sizes = ", ".join(f"{n} {part}" for part, n in data.sizes.items())
    on_message(f"Split: {sizes}, {len(split.left_out)} left out. {split.how}.")
    on_message(f"Class shares are at most {class_shares_off(split, truth):.1f} points off the whole's in any part.")
    if settings.balance in ("over", "under"):
        on_message(
            f"Balance: {settings.balance}sampling shows {len(data.learning)} instead of {data.sizes['train']} images."
        )
    return data


def _colours(rows: ImageTable) -> np.ndarray:
    colours = []
    for row, file in enumerate(rows.files):
        try:
            colours.append(colour_statistics(rows.open_image(row)))
        except ImageError as error:
            raise DataError(f"{file}: {error} Cleaning would leave it out.") from error
    return np.stack(colours)


def _deep_features(rows: ImageTable) -> np.ndarray:
    """Deep features from the embedded model, which was trained on smears and is always available."""
    return predict_with_model(model_folder.load(), rows)[1]


def _own_split(rows: ImageTable, names: list[str], part: np.ndarray, pictures: np.ndarray, seed: int) -> Split:
    """The predefined split of the data set, without copies of an image in another part."""
    if set(names) != set(PARTS):
        raise DataError("Give train, validation and test folders, or class folders alone to have them split.")
    rows_of = {name: np.flatnonzero(part == number) for number, name in enumerate(names)}
    test = rows_of["test"]
    validation = rows_of["validation"][~np.isin(pictures[rows_of["validation"]], pictures[test])]
    held_out = np.concatenate([pictures[validation], pictures[test]])
    train = rows_of["train"][~np.isin(pictures[rows_of["train"]], held_out)]
    left_out = np.setdiff1d(np.arange(len(part)), np.concatenate([train, validation, test]))
    how = "Parts as the data set gives them"
    if len(left_out):
        how += f"; {len(left_out)} copies and overlapping fields of another part left out"
    if rows.groups is not None:
        pairs = {(group, p) for group, p in zip(rows.groups, part, strict=True) if group}
        crossing = len(pairs) - len({group for group, _ in pairs})
        if crossing:
            how += f"; warning: {crossing} of its own groups are in several parts"
    spare = np.isin(np.arange(len(part)), left_out)
    return Split(train, validation, test, left_out, Groups(pictures, spare, (), how), how, seed)


def _check_parts(split: Split, truth: np.ndarray, labels: tuple[str, ...], least: int) -> None:
    """Raise DataError if a part is empty, or a class has too few training images."""
    because = "copies of images in another part are left out"
    if empty := [part for part in PARTS if not len(getattr(split, part))]:
        raise DataError(f"There is no image in the {empty[0]} part; {because}.")
    counts = np.bincount(truth[split.train], minlength=len(labels))
    if too_few := [name for name, count in zip(labels, counts, strict=True) if count < least]:
        smote = " --balance smote needs two." if least > 1 else ""
        raise DataError(f"There are too few images of class {', '.join(too_few)} in the train part; {because}.{smote}")


def _balanced(truth: np.ndarray, split: Split, settings: Settings) -> np.ndarray:
    if settings.balance not in ("over", "under"):
        return split.train
    return split.train[balance.resample(truth[split.train], settings.balance, settings.seed)]

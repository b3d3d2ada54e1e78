"""`ImageTable`: labelled, undecoded images. All stages from loading to training use it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from leuko.images.decode import ImageError, decode, read


class StoredImage(Protocol):
    """An image inside a larger file, such as one cell of a parquet table; it is read when it is needed."""

    def fetch(self) -> bytes | Path | None:
        """The undecoded file or the path of a file; None if the cell is empty."""


ImageReference = bytes | Path | StoredImage | None


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Labelled images. Each image is read only when it is needed, so a data set may be larger than the memory.

    A table can be pickled, for example for the worker processes of a data loader.

    Attributes:
        images: N undecoded images; None where a row has no image.
        labels: int64, N, indices into `class_names`.
        class_names: all classes, including classes without an image.
        files: N file names, unique within a loaded data set.
        sources: for each image, the name of its data set (and site, batch or magnification); N names.
        groups: N names of patients, subjects or slides, empty where unknown; None if no name is known.
    """

    images: Sequence[ImageReference]
    labels: np.ndarray
    class_names: tuple[str, ...]
    files: Sequence[str]
    sources: Sequence[str]
    groups: Sequence[str] | None = None

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    @classmethod
    def concatenate(cls, tables: Sequence[ImageTable]) -> ImageTable:
        """Join tables of the same classes, one after another.

        Raises:
            ValueError: the classes differ.
        """
        if len({table.class_names for table in tables}) != 1:
            raise ValueError("Only tables with the same classes can be joined.")
        groups = None
        if any(table.groups is not None for table in tables):
            groups = [group for table in tables for group in (table.groups or [""] * len(table))]
        return cls(
            images=[image for table in tables for image in table.images],
            labels=np.concatenate([table.labels for table in tables]),
            class_names=tables[0].class_names,
            files=[file for table in tables for file in table.files],
            sources=[source for table in tables for source in table.sources],
            groups=groups,
        )

    def select(self, rows: Sequence[int] | np.ndarray) -> ImageTable:
        """A table of the given rows, in the given order; a row may be given several times."""
        rows = np.asarray(rows, dtype=int)
        return replace(
            self,
            images=[self.images[row] for row in rows],
            labels=self.labels[rows],
            files=[self.files[row] for row in rows],
            sources=[self.sources[row] for row in rows],
            groups=None if self.groups is None else [self.groups[row] for row in rows],
        )

    @property
    def label_names(self) -> list[str]:
        """The class name of every row."""
        return [self.class_names[label] for label in self.labels]

    def class_counts(self) -> dict[str, int]:
        """The number of images of each class, in the order of the classes."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def fingerprint(self) -> str:
        """A digest of file names and labels, in order; it identifies the data set."""
        digest = hashlib.sha256()
        for file, label in zip(self.files, self.labels.tolist(), strict=True):
            digest.update(f"{file}\t{label}\n".encode())
        return digest.hexdigest()[:16]

    def read_bytes(self, row: int) -> bytes:
        """The undecoded file of a row.

        Raises:
            leuko.images.decode.ImageError: the row has no image, or its file is empty, too large or cannot be opened.
        """
        image = self.images[row]
        source = image if isinstance(image, (bytes, Path)) or image is None else image.fetch()
        if not source:
            raise ImageError("There is no image in this row; add it or leave the row out.")
        return read(source)

    def open_image(self, row: int) -> np.ndarray:
        """Decode the image of a row to uint8, H × W × 3, RGB.

        Raises:
            leuko.images.decode.ImageError: the image cannot be used.
        """
        return decode(self.read_bytes(row))

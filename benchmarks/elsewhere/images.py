"""The images of other laboratories, and images that are made to look like those of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.kinds.fields import folds_of, unseeing_model
from benchmarks.recipe import learnt
from leuko.cells.kinds.model import KindModel
from leuko.images.decode import decode
from leuko.images.stain.normalisation import reinhard_normalise
from leuko.images.stain.profile import StainProfile
from leuko.images.synthetic import rendering

LABORATORIES = ("bccd", "pbc", "jtsc")  # that foreign stains are taken from
CHANGED = 4  # test image of Aria, in other stains and sizes
LOOKS = 12  # images that a foreign stain is taken from
BENIGN = "Benign"


class Field(NamedTuple):
    """An image, uint8, H × W × 3, RGB, whether it is one of leukaemia, and what tells its kinds of cells apart."""

    image: np.ndarray
    ill: bool
    kinds: KindModel


class Data:
    """The images, by what they are used for."""

    def __init__(self, data: Path, run: Path) -> None:
        self.data, self.run = data, run
        self.folds = folds_of(run, "aria")
        self.rows, self.split = learnt(data)
        self.benign = self.rows.class_names.index(BENIGN)

    def aria(self, part: str, every: int = 1) -> Iterator[Field]:
        """Fields of a part of the embedded model's split.

        The kinds were not trained on the test part. Cells of other fields are judged by a network that has not seen
        them; fields between two blocks have none and are left out.
        """
        for row in getattr(self.split, part)[::every]:
            fold = self.folds.get(Path(self.rows.files[row]).name)
            kinds = KindModel.embedded() if part == "test" else None
            if kinds is None and fold is not None:
                kinds = unseeing_model(self.run, f"fold-{fold}")
            if kinds:
                yield Field(self.rows.open_image(row), self.rows.labels[row] != self.benign, kinds)

    def bccd(self, odd: bool, left_out: bool) -> Iterator[Field]:
        """Healthy fields of another laboratory; the kinds were trained on even-numbered ones, unless it is left out."""
        kinds = unseeing_model(self.run, "without-bccd") if left_out else KindModel.embedded()
        for file in sorted((self.data / "bccd" / "JPEGImages").iterdir()):
            if int(file.stem[-5:]) % 2 == odd:
                yield Field(decode(file), False, kinds)

    def look(self, laboratory: str) -> StainProfile:
        """How a laboratory's images look."""
        files = sorted(file for file in (self.data / laboratory).rglob("*") if file.suffix in (".jpg", ".bmp"))
        return StainProfile.median([StainProfile.from_image(decode(file)) for file in files[:: len(files) // LOOKS]])


def restained(data: Data, fields: Sequence[Field], laboratories: Sequence[str]) -> list[Field]:
    """The fields in the stains of other laboratories by turns: the kinds of cells depend on the stain."""
    looks = [data.look(name) for name in laboratories]
    return [
        field._replace(image=reinhard_normalise(field.image, looks[i % len(looks)])) for i, field in enumerate(fields)
    ]


def changed(data: Data, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[Field]:
    return (field._replace(image=change(field.image)) for field in data.aria("test", CHANGED))


def middle(image: np.ndarray) -> np.ndarray:
    height, width = (side // 4 for side in image.shape[:2])
    return image[height:-height, width:-width].copy()


def tiles(fields: Sequence[Field]) -> Iterator[Field]:
    """Four neighbouring fields of a class as one."""
    for ill, kinds in {(field.ill, id(field.kinds)) for field in fields}:
        of_kind = [field for field in fields if (field.ill, id(field.kinds)) == (ill, kinds)]
        for four in zip(*(of_kind[corner::4] for corner in range(4)), strict=False):
            images = [field.image for field in four]
            yield Field(np.vstack([np.hstack(images[:2]), np.hstack(images[2:])]), ill, four[0].kinds)


def drawn() -> Iterator[Field]:
    """Drawn blood: blasts, or the white cells of a healthy person, under three objectives."""
    for seed in range(8):
        for um, side in ((0.09, 1400), (0.2, 700), (0.4, 400)):
            rng = np.random.default_rng(seed)
            kinds = {"blast": int(rng.integers(4, 12)), "lymphocyte": 1}
            normal = {
                "neutrophil": int(rng.integers(1, 3)),
                "lymphocyte": int(rng.integers(0, 2)),
                "monocyte": seed % 2,
            }
            for cells, ill in ((kinds, True), (normal, False)):
                stain = ("neutral", "pink", "blue")[seed % 3]
                smear = rendering.render(
                    seed, width=side, height=side, um_per_px=um, white_cells=cells, stain=stain, blur_um=0.3
                )
                yield Field(smear.image, ill, KindModel.embedded())

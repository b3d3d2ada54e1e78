"""Stain profiles of other laboratories, from reference images or from drawn smears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leuko.data.errors import DataError
from leuko.images.decode import SUFFIXES, ImageError, decode
from leuko.images.stain.profile import StainProfile
from leuko.images.synthetic import rendering

IMAGES_PER_FOLDER = 30  # about; more images do not change a typical profile
DRAWN_STAINS = ("neutral", "pink", "blue")
DRAWN_CELLS = {"neutrophil": 3, "lymphocyte": 2, "blast": 2}  # so that both nuclei and cytoplasm are stained


@dataclass(frozen=True)
class StainReference:
    """Images of one laboratory that show its stain, with a name for it."""

    name: str
    files: tuple[Path, ...]


def find_references(paths: Sequence[Path]) -> tuple[StainReference, ...]:
    """One reference for each path: an image, or a folder of images of one laboratory."""
    return tuple(StainReference(path.stem, _images(path) if path.is_dir() else (path,)) for path in paths)


def stain_profiles(references: Sequence[StainReference]) -> dict[str, StainProfile]:
    """The typical stain profile of each reference, by name; without references, profiles of drawn smears.

    Raises:
        DataError: an image cannot be read.
    """
    if not references:
        return {f"a drawn smear ({stain})": _drawn(stain) for stain in DRAWN_STAINS}
    return {reference.name: _typical(reference.files) for reference in references}


def _images(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES))


def _typical(files: Sequence[Path]) -> StainProfile:
    step = max(1, len(files) // IMAGES_PER_FOLDER)
    return StainProfile.median([_profile(file) for file in files[::step]])


def _profile(file: Path) -> StainProfile:
    try:
        return StainProfile.from_image(decode(file))
    except ImageError as error:
        raise DataError(f"The stain reference {file} cannot be read; give an image or a folder of them.") from error


def _drawn(stain: str) -> StainProfile:
    smear = rendering.render(0, width=512, height=512, um_per_px=0.3, stain=stain, white_cells=DRAWN_CELLS)
    return StainProfile.from_image(smear.image)

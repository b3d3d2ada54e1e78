"""Arrays in `.npz` files that are either complete or absent."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np


def save(file: Path, **arrays: np.ndarray) -> None:
    """Write arrays; the file appears only when it is complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part.npz")
    np.savez_compressed(draft, allow_pickle=False, **arrays)
    draft.replace(file)


def load(file: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file that `save` wrote; None if there is none that can be read without pickle."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None

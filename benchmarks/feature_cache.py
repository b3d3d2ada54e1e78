"""Cache computed features in files, so that a benchmark can be repeated quickly."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from leuko.images.decode import read


def cached(folder: Path, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that was stored under a key; if there is none, it is computed and stored.

    Args:
        folder: made if need be.
        key: states everything that the result depends on: images (`digest_of`), trunk, preprocessing, views, seed.
        compute: returns an array of numbers.
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

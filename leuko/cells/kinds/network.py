"""The network of kinds, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from leuko.system.onnx_session import open_session

EMBEDDED = Path(__file__).with_name("network.onnx")
GREY, SPREAD = 127.0, 64.0  # pixel values are shifted and scaled by them
BATCH = 32  # cells at once, which bounds memory


@dataclass(frozen=True)
class Look:
    """What the network says about N cells.

    Attributes:
        probabilities: float32, N × 8, of `leuko.cells.kinds.names.KINDS`, sum 1.
        features: float32, N × 384, what the last layers see.
        novelty: float32, N, squared distance of the features to those of the nearest kind, in units of their spread
            (Mahalanobis), from 0; large where cells look unlike those that were learnt.
    """

    probabilities: np.ndarray
    features: np.ndarray
    novelty: np.ndarray


class KindNetwork:
    """A network as `leuko train-kinds` writes it; may be used by several threads at once."""

    def __init__(self, file: Path, threads: int | None = None) -> None:
        self._session = open_session(file, threads)
        self._file = file

    @classmethod
    @cache
    def embedded(cls) -> KindNetwork:
        """The network that belongs to this version."""
        return cls(EMBEDDED)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, by which adapted models know the network that they belong to."""
        return hashlib.sha256(self._file.read_bytes()).hexdigest()

    def look(self, pixels: np.ndarray) -> Look:
        """Run the network on cells, uint8, N × 96 × 96 × 3, RGB, see `leuko.cells.kinds.crops.alone`; N from 1."""
        parts = [
            self._session.run(["probabilities", "features", "novelty"], {"pixels": as_input(pixels[i : i + BATCH])})
            for i in range(0, len(pixels), BATCH)
        ]
        return Look(*(np.concatenate(output) for output in zip(*parts, strict=True)))


def as_input(pixels: np.ndarray) -> np.ndarray:
    """Crops as the network takes them: float32, N × 3 × side × side, of uint8, N × side × side × 3."""
    return np.ascontiguousarray(((pixels.astype(np.float32) - GREY) / SPREAD).transpose(0, 3, 1, 2))

"""Settings of a training run of the network of kinds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """A run.

    Attributes:
        lists: CSV files, see `leuko.training.kinds.cells`.
        output: folder of the run.
        steps: batches.
        fold_steps: batches of the network of each fold, and of each laboratory that is left out.
        folds: parts of the groups, from 2; each is judged by a network that has not seen it.
        drawn: number of drawn smears.
        weights: safetensors file of the trunk.
        seed: of everything random.
        resume: go on from what `output` holds.
    """

    lists: tuple[Path, ...]
    output: Path
    steps: int
    fold_steps: int
    folds: int
    drawn: int
    weights: Path
    seed: int
    resume: bool

    def record(self) -> dict[str, Any]:
        """What a run that is continued must have in common; without paths."""
        names = "steps", "fold_steps", "folds", "drawn", "seed"
        return {name: getattr(self, name) for name in names} | {"weights": self.weights.name}

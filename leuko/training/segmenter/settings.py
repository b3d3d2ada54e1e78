"""Settings of a training run of the segmentation network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leuko.networks.model_folder.files import GENERAL, WEIGHTS

TRUNK = GENERAL / "efficientnet_lite0" / WEIGHTS  # ImageNet's


@dataclass(frozen=True)
class Settings:
    """A run.

    Attributes:
        lists: CSV files, see `leuko.training.segmenter.sources`.
        output: folder of the run.
        rounds: 1: by the teacher alone; from the second on, the network of the round before labels the images.
        steps: of the first round.
        second_steps: of each further round.
        drawn: number of drawn smears.
        weights: safetensors file of the trunk.
        seed: of everything random.
        resume: go on from what `output` holds.
    """

    lists: tuple[Path, ...]
    output: Path
    rounds: int
    steps: int
    second_steps: int
    drawn: int
    weights: Path
    seed: int
    resume: bool

    def record(self) -> dict[str, Any]:
        """What a run that is continued must have in common; without paths."""
        names = "rounds", "steps", "second_steps", "drawn", "seed"
        return {name: getattr(self, name) for name in names} | {"weights": self.weights.name}

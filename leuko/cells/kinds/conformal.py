"""Which kinds a cell may be, with a promise: the true kind is among them for 95 % of the cells of every kind.

Class-conditional conformal prediction: the p-value of a kind is the share of its calibration cells that looked no more
like it than this cell does (Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random World*, 2022, section 4.6). The
promise holds for cells like those of calibration. A test martingale of how unlike the cells of an image are tells
whether they break it; then sets are widened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from leuko.cells.kinds.names import KINDS

EMBEDDED = Path(__file__).with_name("calibration.json")
LEVEL = 0.05  # share of cells whose true kind may be missing
WIDENED_LEVEL = 0.01  # the same where the cells are unlike those of calibration
EVIDENCE = 20.0  # martingale from which they are: exchangeable cells reach it in 1 of 20 images at most (Ville 1939)
_POWERS = np.linspace(0.02, 0.98, 49)


@dataclass(frozen=True)
class Calibration:
    """Scores of cells that took no part in training.

    Attributes:
        probabilities: for each kind in the order of `KINDS`, the probabilities of it that its own cells had: float,
            sorted.
        novelties: of all, float, sorted, see `leuko.cells.kinds.network.Look`.
    """

    probabilities: tuple[np.ndarray, ...]
    novelties: np.ndarray

    @classmethod
    @cache
    def embedded(cls) -> Calibration:
        """The calibration of the network that belongs to this version."""
        return cls.read(EMBEDDED)

    @classmethod
    def read(cls, file: Path) -> Calibration:
        """Read what `write` stored."""
        return cls.of_json(json.loads(file.read_text(encoding="utf-8")))

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Calibration:
        """What `as_json` gave.

        Raises:
            KeyError: a kind is missing.
        """
        by_kind = stored["probabilities"]
        return cls(tuple(np.array(by_kind[kind], float) for kind in KINDS), np.array(stored["novelties"], float))

    def write(self, file: Path) -> None:
        """Store it as JSON."""
        file.write_text(json.dumps(self.as_json()) + "\n", encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        """For JSON, with four significant digits."""
        by_kind = {
            kind: [float(f"{p:.4g}") for p in values] for kind, values in zip(KINDS, self.probabilities, strict=True)
        }
        return {"probabilities": by_kind, "novelties": [float(f"{value:.4g}") for value in self.novelties]}

    def p_values(self, probabilities: np.ndarray) -> np.ndarray:
        """The p-value of each kind for each cell: float, N × 8, above 0, of probabilities of the same shape."""
        columns = [
            (np.searchsorted(own, probabilities[:, kind], side="right") + 1) / (len(own) + 1)
            for kind, own in enumerate(self.probabilities)
        ]
        return np.stack(columns, axis=1)

    def evidence(self, novelties: np.ndarray) -> float:
        """How much speaks against the cells of an image being like those of calibration: a test martingale, from 0.

        The mixture of power martingales (Vovk, Nouretdinov & Gammerman 2003) over the conformal p-values of their
        novelty; 1 says nothing.

        Args:
            novelties: float, N, of independent cells.
        """
        count = len(self.novelties)
        p = (count - np.searchsorted(self.novelties, novelties, side="left") + 1) / (count + 1)
        logs = len(p) * np.log(_POWERS) + (_POWERS - 1) * np.log(p).sum()
        return float(np.exp(logs).mean())

"""The model of kinds: the network, its calibration and, after adapting to a laboratory, a correction."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from leuko.cells.kinds.conformal import Calibration
from leuko.cells.kinds.names import KINDS
from leuko.cells.kinds.network import KindNetwork, Look

FILE = "kinds.json"
# Least probability that a correction starts from: in another laboratory the network is less sure than it says.
LEAST = 0.01


class KindModelError(ValueError):
    """A model of kinds that cannot be used; the message says why."""


@dataclass(frozen=True)
class Correction:
    """What a laboratory's own cells add to the logarithms of the probabilities.

    Attributes:
        weight: float, 8 × 384, of the features; zero for kinds that the laboratory has not shown.
        bias: float, 8.
    """

    weight: np.ndarray
    bias: np.ndarray

    def apply(self, look: Look) -> Look:
        """The corrected probabilities."""
        logits = np.log(np.maximum(look.probabilities, LEAST)) + look.features @ self.weight.T + self.bias
        return Look(softmax(logits, axis=1).astype(np.float32), look.features, look.novelty)


@dataclass(frozen=True)
class KindModel:
    """See the module; may be used by several threads at once.

    Attributes:
        network: that all models share.
        calibration: of the probabilities.
        correction: None for the model that belongs to this version.
        name: of the model, for people.
    """

    network: KindNetwork
    calibration: Calibration
    correction: Correction | None = None
    name: str = "embedded"

    @classmethod
    @cache
    def embedded(cls) -> KindModel:
        """The model that belongs to this version."""
        return cls(KindNetwork.embedded(), Calibration.embedded())

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> KindModel:
        """A model that `leuko adapt` wrote.

        Raises:
            KindModelError: there is no such model, or it belongs to another network.
        """
        file = Path(folder) / FILE
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            if stored["network"] != KindNetwork.embedded().digest:
                raise KindModelError(f"{folder} was adapted with another version of Deep Leuko; adapt again.")
            weight, bias = (np.array(stored[name], float) for name in ("weight", "bias"))
            if weight.shape != (len(KINDS), stored["features"]) or bias.shape != (len(KINDS),):
                raise ValueError("its weights have the wrong shape")
            calibration = Calibration.of_json(stored["calibration"])
        except OSError as error:
            raise KindModelError(
                f"{folder} holds no adapted kinds ({FILE} is missing); write it with leuko adapt from cells by kind."
            ) from error
        except KindModelError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise KindModelError(f"{file} is damaged ({error}); adapt again.") from error
        return cls(KindNetwork.embedded(), calibration, Correction(weight, bias), str(stored.get("name", "adapted")))

    def as_json(self) -> dict[str, Any]:
        """What `load` reads.

        Raises:
            ValueError: the embedded model has no correction to store.
        """
        if self.correction is None:
            raise ValueError("only an adapted model is stored")
        return {
            "name": self.name,
            "network": self.network.digest,
            "features": self.correction.weight.shape[1],
            "weight": np.round(self.correction.weight, 6).tolist(),
            "bias": np.round(self.correction.bias, 6).tolist(),
            "calibration": self.calibration.as_json(),
        }

    def look(self, pixels: np.ndarray) -> Look:
        """What the model says about cells, see `leuko.cells.kinds.network.KindNetwork.look`."""
        look = self.network.look(pixels)
        return look if self.correction is None else self.correction.apply(look)

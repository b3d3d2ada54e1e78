"""From an image to a finding."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from leuko.images import quality
from leuko.models import explain, folder
from leuko.models.calibration import Decision
from leuko.models.preprocessing import to_input


@dataclass(frozen=True)
class Finding:
    """What is said of one image. `as_json` gives the contract's fields.

    Attributes:
        label: the network's most probable class.
        probabilities: of every class, 0 to 1, in the model's order.
        leukaemia_probability: 0 to 1.
        evidence: the leukaemia probability by each source of evidence.
        decision: suspicious, not suspicious or uncertain.
        reasons: for the decision, one sentence each.
        quality: whether the image is fit to be judged.
        in_distribution: whether it resembles the training images.
        model: name, version and backbone.
    """

    label: str
    probabilities: dict[str, float]
    leukaemia_probability: float
    evidence: dict[str, float]
    decision: Decision
    reasons: tuple[str, ...]
    quality: quality.Quality
    in_distribution: bool
    model: dict[str, str]

    def as_json(self, image: str) -> dict[str, Any]:
        """The finding as JSON-ready values; `image` is the file's name."""
        return {
            "image": image,
            "label": self.label,
            "probabilities": {k: round(v, 4) for k, v in self.probabilities.items()},
            "leukaemia_probability": round(self.leukaemia_probability, 4),
            "evidence": {k: round(v, 4) for k, v in self.evidence.items()},
            "decision": self.decision,
            "reasons": list(self.reasons),
            "quality": {"usable": self.quality.usable, "issues": list(self.quality.issues)},
            "in_distribution": self.in_distribution,
            "model": self.model,
        }


@dataclass(frozen=True)
class Reading:
    """A finding with the feature map it rests on, from which heat maps of any class can be drawn."""

    finding: Finding
    feature_map: torch.Tensor


class Classifier:
    """A model that answers.

    Attributes:
        model: the loaded model folder.
    """

    def __init__(self, model: folder.Model) -> None:
        self.model = model

    @classmethod
    def load(cls, model: str | os.PathLike[str] | None = None) -> Classifier:
        """From a model folder or Hub id; without one, the embedded default.

        Raises:
            leuko.models.folder.ModelFolderError: the model cannot be served.
        """
        return cls(folder.load(model))

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the network's outputs."""
        return self.model.labels

    def classify(self, image: np.ndarray) -> Finding:
        """The finding for an image, uint8, H × W × 3, RGB."""
        return self.read(image).finding

    @torch.no_grad()
    def read(self, image: np.ndarray) -> Reading:
        """The finding for an image, uint8, H × W × 3, RGB, with its feature map."""
        network = self.model.network
        pixels = torch.from_numpy(to_input(image, self.model.preprocessing))[None]
        feature_map = network.trunk(pixels)
        probabilities = softmax(network.head(feature_map)[0].double().numpy())
        features = network.pooled(feature_map)[0].numpy()
        return Reading(self._conclude(image, probabilities, features), feature_map)

    def heat_map(self, reading: Reading, label: str) -> np.ndarray:
        """Grad-CAM for a class of `labels`; float32 at the feature map's resolution, 0 to 1.

        Raises:
            ValueError: there is no such class.
        """
        return explain.grad_cam(self.model.network, reading.feature_map, self.index(label))

    def index(self, label: str) -> int:
        """The output that stands for a class.

        Raises:
            ValueError: there is no such class.
        """
        if label not in self.labels:
            raise ValueError(f"There is no class {label!r}; this model knows {', '.join(self.labels)}.")
        return self.labels.index(label)

    def describe(self) -> dict[str, Any]:
        """What the model is, for people and programs; without its bulky statistics."""
        knowledge = self.model.knowledge
        return {
            **self._signature(),
            "labels": list(self.labels),
            "positive": list(knowledge.positive),
            "input_size": list(self.model.preprocessing.size),
            "operating_point": knowledge.operating_point.as_json(),
            "temperature": knowledge.temperature,
            "training": knowledge.training,
        }

    def _signature(self) -> dict[str, str]:
        return {
            "name": self.model.knowledge.name,
            "version": self.model.version,
            "backbone": self.model.backbone,
        }

    def _conclude(self, image: np.ndarray, probabilities: np.ndarray, features: np.ndarray) -> Finding:
        knowledge = self.model.knowledge
        leukaemia = float(leukaemia_probability(probabilities, self.labels, knowledge.positive))
        seen = bool(knowledge.familiarity.distance(features) <= knowledge.familiarity.bound)
        fit = quality.assess(image)
        decision = knowledge.operating_point.decide(leukaemia)
        return Finding(
            label=self.labels[int(probabilities.argmax())],
            probabilities=dict(zip(self.labels, map(float, probabilities), strict=True)),
            leukaemia_probability=leukaemia,
            evidence={"network": leukaemia},
            decision=decision if fit.usable and seen else "uncertain",
            reasons=tuple(self._reasons(decision, leukaemia, fit, seen)),
            quality=fit,
            in_distribution=seen,
            model=self._signature(),
        )

    def _reasons(self, decision: Decision, leukaemia: float, fit: quality.Quality, seen: bool) -> Iterator[str]:
        yield from fit.issues
        if not seen:
            yield "The image is unlike those the model was trained on, so its answer cannot be relied on."
        low, high = self.model.knowledge.operating_point.abstain
        said = f"The network gives leukaemia a probability of {percent(leukaemia)}"
        if decision == "suspicious":
            yield f"{said}; {percent(high)} and more counts as suspicious."
        elif decision == "not suspicious":
            yield f"{said}; less than {percent(low)} counts as not suspicious."
        else:
            yield f"{said}, too close to call (between {percent(low)} and {percent(high)})."


def leukaemia_probability(probabilities: np.ndarray, labels: Sequence[str], positive: Sequence[str]) -> np.ndarray:
    """Sum of the positive classes' probabilities; probabilities … × classes → …."""
    return probabilities[..., [labels.index(name) for name in positive]].sum(axis=-1)


def percent(probability: float) -> str:
    """A probability, 0 to 1, in words that never claim certainty, with a space that does not break."""
    if probability < 0.001:
        return "under 0.1\u00a0%"
    return "over 99.9\u00a0%" if probability > 0.999 else f"{100 * probability:.1f}\u00a0%"

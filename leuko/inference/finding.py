"""What is reported of one image, with the fields of the JSON contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leuko.decision.cell_score import Decision
from leuko.decision.fusion import Verdict
from leuko.images.quality.assessment import Quality


@dataclass(frozen=True)
class Finding:
    """The finding of one image; `as_json` gives the fields of the contract.

    Attributes:
        label: the network's most probable class.
        pattern: the label where it may be shown as part of the answer: the network decided, and the class agrees with
            the decision; else None.
        probabilities: of every class by the network, 0 to 1, in the model's order.
        leukaemia_probability: 0 to 1: the network's, or the cells' where the image is out of distribution and the cells
            have a score. It is no answer where the decision is uncertain. None if no class is known to mean leukaemia.
        evidence: the leukaemia probability by the `network` and by the `cells`; None where there is none.
        decision: suspicious, not suspicious or uncertain.
        headline: the decision in words, and what it rests on.
        reasons: for the decision, one sentence each.
        quality: whether the image is good enough to be classified.
        in_distribution: whether the image resembles the network's training images, also in the size of its cells; False
            where that size is unknown.
        model: name, version and backbone.
    """

    label: str
    pattern: str | None
    probabilities: dict[str, float]
    leukaemia_probability: float | None
    evidence: dict[str, float | None]
    decision: Decision
    headline: str
    reasons: tuple[str, ...]
    quality: Quality
    in_distribution: bool
    model: dict[str, str]

    @classmethod
    def of(
        cls,
        probabilities: dict[str, float],
        positive: Sequence[str],
        verdict: Verdict,
        quality: Quality,
        model: dict[str, str],
        notes: Sequence[str] = (),
    ) -> Finding:
        """Make a finding from a verdict.

        Args:
            probabilities: of every class, 0 to 1.
            positive: the classes that mean leukaemia.
            verdict: the decision and its reasons.
            quality: whether the image is good enough to be classified.
            model: name, version and backbone.
            notes: further sentences for the reader.
        """
        label = max(probabilities, key=probabilities.__getitem__)
        decision_of_label = "suspicious" if label in positive else "not suspicious"
        return cls(
            label=label,
            pattern=label if verdict.basis == "network" and verdict.decision == decision_of_label else None,
            probabilities=probabilities,
            leukaemia_probability=verdict.probability,
            evidence={"network": verdict.network, "cells": verdict.cells.probability if verdict.cells else None},
            decision=verdict.decision,
            headline=verdict.headline,
            reasons=(*verdict.reasons, *notes),
            quality=quality,
            in_distribution=not verdict.ood_reason,
            model=model,
        )

    def as_json(self, image: str) -> dict[str, Any]:
        """The finding as JSON-ready values; `image` is the file's name."""
        return {
            "image": image,
            "label": self.label,
            "pattern": self.pattern,
            "probabilities": {name: round(value, 4) for name, value in self.probabilities.items()},
            "leukaemia_probability": rounded(self.leukaemia_probability),
            "evidence": {source: rounded(value) for source, value in self.evidence.items()},
            "decision": self.decision,
            "headline": self.headline,
            "reasons": list(self.reasons),
            "quality": self.quality.as_json(),
            "in_distribution": self.in_distribution,
            "model": self.model,
        }


def rounded(probability: float | None) -> float | None:
    """A probability with the digits of the JSON contract."""
    return None if probability is None else round(probability, 4)


def leukaemia_probability(probabilities: np.ndarray, labels: Sequence[str], positive: Sequence[str]) -> np.ndarray:
    """Sum of the positive classes' probabilities; probabilities … × classes → …."""
    return probabilities[..., [labels.index(name) for name in positive]].sum(axis=-1)

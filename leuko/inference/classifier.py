"""From an image to a finding."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from leuko.cells.segmentation import Segmentation, segment
from leuko.decision import cell_score
from leuko.decision.cell_score import Decision
from leuko.decision.fusion import Verdict
from leuko.decision.magnification import um_per_input_px
from leuko.images import field_of_view, quality
from leuko.images.field_of_view import FieldOfView
from leuko.networks import grad_cam, model_folder
from leuko.networks.runtime import Output, runtime_of
from leuko.system.threads import cores

NO_HEAT_MAP = (
    "There is no heat map: Grad-CAM shows where a network looks, and {name} is no network but a classifier on measures "
    "of the image."
)


@dataclass(frozen=True)
class Finding:
    """What is said of one image. `as_json` gives the contract's fields.

    Attributes:
        label: the network's most probable class.
        probabilities: of every class, 0 to 1, in the model's order.
        pattern: the label where it may be shown as part of the answer: the network decided, and the class is one of
            those that the decision means; else None.
        leukaemia_probability: 0 to 1: the network's, or the cells' where the network does not know such images and they
            have a score; no answer where the decision is uncertain. None if no class is known to mean leukaemia.
        evidence: the leukaemia probability by the `network` and by the `cells`, None where these say nothing.
        decision: suspicious, not suspicious or uncertain.
        headline: the decision in words, and what was seen.
        reasons: for the decision, one sentence each.
        quality: whether the image is fit to be judged.
        in_distribution: whether it resembles the network's training images, its cells in size too; False where that
            size cannot be told.
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
    quality: quality.Quality
    in_distribution: bool
    model: dict[str, str]

    @classmethod
    def of(
        cls,
        probabilities: dict[str, float],
        positive: Sequence[str],
        verdict: Verdict,
        fit: quality.Quality,
        model: dict[str, str],
        notes: Sequence[str] = (),
    ) -> Finding:
        """From a verdict.

        Args:
            probabilities: of every class, 0 to 1.
            positive: the classes that mean leukaemia.
            verdict: what is concluded.
            fit: whether the image is fit to be judged.
            model: name, version and backbone.
            notes: what else to know, a sentence each.
        """
        label = max(probabilities, key=probabilities.__getitem__)
        meant = "suspicious" if label in positive else "not suspicious"
        return cls(
            label=label,
            pattern=label if verdict.basis == "network" and verdict.decision == meant else None,
            probabilities=probabilities,
            leukaemia_probability=verdict.probability,
            evidence={"network": verdict.network, "cells": verdict.cells.probability if verdict.cells else None},
            decision=verdict.decision,
            headline=verdict.headline,
            reasons=(*verdict.reasons, *notes),
            quality=fit,
            in_distribution=not verdict.ood_reason,
            model=model,
        )

    def as_json(self, image: str) -> dict[str, Any]:
        """The finding as JSON-ready values; `image` is the file's name."""
        return {
            "image": image,
            "label": self.label,
            "pattern": self.pattern,
            "probabilities": {k: round(v, 4) for k, v in self.probabilities.items()},
            "leukaemia_probability": _rounded(self.leukaemia_probability),
            "evidence": {k: _rounded(v) for k, v in self.evidence.items()},
            "decision": self.decision,
            "headline": self.headline,
            "reasons": list(self.reasons),
            "quality": self.quality.as_json(),
            "in_distribution": self.in_distribution,
            "model": self.model,
        }


@dataclass(frozen=True)
class ClassificationResult:
    """A finding with what it rests on.

    Attributes:
        finding: what is said.
        verdict: who decided, and why.
        output: of the network, from which heat maps can be drawn.
        found: the cells; None if they were not looked for, as in an image that is not fit to be judged.
        view: where an eyepiece's disc lies, which is all that the network was shown; None where it saw the whole image.
    """

    finding: Finding
    verdict: Verdict
    output: Output
    found: Segmentation | None
    view: FieldOfView | None


class Classifier:
    """A model that answers.

    Attributes:
        model: the loaded model folder.
        engine: what runs its network.
    """

    def __init__(self, model: model_folder.Model) -> None:
        self.model = model
        self.engine = runtime_of(model)
        self._beside = ThreadPoolExecutor(cores())  # where the network runs while cells are sought

    @classmethod
    def load(cls, model: str | os.PathLike[str] | None = None) -> Classifier:
        """From a model folder or Hub id; without one, the embedded default.

        Raises:
            leuko.networks.model_folder.ModelFolderError: the model cannot be served.
        """
        classifier = cls(model_folder.load(model))
        try:  # what does not fit together shows itself at the first image
            classifier.read(np.full((64, 64, 3), 255, np.uint8))
        except model_folder.ModelFolderError:
            raise
        except Exception as error:
            raise model_folder.ModelFolderError(
                f"{classifier.model.metadata.name} cannot judge an image: its files do not fit together; train again."
            ) from error
        return classifier

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the network's outputs."""
        return self.model.labels

    def classify(self, image: np.ndarray, um_per_px: float | None = None) -> Finding:
        """The finding for an image, uint8, H × W × 3, RGB; `um_per_px` as for `read`."""
        return self.read(image, um_per_px=um_per_px).finding

    def read(self, image: np.ndarray, cells: bool = True, um_per_px: float | None = None) -> ClassificationResult:
        """The finding for an image, with what it rests on.

        Args:
            image: uint8, H × W × 3, RGB.
            cells: False: the network alone is asked, several times as fast; whether it sees cells of the size it
                knows, or cells at all, is not known then.
            um_per_px: the size of a pixel that the file states, if any; used where red cells give no scale.
        """
        running = self._beside.submit(self._run, image)
        fit = quality.assess(image)
        found = segment(image, um_per_px=um_per_px) if cells and fit.usable else None
        output = running.result()
        probabilities = softmax(output.logits.astype(np.float64))
        view = field_of_view.find(image)
        shown = view.size if view else image.shape
        verdict = self._conclude(shown, probabilities, output.features, found, fit)
        said = dict(zip(self.labels, map(float, probabilities), strict=True))
        notes = cell_score.scale_notes(found) if found else ()
        finding = Finding.of(said, self.model.metadata.positive, verdict, fit, self._signature(), notes)
        return ClassificationResult(finding, verdict, output, found, view)

    def _run(self, image: np.ndarray) -> Output:
        return self.engine.run(self.model.input_of(image)[None])[0]

    @property
    def explains(self) -> bool:
        """Whether there are heat maps: a classifier on measures has no map of the image to draw them from."""
        return self.model.measures is None

    def heat_map(self, reading: ClassificationResult, label: str) -> np.ndarray:
        """Grad-CAM for a class of `labels`, of the whole image; float32, 0 to 1, at the feature map's resolution or,
        where the network saw an eyepiece's disc alone, at a higher one.

        Raises:
            ValueError: there is no such class, or the model has no heat maps.
        """
        if not self.explains:
            raise ValueError(NO_HEAT_MAP.format(name=self.model.metadata.name))
        number = self.index(label)
        cam = self._heat_map(reading.output, number)
        return reading.view.place(cam) if reading.view else cam

    def _heat_map(self, output: Output, number: int) -> np.ndarray:
        if output.cams is not None:
            return grad_cam.positive(output.cams[number])
        import torch  # late: few heads need their gradient

        return grad_cam.grad_cam(self.model.network, torch.from_numpy(output.feature_map)[None], number)

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
        metadata = self.model.metadata
        return {
            **self._signature(),
            "labels": list(self.labels),
            "positive": list(metadata.positive),
            "input_size": list(self.model.preprocessing.size) if self.model.preprocessing else None,
            "operating_point": metadata.operating_point.as_json(),
            "temperature": metadata.temperature,
            "training": metadata.training,
            "warnings": list(metadata.warnings),
        }

    def _signature(self) -> dict[str, str]:
        return {
            "name": self.model.metadata.name,
            "version": self.model.version,
            "backbone": self.model.backbone,
        }

    def _conclude(
        self,
        shape: tuple[int, ...],
        probabilities: np.ndarray,
        features: np.ndarray,
        found: Segmentation | None,
        fit: quality.Quality,
    ) -> Verdict:
        metadata = self.model.metadata
        network = cells = None
        if metadata.positive:  # else there is nothing for the cells to add to either
            network = float(leukaemia_probability(probabilities, self.labels, metadata.positive))
            cells = cell_score.score_field(found) if found else None
        ood_reason = self._ood_reason(shape, features, found)
        return Verdict(metadata.operating_point, network, ood_reason, cells, fit.issues)

    def _ood_reason(self, shape: tuple[int, ...], features: np.ndarray, found: Segmentation | None) -> str:
        """Why the network does not know such images, in words; empty if it does."""
        metadata = self.model.metadata
        if found and metadata.scale:
            if not found.um_per_px or cell_score.lacks_plausible_red_cells(found):
                return "the size of its cells is not known: too few clear red cells; it is out of focus or not a smear"
            larger = metadata.scale.relative_cell_size(um_per_input_px(found.um_per_px, shape, self.model.preprocessing.size))
            if larger != 1:
                return f"the network sees its cells at {100 * larger:.0f}\u00a0% of the size it knows"
        return "" if metadata.familiarity.is_in_distribution(features) else "in its look"


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)


def leukaemia_probability(probabilities: np.ndarray, labels: Sequence[str], positive: Sequence[str]) -> np.ndarray:
    """Sum of the positive classes' probabilities; probabilities … × classes → …."""
    return probabilities[..., [labels.index(name) for name in positive]].sum(axis=-1)

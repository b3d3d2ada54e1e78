"""From an image to a finding: the network, the cells, and the decision from both."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import softmax

from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import CellKinds, classify
from leuko.cells.kinds.model import KindModel
from leuko.cells.segmentation import DEFAULT_METHOD, Segmentation, segment
from leuko.decision import cell_score
from leuko.decision.fusion import Verdict
from leuko.decision.out_of_distribution import ood_reason
from leuko.images import field_of_view
from leuko.images.field_of_view import FieldOfView
from leuko.images.quality.assessment import Quality, assess
from leuko.inference.finding import Finding, leukaemia_probability
from leuko.inference.inputs import as_picture
from leuko.networks import grad_cam, model_folder
from leuko.networks.runtime import Output, runtime_of
from leuko.system.threads import cores

NO_HEAT_MAP = (
    "There is no heat map: Grad-CAM shows where a network looks, and {name} is no network but a classifier on measures "
    "of the image."
)


@dataclass(frozen=True)
class ClassificationResult:
    """A finding with everything it rests on.

    Attributes:
        finding: what is reported.
        verdict: the decision, and whether the network or the cells made it.
        output: of the network; heat maps are drawn from it.
        segmentation: the cells; None if they were not segmented, as in an image that is not good enough.
        field_of_view: the disc of an eyepiece, which is all that the network saw; None where it saw the whole image.
        measurements: of the cells; None without a segmentation.
        kinds: of the cells; None where they were not segmented, or not reliably.
    """

    finding: Finding
    verdict: Verdict
    output: Output
    segmentation: Segmentation | None
    field_of_view: FieldOfView | None
    measurements: Measurements | None = None
    kinds: CellKinds | None = None


class Classifier:
    """Classifies images with one model; may be used by several threads at once.

    Attributes:
        model: the loaded model folder.
        runtime: what runs the model.
        kind_model: what tells kinds of cells apart; None: the embedded one, which is loaded when it is needed.
    """

    def __init__(self, model: model_folder.Model, kind_model: KindModel | None = None) -> None:
        self.model = model
        self.kind_model = kind_model
        self.runtime = runtime_of(model)
        self._threads = ThreadPoolExecutor(cores())  # the network runs in one of them while cells are segmented

    @classmethod
    def load(
        cls, model: str | os.PathLike[str] | None = None, kinds: str | os.PathLike[str] | None = None
    ) -> Classifier:
        """Load a model folder or a model of the Hub (`USER/NAME`); without an argument, the embedded model.

        With `kinds`, kinds of cells are told by what `leuko adapt` fitted to a laboratory and wrote there.

        Raises:
            leuko.networks.model_folder.ModelFolderError: the model cannot be served.
            leuko.cells.kinds.model.KindModelError: the kinds cannot be used.
        """
        classifier = cls(model_folder.load(model), KindModel.load(kinds) if kinds else None)
        try:  # files that do not fit together fail at the first image
            classifier.analyse(np.full((64, 64, 3), 255, np.uint8))
        except model_folder.ModelFolderError:
            raise
        except Exception as error:
            raise model_folder.ModelFolderError(
                f"{classifier.model.metadata.name} cannot classify an image: its files do not fit together; "
                "train it again."
            ) from error
        return classifier

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the network's outputs."""
        return self.model.labels

    def classify(self, image: str | Path | np.ndarray | Image.Image, um_per_px: float | None = None) -> Finding:
        """The finding of one image.

        Args:
            image: a file, an array (uint8, H × W × 3, RGB) or a Pillow image.
            um_per_px: size of a pixel in micrometres, if it is known; used where red cells give no scale. A file may
                state its own.

        Raises:
            leuko.images.decode.ImageError: the image cannot be read, or the file holds several.
        """
        picture = as_picture(image)
        return self.analyse(picture.pixels, um_per_px=um_per_px or picture.um_per_px).finding

    def analyse(
        self,
        image: np.ndarray,
        *,
        um_per_px: float | None = None,
        use_cells: bool = True,
        segmentation: Segmentation | None = None,
        method: str = DEFAULT_METHOD,
    ) -> ClassificationResult:
        """The finding of one image, with everything it rests on.

        Args:
            image: uint8, H × W × 3, RGB.
            um_per_px: size of a pixel that the file states, if any; used where red cells give no scale.
            use_cells: False: only the network is run, which is several times as fast. Whether the cells have the size
                that the network knows is unknown then.
            segmentation: the cells of this image, if they were segmented before.
            method: of segmentation, where they were not, one of `leuko.cells.segmentation.METHODS`.
        """
        running = self._threads.submit(self._run, image)
        quality = assess(image)
        if not use_cells or not quality.usable:
            segmentation = None
        elif segmentation is None:
            segmentation = segment(image, method, um_per_px)
        measurements = Measurements(segmentation) if segmentation else None
        kinds = None
        if segmentation and segmentation.reliable:
            kinds = classify(image, segmentation, self.kind_model)
        output = running.result()
        probabilities = softmax(output.logits.astype(np.float64))
        view = field_of_view.find(image)
        verdict = self._decide(
            view.size if view else image.shape, probabilities, output.features, measurements, kinds, quality
        )
        by_label = dict(zip(self.labels, map(float, probabilities), strict=True))
        notes = cell_score.scale_notes(segmentation) if segmentation else ()
        finding = Finding.of(by_label, self.model.metadata.positive, verdict, quality, self.signature(), notes)
        return ClassificationResult(finding, verdict, output, segmentation, view, measurements, kinds)

    def explain(self, image: np.ndarray, label: str | None = None) -> np.ndarray:
        """Grad-CAM of one image; only the network is run.

        Args:
            image: uint8, H × W × 3, RGB.
            label: one of `labels`; the most probable one if None.

        Returns:
            As `heat_map`.

        Raises:
            ValueError: there is no such class, or the model has no heat maps.
        """
        self._check_heat_maps()
        output = self._run(image)
        index = int(output.logits.argmax()) if label is None else self.index(label)
        return self._heat_map(output, index, field_of_view.find(image))

    @property
    def has_heat_maps(self) -> bool:
        """Whether the model has heat maps: a classifier on measures has no feature map to draw them from."""
        return self.model.is_network

    def heat_map(self, result: ClassificationResult, label: str) -> np.ndarray:
        """Grad-CAM of a class, from the result of `analyse`.

        Args:
            result: of this classifier.
            label: one of `labels`.

        Returns:
            float32, h × w, 0 to 1, of the whole image: at the feature map's resolution or, where the network saw only
            the disc of an eyepiece, at a higher one.

        Raises:
            ValueError: there is no such class, or the model has no heat maps.
            leuko.networks.model_folder.ModelFolderError: the heat map needs PyTorch, which is not installed.
        """
        self._check_heat_maps()
        return self._heat_map(result.output, self.index(label), result.field_of_view)

    def _check_heat_maps(self) -> None:
        if not self.has_heat_maps:
            raise ValueError(NO_HEAT_MAP.format(name=self.model.metadata.name))

    def _heat_map(self, output: Output, index: int, view: FieldOfView | None) -> np.ndarray:
        if output.cams is not None:
            cam = grad_cam.positive_part(output.cams[index])
        else:
            cam = grad_cam.by_gradients(self.model, output.feature_map, index)
        return view.place(cam) if view else cam

    def index(self, label: str) -> int:
        """The number of a class among the network's outputs.

        Raises:
            ValueError: there is no such class.
        """
        if label not in self.labels:
            raise ValueError(f"There is no class {label!r}; this model knows {', '.join(self.labels)}.")
        return self.labels.index(label)

    def describe(self) -> dict[str, Any]:
        """What the model is, as JSON-ready values, without its out-of-distribution statistics."""
        metadata = self.model.metadata
        return {
            **self.signature(),
            "labels": list(self.labels),
            "positive": list(metadata.positive),
            "input_size": list(self.model.preprocessing.size) if self.model.preprocessing else None,
            "operating_point": metadata.operating_point.as_json(),
            "temperature": metadata.temperature,
            "training": metadata.training,
            "warnings": list(metadata.warnings),
        }

    def _run(self, image: np.ndarray) -> Output:
        return self.runtime.run(self.model.prepare(image)[None])[0]

    def signature(self) -> dict[str, str]:
        """Name, version and backbone of the model."""
        return {
            "name": self.model.metadata.name,
            "version": self.model.version,
            "backbone": self.model.backbone,
        }

    def _decide(
        self,
        shape: tuple[int, ...],
        probabilities: np.ndarray,
        features: np.ndarray,
        measurements: Measurements | None,
        kinds: CellKinds | None,
        quality: Quality,
    ) -> Verdict:
        metadata = self.model.metadata
        segmentation = measurements.segmentation if measurements else None
        network = score = None
        if metadata.positive:  # without them, neither network nor cells can speak of leukaemia
            network = float(leukaemia_probability(probabilities, self.labels, metadata.positive))
            score = cell_score.score_field(measurements, kinds) if measurements else None
        reason = ood_reason(
            metadata.ood_detector,
            features,
            metadata.scale,
            segmentation,
            shape,
            self.model.preprocessing.size if self.model.preprocessing else (0, 0),
        )
        return Verdict(metadata.operating_point, network, reason, score, quality.issues)

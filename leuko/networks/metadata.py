"""The content of `leuko.json`: everything about a model but its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from leuko.decision.apparent_cell_size import ScaleRange
from leuko.decision.calibration import OperatingPoint
from leuko.decision.out_of_distribution import MahalanobisOOD


@dataclass(frozen=True)
class ModelMetadata:
    """Everything about a model but its weights: the content of `leuko.json`.

    Attributes:
        name: of the model, for readers.
        positive: the labels that mean leukaemia.
        temperature: of the calibration, already folded into the weights.
        operating_point: see `leuko.decision.calibration`.
        ood_detector: what is in distribution, see `leuko.decision.out_of_distribution`.
        training: the run: data and their fingerprint, split and seed, settings, steps done.
        scale: the size of cells in the network's input during training (`leuko.decision.apparent_cell_size`);
            None: unknown.
        warnings: reasons not to rely on the model, a sentence each (`leuko.evaluation.model_warnings`); usually none.
    """

    name: str
    positive: tuple[str, ...]
    temperature: float
    operating_point: OperatingPoint
    ood_detector: MahalanobisOOD
    training: dict[str, Any]
    scale: ScaleRange | None = None
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields in `leuko.json`, without those that the model folder adds (kind, digests, versions)."""
        return {
            "name": self.name,
            "positive": list(self.positive),
            "temperature": self.temperature,
            "operating_point": self.operating_point.as_json(),
            "warnings": list(self.warnings),
            "training": self.training,
            "scale": self.scale and asdict(self.scale),
            "familiarity": self.ood_detector.as_json(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any], labels: tuple[str, ...]) -> ModelMetadata:
        """Read what `as_json` wrote, of a model with these classes.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is not what `as_json` writes.
        """
        metadata = cls(
            name=stored["name"],
            positive=tuple(stored["positive"]),
            temperature=stored["temperature"],
            operating_point=OperatingPoint.from_json(stored["operating_point"]),
            ood_detector=MahalanobisOOD.from_json(stored["familiarity"]),
            training=stored["training"],
            scale=ScaleRange(**stored["scale"]) if stored.get("scale") else None,
            warnings=tuple(map(str, stored.get("warnings", ()))),
        )
        if len(set(metadata.positive) & set(labels)) != len(metadata.positive):
            raise ValueError("what means leukaemia is not among the classes, or is named twice")
        return metadata

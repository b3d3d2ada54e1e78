"""Run the methods of a comparison on one split; each result is stored as soon as it exists."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from leuko.data.errors import DataError
from leuko.experiments import array_files, method_strategies, methods
from leuko.experiments.method_strategies import SplitContext
from leuko.networks import ensemble
from leuko.networks.backbones import WeightsError
from leuko.networks.model_folder.files import CLASSICAL
from leuko.reports.comparison import MethodResult
from leuko.stats import proportions
from leuko.training.settings import TrainingError


class MethodError(RuntimeError):
    """A method that could not be run; the message is the reason."""


@dataclass(frozen=True)
class ComparisonRunner:
    """The methods on one split. Results are in `rows/` of the split's output folder."""

    context: SplitContext

    def stored(self, method: methods.Method) -> MethodResult | None:
        """The stored result of a method, if it was run on the same data with the same settings."""
        stored = array_files.load(self._file(method))
        return _result(method, stored) if stored and str(stored["key"]) == self._key(method) else None

    def run(self, method: methods.Method) -> MethodResult:
        """Run a method and store its result.

        Raises:
            MethodError: it could not be run.
        """
        try:
            if isinstance(method, methods.FeatureClassifier):
                result = method_strategies.run_feature_classifier(method, self.context)
            elif isinstance(method, methods.TrainedNetwork):
                result = method_strategies.run_network(method, self.context, self._checkpoints(method))
            else:
                members = [self._member(name) for name in method.members]
                result = method_strategies.run_ensemble(method, members, self.context)
        except (TrainingError, WeightsError, DataError, ensemble.EnsembleError) as error:
            raise MethodError(f"not run: {error}") from error
        notes = {name: value for name, value in asdict(result).items() if name in _NOTES}
        array_files.save(
            self._file(method),
            probabilities=result.probabilities,
            notes=np.array(json.dumps(notes)),
            key=np.array(self._key(method)),
        )
        return result

    def all_stored(self) -> dict[str, MethodResult]:
        """All stored results of this split, by name of the method, whatever settings they were run with."""
        results = {}
        for file in sorted(self._folder.glob("*.npz")):
            stored = array_files.load(file)
            if stored and str(stored["key"]).startswith(self._data_digest):
                (method,) = (method for method in methods.choose([file.stem]) if method.name == file.stem)
                results[file.stem] = _result(method, stored)
        return results

    def accuracy(self, result: MethodResult) -> proportions.Interval:
        """Share of the test images that a method predicts correctly; the interval counts groups."""
        data = self.context.data
        correct = float((result.probabilities.argmax(axis=1) == data.truth[data.split.test]).mean())
        return proportions.proportion_interval(correct, len(np.unique(data.split.group[data.split.test])))

    def _member(self, name: str) -> MethodResult:
        """The result of an ensemble's member, which is run if needed."""
        (method,) = methods.choose([name])
        try:
            return self.stored(method) or self.run(method)
        except MethodError as error:
            raise ensemble.EnsembleError(f"its member {method.title} was not run") from error

    @property
    def _folder(self) -> Path:
        return self.context.base.output / "rows"

    def _file(self, method: methods.Method) -> Path:
        return self._folder / f"{method.name}.npz"

    def _checkpoints(self, method: methods.Method) -> Path:
        return self.context.base.output / "unfinished" / f"{method.name}-{self._key(method)[-16:]}"

    @cached_property
    def _data_digest(self) -> str:
        """Digest of the images, their labels, the leukaemic classes, and the split."""
        data = self.context.data
        return hashlib.sha256(f"{data.digest} {data.positive}".encode()).hexdigest()[:16]

    def _key(self, method: methods.Method) -> str:
        """Digest of everything that a result depends on."""
        base, weights = self.context.base, self.context.weights_digests()
        if isinstance(method, methods.FeatureClassifier):
            key = {"method": repr(method), "seed": base.seed, "served": CLASSICAL}
            if method.features == "deep":
                key |= {"weights": weights, "size": base.image_size}
        else:
            run = {name: value for name, value in base.record().items() if name != "weights"}
            key = {"method": repr(method), "run": run, "weights": weights, "scratch": repr(self.context.scratch)}
        return f"{self._data_digest} {hashlib.sha256(json.dumps(key, default=str).encode()).hexdigest()[:16]}"


_NOTES = ("part", "note", "train_seconds", "megabytes", "latency_ms")


def _result(method: methods.Method, stored: dict[str, np.ndarray]) -> MethodResult:
    notes = json.loads(str(stored["notes"]))
    return MethodResult(method.name, method.title, stored["probabilities"], **{name: notes[name] for name in _NOTES})

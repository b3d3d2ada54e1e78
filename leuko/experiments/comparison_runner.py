"""Systems on one split: a row of the table for each, kept as soon as it is there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from tqdm import tqdm

from leuko.data.errors import DataError
from leuko.evaluation.logits import predict
from leuko.experiments import baselines, finalize_classical, methods, single_run
from leuko.networks import classical_features, ensemble, model_folder
from leuko.networks.backbones import WeightsError, create
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.networks.runtime import runtime_of
from leuko.reports import comparison
from leuko.stats import proportions
from leuko.training import train
from leuko.training.settings import Settings, TrainingError

TIMED = 20  # test images whose answers are timed, one by one
RIPE = "from ImageNet weights"


@dataclass(frozen=True)
class Effort:
    """How long networks are trained that start from random weights, which cannot be enough anyway.

    Attributes:
        epochs: of training.
        image_size: side of their input, in pixels.
    """

    epochs: int
    image_size: int


@dataclass(frozen=True)
class Row:
    """What a system did.

    Attributes:
        system: which.
        probabilities: float, test images × classes; None if it could not be run.
        notes: `part` (`measured`, `scratch` or `failed`), `note`, and of what was run `train_seconds`, `megabytes`,
            `latency_ms`.
    """

    system: methods.Method
    probabilities: np.ndarray | None
    notes: dict[str, Any]


@dataclass(frozen=True)
class ComparisonRunner:
    """One split; results lie in `base.output`, measures of images, which all splits share, in `features`."""

    base: Settings
    data: single_run.TrainingData
    features: Path
    weights: tuple[str, ...]
    scratch: Effort
    had: dict[str, str]  # by network: whether the Hub gave its weights

    def row(self, system: methods.Method) -> tuple[Row, bool]:
        """The row of a system, and whether it was there already."""
        file, key = self._file(system), self._key(system)
        if (stored := baselines.load_npz(file)) and str(stored["key"]) == key:
            return Row(system, stored["probabilities"], json.loads(str(stored["notes"]))), True
        ways = {
            methods.FeatureClassifier: self._on_measures,
            methods.TrainedNetwork: self._trained,
            methods.ProbabilityAverage: self._averaged,
        }
        try:
            row = ways[type(system)](system)
        except (TrainingError, WeightsError, DataError, ensemble.EnsembleError) as error:
            return Row(system, None, {"part": "failed", "note": f"not run: {error}"}), False
        notes = np.array(json.dumps(row.notes))
        baselines.save_npz(file, probabilities=row.probabilities, notes=notes, key=np.array(key))
        return row, False

    def rows(self) -> dict[str, Row]:
        """All rows that are there and belong to this split, by the systems' names."""
        rows = {}
        for file in sorted((self.base.output / "rows").glob("*.npz")):
            stored = baselines.load_npz(file)
            if stored and str(stored["key"]).startswith(self._data):
                (system,) = (system for system in methods.choose([file.stem]) if system.name == file.stem)
                rows[file.stem] = Row(system, stored["probabilities"], json.loads(str(stored["notes"])))
        return rows

    def accuracy(self, row: Row) -> proportions.Interval:
        """Share of the test images that a row gets right, as sure as so many groups make it."""
        test = self.data.split.test
        right = float((row.probabilities.argmax(axis=1) == self.data.truth[test]).mean())
        return proportions.proportion_interval(right, len(np.unique(self.data.split.group[test])))

    def _on_measures(self, system: methods.FeatureClassifier) -> Row:
        describe, trunk, note = self._describe(system.measures)
        images = hashlib.sha256("\n".join(self.data.rows.files).encode()).hexdigest()[:16]
        key = f"{images} {system.measures} {note} {('stored', self._given()) if trunk else ''}"
        cache = self.features / f"{system.measures.replace(' ', '-')}.npz"
        measures = baselines.measure(self.data.rows, describe, cache, key, _progress)
        split, start = self.data.split, time.perf_counter()
        fitted = baselines.fit(
            system.classifier, measures.matrix, self.data.truth, split, smote=system.smote, seed=self.base.seed
        )
        seconds = time.perf_counter() - start + measures.seconds * (len(split.train) + len(split.validation))
        settings = replace(self.base, output=self._model(system))
        finalize_classical.finalize(fitted, measures.matrix, system, self.data, settings, trunk)
        single_run.tell_origin(settings)
        model = model_folder.load(settings.output)
        engine = runtime_of(model)
        latency = self._latency(lambda image: engine.run(model.prepare(image)[None])[0].logits)
        notes = {"part": "measured", "note": note, "train_seconds": seconds, "latency_ms": latency}
        notes["megabytes"] = sum(file.stat().st_size for file in (settings.output / "onnx").iterdir()) / 1e6
        logits = np.stack([output.logits for output in engine.run(measures.matrix[split.test])])
        return Row(system, softmax(logits.astype(np.float64), axis=1), notes)

    def _describe(
        self, measured: classical_features.FeatureSet
    ) -> tuple[classical_features.DescribeImage, tuple[Network, Preprocessing] | None, str]:
        """How an image is measured, the network of which that is done, if any, and a note."""
        if measured != "deep":
            return classical_features.FEATURES[measured], None, ""
        weights = self._weights(methods.FROZEN)
        if weights == "none":
            raise WeightsError(
                f"the ImageNet weights of {methods.FROZEN} could not be had; give them as {methods.FROZEN}.safetensors"
            )
        network = create(methods.FROZEN, 2, weights=weights).eval()
        network.round_to_half_precision()
        how = replace(train.preprocessing(network, self.data, self.base), stain=None)
        return baselines.trunk(network, how), (network, how), f"{RIPE}, {self.base.image_size} px"

    def _trained(self, system: methods.TrainedNetwork) -> Row:
        weights = self._weights(system.backbone) if system.pretrained else "none"
        settings = replace(self.base, backbone=system.backbone, weights=weights, resume=True)
        if weights == "none":
            effort = {"epochs": self.scratch.epochs, "image_size": self.scratch.image_size}
            settings = replace(settings, finetune="full", lr=system.scratch_lr, **effort)
        unfinished = self.base.output / "unfinished" / f"{system.name}-{self._key(system)[-16:]}"
        trained = single_run.train(self.data, replace(settings, output=unfinished))
        settings = replace(settings, output=self._model(system))
        single_run.write(trained.network, trained.how, self.data, settings, trained.steps)
        how = f"{settings.epochs} epochs at {settings.image_size} px"
        part, note = ("measured", f"{RIPE}, {how}") if weights != "none" else ("scratch", comparison.scratch(how))
        return self._served(system, {"part": part, "note": note, "train_seconds": trained.seconds})

    def _averaged(self, system: methods.ProbabilityAverage) -> Row:
        rows = [self.row(methods.choose([name])[0])[0] for name in system.members]
        if missing := [row.system.title for row in rows if row.probabilities is None]:
            raise ensemble.EnsembleError(f"its member {missing[0]} was not run")
        models = [model_folder.load(self._model(row.system)) for row in rows]
        network, how = ensemble.combine(models)
        steps = sum(model.metadata.training["steps"] for model in models)
        settings = replace(self.base, backbone=ensemble.NAME, weights="none", finetune="full", image_size=how.size[0])
        single_run.write(network, how, self.data, replace(settings, output=self._model(system)), steps)
        parts = {row.notes["part"] for row in rows}
        part = "measured" if parts == {"measured"} else "scratch"
        note = f"of {', '.join(system.members)}" + ("" if part == "measured" else ", some from scratch, not converged")
        seconds = sum(row.notes["train_seconds"] for row in rows)
        return self._served(system, {"part": part, "note": note, "train_seconds": seconds})

    def _served(self, system: methods.Method, notes: dict[str, Any]) -> Row:
        """The row of a model folder, as it is loaded for use."""
        model = model_folder.load(self._model(system))
        logits, _ = predict(model.network, self.data.rows.select(self.data.split.test), model.preprocessing)
        notes |= {"megabytes": _megabytes(model.network)}
        notes["latency_ms"] = self._latency(lambda image: _ask(model.network, model.preprocessing, image))
        return Row(system, softmax(logits.astype(np.float64), axis=1), notes)

    def _latency(self, answer: Callable[[np.ndarray], np.ndarray]) -> float:
        """Milliseconds from a decoded image to its answer, one image at a time; the median over some test images."""
        images = [self.data.rows.open_image(int(row)) for row in self.data.split.test[:TIMED]]
        taken = []
        for image in [images[0], *images]:  # the first is the warm-up
            start = time.perf_counter()
            answer(image)
            taken.append(1000 * (time.perf_counter() - start))
        return float(np.median(taken[1:]))

    def _weights(self, backbone: str) -> str:
        """`auto`, `none` or a file: the best that can be had for a network."""
        if file := next((given for given in self.weights if Path(given).stem == backbone), None):
            return file
        if "auto" not in self.weights:
            return "none"
        if backbone not in self.had:
            try:
                create(backbone, 2)
                self.had[backbone] = "auto"
            except WeightsError:  # after half a minute of asking
                self.had[backbone] = "none"
        return self.had[backbone]

    def _model(self, system: methods.Method) -> Path:
        return self.base.output / "models" / system.name

    def _file(self, system: methods.Method) -> Path:
        return self.base.output / "rows" / f"{system.name}.npz"

    @cached_property
    def _data(self) -> str:
        """Digest of the images, their labels and meaning, and the split."""
        return hashlib.sha256(f"{self.data.digest} {self.data.positive}".encode()).hexdigest()[:16]

    def _key(self, system: methods.Method) -> str:
        """What a row depends on."""
        run = {key: value for key, value in self.base.record().items() if key != "weights"}
        key = {"system": repr(system), "run": run, "weights": self._given(), "scratch": repr(self.scratch)}
        if isinstance(system, methods.FeatureClassifier):
            key = {"system": repr(system), "seed": self.base.seed, "served": model_folder.CLASSICAL}
            key |= {"weights": self._given(), "size": self.base.image_size} if system.measures == "deep" else {}
        return f"{self._data} {hashlib.sha256(json.dumps(key, default=str).encode()).hexdigest()[:16]}"

    def _given(self) -> list[str]:
        """The weights as given, files by their content."""
        files = [hashlib.sha256(Path(w).read_bytes()).hexdigest()[:16] for w in self.weights if Path(w).is_file()]
        return sorted(files + [given for given in self.weights if given in ("auto", "none")])


def _ask(network: Network, how: Preprocessing, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(to_input(image, how))[None]).numpy()


def _megabytes(network: Network) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()) / 1e6


def _progress(items: Iterable, what: str, total: int) -> Iterable:
    return tqdm(items, desc=what, total=total, smoothing=0.05, disable=None if total else True)

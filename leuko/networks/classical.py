"""Models that are no networks: a classifier (SVM, forest, tree, neighbours) on measures of an image.

    onnx/model.onnx      measures → features (missing values replaced, scaled) and logits, the temperature folded in
    onnx/trunk.onnx      only where the measures are features of a frozen network: that network
    leuko.json           what any model folder has there; and `kind`, `labels`, `measures` and the digests
    README.md            the model card

There is no pickle, and scikit-learn is not needed to serve it. `leuko.networks.model_folder.load` gives it as any other model;
it has no heat maps, and neither timm nor transformers know it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from leuko import __version__
from leuko.cells.features.catalogue import AREA, FEATURES, LENGTH, NAMES
from leuko.cells.features.morphology import as_matrix, describe
from leuko.cells.segmentation import Segmentation, segment
from leuko.images import scale_bar
from leuko.images.stain import colour_statistics
from leuko.networks import model_folder
from leuko.networks.model_folder import CLASSICAL, LEUKO, ONNX, TRUNK, Model, ModelFolderError, ModelMetadata
from leuko.networks.preprocessing import CropError, Preprocessing, to_input

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin
    from sklearn.pipeline import Pipeline

    from leuko.networks.backbones import Network

Measured = Literal["colours", "cells", "k-means nuclei", "deep"]
Describe = Callable[[np.ndarray], np.ndarray]  # image, uint8, H × W × 3, RGB → measures, float, D

LEAST = 1e-3  # probability: of a few hundred training images, no class is less likely for certain
OPSET = 18
_SIZES = np.array([feature.unit in (LENGTH, AREA) for feature in FEATURES])
_NUCLEUS = np.array([not name.startswith(("cell_", "cytoplasm_", "contrast_")) for name in NAMES])
_VERSIONED = ("scikit-learn", "skl2onnx", "onnx")


def cells_and_colours(image: np.ndarray) -> np.ndarray:
    """The white cells of an image in figures, how many cells of each kind there are, and nine colour statistics."""
    image = scale_bar.remove(image)
    found = segment(image)
    return np.concatenate([_pooled(image, found), _counts(found), colour_statistics(image)])


def nuclei_by_k_means(image: np.ndarray) -> np.ndarray:
    """Nuclei found by k-means, in figures of shape, border dimension, colour and texture.

    After Kazemi, Najafabadi & Araabi, "Automatic recognition of acute myelogenous leukemia in blood microscopic images
    using k-means clustering and support vector machine", 2016, doi:10.4103/2228-7477.186885.
    """
    image = scale_bar.remove(image)
    return _pooled(image, segment(image, "k-means"))[np.tile(_NUCLEUS, 3)]


MEASURES: dict[Measured, Describe] = {
    "colours": colour_statistics,
    "cells": cells_and_colours,
    "k-means nuclei": nuclei_by_k_means,
}


def _pooled(image: np.ndarray, found: Segmentation) -> np.ndarray:
    """Mean and standard deviation over the white cells, and the cell with the largest nucleus; 3 × features.

    Cells that the border cuts are left out if there are others. Sizes are missing where the scale is not known, and
    everything is missing (NaN) where there are no cells.
    """
    table = describe(image, found)
    _, cells = as_matrix(table)
    if not found.um_per_px:
        cells[:, _SIZES] = np.nan
    if not len(cells):
        return np.full(3 * len(NAMES), np.nan)
    whole = ~table["touches_border"]
    cells, nuclei = (values[whole] if whole.any() else values for values in (cells, table["nucleus_area"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column may hold nothing but NaN
        return np.concatenate([np.nanmean(cells, axis=0), np.nanstd(cells, axis=0), cells[np.nanargmax(nuclei)]])


def _counts(found: Segmentation) -> np.ndarray:
    white, red, platelets = (labels.max() for labels in (found.white_cells, found.red_cells, found.platelets))
    return np.array([white, red, platelets, white / max(red, 1)], dtype=float)


def as_onnx(prepare: Pipeline, classifier: ClassifierMixin, classes: int, temperature: float) -> bytes:
    """Two fitted steps of scikit-learn as one ONNX graph: `measures` (B × D) → `features` and `logits` (B × classes).

    Logits are an SVM's scores, or the logarithms of probabilities, from `LEAST` on, divided by the temperature.

    Args:
        prepare: replaces missing values and scales.
        classifier: on what `prepare` gives.
        classes: how many there are; of some, the classifier may have seen no image.
        temperature: see `leuko.decision.calibration.fit_temperature`.
    """
    import onnx
    from onnx import TensorProto, compose, helper, numpy_helper
    from skl2onnx import to_onnx
    from sklearn.svm import SVC

    svm = isinstance(classifier, SVC)
    options = {id(classifier): {"zipmap": False} | ({"raw_scores": True} if svm else {})}
    one, two = np.zeros((1, prepare.n_features_in_), np.float32), np.zeros((1, classifier.n_features_in_), np.float32)
    first = compose.add_prefix(to_onnx(prepare, one, target_opset=OPSET), "prepare_")
    second = compose.add_prefix(to_onnx(classifier, two, options=options, target_opset=OPSET), "classify_")
    scaled, said = first.graph.output[0].name, second.graph.output[1].name
    opsets = {o.domain: o.version for m in (first, second) for o in m.opset_import}
    for model in (first, second):
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(*each) for each in opsets.items())
        model.ir_version = min(first.ir_version, second.ir_version)
    graph = compose.merge_models(first, second, [(scaled, second.graph.input[0].name)], outputs=[said]).graph

    # Columns go to the classes that the classifier knows; a binary SVM's two scores are the same with another sign.
    known = len(classifier.classes_)
    place = np.zeros((known, classes), np.float32)
    place[np.arange(known), classifier.classes_] = (0.5 if svm and known == 2 else 1) / temperature
    unseen = np.where(np.isin(np.arange(classes), classifier.classes_), 0, np.log(LEAST) / temperature)
    constants = {"place": place, "unseen": unseen.astype(np.float32), "least": np.array(LEAST, np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    scores = said
    if not svm:
        graph.node.append(helper.make_node("Max", [said, "least"], ["bounded"]))
        graph.node.append(helper.make_node("Log", ["bounded"], ["scores"]))
        scores = "scores"
    graph.node.append(helper.make_node("MatMul", [scores, "place"], ["placed"]))
    graph.node.append(helper.make_node("Add", ["placed", "unseen"], ["logits"]))
    graph.node.append(helper.make_node("Identity", [scaled], ["features"]))
    del graph.output[:]
    for name, width in (("features", classifier.n_features_in_), ("logits", classes)):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]))
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*each) for each in opsets.items()],
        ir_version=min(first.ir_version, second.ir_version),
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def save(
    target: Path,
    model: bytes,
    name: str,
    measured: Measured,
    labels: tuple[str, ...],
    metadata: ModelMetadata,
    trunk: tuple[Network, Preprocessing] | None = None,
) -> None:
    """Write all but the card and the evaluation into an existing folder, `leuko.json` last.

    Call it inside `leuko.networks.model_folder.new_folder`.

    Args:
        target: the folder.
        model: from `as_onnx`.
        name: of the kind of classifier, for findings.
        measured: what the classifier is given.
        labels: class names.
        metadata: see there.
        trunk: the network of deep measures, its weights rounded to what is stored, and what it sees.
    """
    (target / ONNX).parent.mkdir()
    (target / ONNX).write_bytes(model)
    files = [ONNX]
    if trunk:
        from leuko.networks.export import export_onnx

        export_onnx(trunk[0], trunk[1].size, target / TRUNK)
        files.append(TRUNK)
    content = {
        "format": 1,
        "kind": CLASSICAL,
        "classifier": name,
        "labels": list(labels),
        "measures": measured,
        "preprocessing": trunk and trunk[1].as_timm(),
        "versions": {"leuko": __version__, **{package: version(package) for package in _VERSIONED}},
        "sha256": {file: model_folder.digest(target / file) for file in files},
        **metadata.as_json(),
    }
    (target / LEUKO).write_text(json.dumps(content, indent=1) + "\n")


def load(source: Path) -> Model:
    """A model from a folder that `save` wrote.

    Raises:
        ModelFolderError: half-written, changed, or on measures that are not known.
    """
    try:
        stored: dict[str, Any] = json.loads((source / LEUKO).read_text())
        labels = tuple(stored["labels"])
        metadata = ModelMetadata.from_json(stored, labels)
        measured, digests, name = stored["measures"], dict(stored["sha256"]), str(stored["classifier"])
        how = Preprocessing.from_timm(stored["preprocessing"]) if measured == "deep" else None
        needed = [ONNX, TRUNK] if measured == "deep" else [ONNX]
        wrong = [f for f in needed if not (source / f).is_file() or model_folder.digest(source / f) != digests[f]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CropError) as error:
        raise ModelFolderError(f"{source} is damaged: {LEUKO} cannot be read; run the comparison again.") from error
    if wrong:
        raise ModelFolderError(
            f"{source / wrong[0]} is missing, incomplete or not the file that was written; copy it again or run the "
            "comparison again."
        )
    if measured != "deep" and measured not in MEASURES:
        raise ModelFolderError(f"{source} judges by measures that are not known ({measured}); update Deep Leuko.")
    describe_image = _by_trunk(source / TRUNK, how) if how else MEASURES[measured]
    return Model(
        source,
        name,
        labels,
        how,
        metadata,
        digests[ONNX][:12],
        onnx=source / ONNX,
        measures=lambda image: np.asarray(describe_image(image), np.float32),
    )


def _by_trunk(file: Path, how: Preprocessing) -> Describe:
    from leuko.networks.runtime import (
        OnnxRuntime,
    )  # late: it needs `leuko.networks.model_folder` and may be needed by nobody

    trunk = OnnxRuntime(file)
    return lambda image: trunk.run(to_input(image, how)[None])[0].features

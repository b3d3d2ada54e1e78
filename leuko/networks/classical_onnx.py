"""Classifiers of scikit-learn as ONNX graphs, so that serving needs neither scikit-learn nor pickles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin
    from sklearn.pipeline import Pipeline

LEAST = 1e-3  # probability: a few hundred training images cannot show that a class is less likely
OPSET = 18


def as_onnx(prepare: Pipeline, classifier: ClassifierMixin, classes: int, temperature: float) -> bytes:
    """Two fitted steps of scikit-learn as one ONNX graph: from measurements (B × D) to `features` and `logits`.

    Logits are an SVM's scores, or the logarithms of probabilities, from `LEAST` on, divided by the temperature.

    Args:
        prepare: replaces missing values and scales.
        classifier: takes the output of `prepare`.
        classes: number of classes; the classifier may have seen no image of some.
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
    scaled, scores = first.graph.output[0].name, second.graph.output[1].name
    opsets = {o.domain: o.version for m in (first, second) for o in m.opset_import}
    for model in (first, second):
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(*each) for each in opsets.items())
        model.ir_version = min(first.ir_version, second.ir_version)
    graph = compose.merge_models(first, second, [(scaled, second.graph.input[0].name)], outputs=[scores]).graph

    # Put the scores into the columns of their classes. A binary SVM's two scores differ only in their sign.
    known = len(classifier.classes_)
    place = np.zeros((known, classes), np.float32)
    place[np.arange(known), classifier.classes_] = (0.5 if svm and known == 2 else 1) / temperature
    unseen = np.where(np.isin(np.arange(classes), classifier.classes_), 0, np.log(LEAST) / temperature)
    constants = {"place": place, "unseen": unseen.astype(np.float32), "least": np.array(LEAST, np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    if not svm:
        graph.node.append(helper.make_node("Max", [scores, "least"], ["bounded"]))
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

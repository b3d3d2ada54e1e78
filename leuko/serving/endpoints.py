"""The endpoints that programs call: what they take and give is a contract."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from leuko.images.decode import ImageError
from leuko.models.classifier import Classifier
from leuko.serving.analysis import Analysis, analyse
from leuko.serving.upload import SmearImage, Upload


def add(classifier: Classifier) -> None:
    """Put the endpoints into the app that is open; `build` of `leuko.serving.interface` says which."""
    labels = list(classifier.labels)
    image = SmearImage(visible=False, label="Smear image")
    finding = gr.JSON(visible=False, label="Finding")
    overlay = gr.Image(visible=False, label="Overlay", format="png")
    information = gr.JSON(visible=False, label="Model")
    class_name = gr.Dropdown(["", *labels], value="", allow_custom_value=True, visible=False, label="Class")
    opacity = gr.Slider(0, 1, 0.5, visible=False, label="Opacity")

    def classify(image: Upload | None) -> dict[str, Any]:
        """Judge one smear image. Returns the finding: label, probabilities, decision, reasons, quality."""
        return _analyse(classifier, image).finding.as_json(image.name)

    def explain(image: Upload | None, class_name: str = "", opacity: float = 0.5) -> np.ndarray:
        """Grad-CAM of a class (empty: the most probable one), laid over the image."""
        analysis = _analyse(classifier, image)
        label = class_name or analysis.finding.label
        try:
            classifier.index(label)
        except ValueError as error:
            raise _refusal(error) from error
        return analysis.overlay(label, opacity)

    def model_info() -> dict[str, Any]:
        """Which model answers here: name, version, backbone, classes, operating point, training."""
        return classifier.describe()

    triggers = gr.Button(visible=False)
    triggers.click(classify, image, finding, api_name="classify")
    triggers.click(explain, [image, class_name, opacity], overlay, api_name="explain")
    triggers.click(model_info, None, information, api_name="model_info")


def _analyse(classifier: Classifier, upload: Upload | None) -> Analysis:
    if upload is None:
        raise _refusal("No image was given; choose one first.")
    try:
        return analyse(classifier, upload.path)
    except ImageError as error:
        raise _refusal(error) from error


def _refusal(reason: object) -> gr.Error:
    return gr.Error(str(reason), title="Not possible", print_exception=False)

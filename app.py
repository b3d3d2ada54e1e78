"""The Space: serves the model named by LEUKO_MODEL (a folder or Hub id), or the embedded default."""

from __future__ import annotations

import os
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from leuko.models.classifier import Classifier
from leuko.models.folder import ModelFolderError
from leuko.serving.interface import build, launch_options


def main() -> None:
    """Load the model and serve; with no usable model, say so and serve nothing."""
    try:
        classifier = Classifier.load(os.environ.get("LEUKO_MODEL"))
    except ModelFolderError as error:
        sys.exit(f"Deep Leuko cannot start: {error}")
    build(classifier).launch(**launch_options())


if __name__ == "__main__":
    main()

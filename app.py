"""The Space: serves the model named by LEUKO_MODEL (a folder or Hub id), or the embedded default.

LEUKO_USER and LEUKO_PASSWORD together put a login in front of it.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def main() -> None:
    """Load the model and serve; with no usable model, say so and serve nothing."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that what follows is cleaned up
    above = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    above.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="leuko-", dir=above, ignore_cleanup_errors=True) as place:
            # All files of all visitors, in a folder that nobody else can read and that goes with the server.
            os.environ["GRADIO_TEMP_DIR"] = str(Path(place) / "uploads")
            tempfile.tempdir = place
            serve()
    except SystemExit as told:
        if told.code:
            raise
        os._exit(0)  # without waiting for what other threads are at


def serve() -> None:
    """As `main`, into whatever temporary folder there is."""
    from leuko.models.classifier import Classifier
    from leuko.models.folder import ModelFolderError
    from leuko.serving import examples

    # The model is loaded and the examples are drawn on the second core while the first imports Gradio for seconds.
    with ThreadPoolExecutor(1) as meanwhile:
        loading = meanwhile.submit(Classifier.load, os.environ.get("LEUKO_MODEL"))
        drawing = meanwhile.submit(examples.gather)
        from leuko.serving.interface import build, launch_options  # late: it asks for its folder when it is imported

        try:
            options = launch_options()
            classifier = loading.result()
        except (ModelFolderError, ValueError) as error:
            sys.exit(f"Deep Leuko cannot start: {error}")
        app = build(classifier, drawing.result())
    app.launch(**options)


if __name__ == "__main__":
    main()

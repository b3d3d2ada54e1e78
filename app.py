"""The Space: serves the model named by LEUKO_MODEL (a folder or Hub id), or the embedded default.

LEUKO_USER and LEUKO_PASSWORD together put a login in front of it.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from leuko.cli.option_types import Version
from leuko.cli.terminal import run_quietly

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(2**31)  # else pandas sums up all requests after each one
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def main() -> None:
    """Load the model and serve; with no usable model, say so and serve nothing."""
    parser = argparse.ArgumentParser(description="Serve Deep Leuko; the environment chooses model, port and password.")
    parser.add_argument("--version", action=Version)
    parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that what follows is cleaned up
    above = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    above.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="leuko-", dir=above, ignore_cleanup_errors=True) as place:
            # All files of all visitors, in a folder that nobody else can read and that goes with the server.
            os.environ["GRADIO_TEMP_DIR"] = str(Path(place) / "uploads")
            os.environ["TMPDIR"] = tempfile.tempdir = place  # for processes that this one starts, too
            serve()
    except SystemExit as told:
        if told.code:
            raise
        os._exit(0)  # without waiting for what other threads are at


def serve() -> None:
    """As `main`, into whatever temporary folder there is."""
    from leuko.system import memory

    memory.share_one_heap()
    gc.disable()  # of what is imported nothing is garbage, and looking for it takes a fifth of the time
    from leuko.inference.classifier import Classifier
    from leuko.networks.model_folder import ModelFolderError
    from leuko.serving.gradio.import_patch import without_stubs
    from leuko.serving.tabs import examples

    # The examples are drawn on the second core, in a process of its own, while this one imports Gradio for seconds.
    with ProcessPoolExecutor(1, get_context("spawn")) as meanwhile:
        drawing = meanwhile.submit(examples.gather)
        try:
            classifier = Classifier.load(os.environ.get("LEUKO_MODEL"))
            with without_stubs():
                from leuko.serving.interface import build, launch_options  # late: it asks for its folder at once

            options = launch_options()
        except (ModelFolderError, ValueError) as error:
            sys.exit(f"Deep Leuko cannot start: {error}")
        app = build(classifier, drawing.result())
    gc.freeze()  # what is there stays
    gc.enable()
    app.launch(**options)


if __name__ == "__main__":
    sys.exit(run_quietly(main))

"""`leuko serve`, also `python app.py`: the Gradio app, with its page and API.

The environment configures it: LEUKO_MODEL is a model folder or Hub id (default: embedded model), LEUKO_KINDS a folder
with kinds of cells that `leuko adapt` fitted to a laboratory, LEUKO_USER and
LEUKO_PASSWORD together ask visitors to log in, GRADIO_SERVER_PORT and Gradio's other variables work as usual.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import tempfile
from pathlib import Path

from leuko.cli.options import Subparsers, Version


def add_parser(subparsers: Subparsers) -> None:
    """Add the command; it has no options of its own."""
    parser = subparsers.add_parser(
        "serve",
        help="serve the web page and the API",
        description="Serve Deep Leuko. The environment chooses model (LEUKO_MODEL), port (GRADIO_SERVER_PORT) and "
        "login (LEUKO_USER, LEUKO_PASSWORD).",
    )
    parser.add_argument("--version", action=Version)  # also as `python app.py --version`
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Load the model and serve until the process is ended; without a usable model nothing is served."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(2**31)  # else pandas summarises all requests after each one
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # an exception, so that temporary files are deleted
    parent = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="leuko-", dir=parent, ignore_cleanup_errors=True) as folder:
            # All files of all visitors lie in a folder that only this user can read and that is deleted at the end.
            os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
            os.environ["TMPDIR"] = tempfile.tempdir = folder  # TMPDIR is for processes that this one starts
            _serve()
    except SystemExit as end:
        if end.code:
            raise
        os._exit(0)  # does not wait for threads that still work on a request
    return 0


def _serve() -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from leuko.system import memory

    memory.share_one_heap()
    gc.disable()  # imports create no garbage; collecting during them costs a fifth of the starting time
    from leuko.inference.classifier import Classifier
    from leuko.networks.model_folder import ModelFolderError
    from leuko.serving.gradio.import_patch import without_stubs
    from leuko.serving.tabs import examples

    # The examples are drawn in a second process while this one imports Gradio, which takes seconds.
    with ProcessPoolExecutor(1, get_context("spawn")) as second_process:
        drawing = second_process.submit(examples.gather)
        try:
            classifier = Classifier.load(os.environ.get("LEUKO_MODEL"), os.environ.get("LEUKO_KINDS"))
            with without_stubs():
                # After GRADIO_TEMP_DIR is set, which Gradio reads when it is imported.
                from leuko.serving.interface import build, launch_options

            options = launch_options()
        except (ModelFolderError, ValueError) as error:
            sys.exit(f"Deep Leuko cannot start: {error}")
        app = build(classifier, drawing.result())
    gc.freeze()  # what is loaded now stays; later collections skip it
    gc.enable()
    app.launch(**options)

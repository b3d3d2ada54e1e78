"""The endpoints that programs call: what they take and give is a contract.

Their names, their parameters and what they say here is what the API page, the clients' `view_api()` and MCP tools show.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import anyio
import gradio as gr
import numpy as np

from leuko.cells import overlay as outlines
from leuko.cells.segmentation import segment
from leuko.data.sources.archive import ArchiveError
from leuko.images import quality
from leuko.images.decode import ImageError, Picture, pictures
from leuko.inference import field_json
from leuko.inference.classifier import Classifier
from leuko.networks import grad_cam as heat_maps
from leuko.serving import batch
from leuko.serving.gradio.launch import refusal
from leuko.serving.gradio.upload_components import SmearFiles, SmearImage, Upload

AT_ONCE = 2  # calls that are worked on, whichever the endpoint; the page does not wait behind them
PLACES = threading.BoundedSemaphore(
    AT_ONCE
)  # of those calls, which come through Gradio or `leuko.serving.api.one_call`
MAX_WAITING = 64  # calls that may wait for their turn


def add(classifier: Classifier) -> None:
    """Put the endpoints into the app that is open."""
    image = SmearImage(visible=False, label="Smear image")
    images = SmearFiles(visible=False, label="Smear images", file_count="multiple")
    finding = gr.JSON(visible=False, label="Finding")
    findings = gr.JSON(visible=False, label="Findings")
    overlay = gr.Image(visible=False, label="Overlay", format="png")
    cells = gr.JSON(visible=False, label="Cells")
    information = gr.JSON(visible=False, label="Model")
    with_cells = gr.Checkbox(True, visible=False, label="Cells")
    class_name = gr.Textbox("", visible=False, label="Class")
    opacity = gr.Slider(0, 1, 0.5, visible=False, label="Opacity")

    def classify(image: Upload | None, cells: bool = True) -> dict[str, Any]:
        """Judge one image of a blood or marrow smear for signs of acute lymphoblastic leukaemia; research use only.

        Args:
            image: JPEG, PNG, TIFF, BMP, WebP, GIF, HEIC, AVIF, JPEG 2000 or DICOM, at most 50 MB and 50 megapixels
            cells: false asks the network alone, several times as fast

        Returns:
            The finding: decision, headline, reasons, leukaemia_probability (null if no class means leukaemia; no answer
            where the decision is uncertain), evidence, label, probabilities, quality, model, …
        """
        picture = _picture(image)
        return classifier.read(picture.pixels, cells, picture.um_per_px).finding.as_json(image.name)

    def explain(image: Upload | None, class_name: str = "", opacity: float = 0.5) -> np.ndarray:
        """Show where the network looked: Grad-CAM of a class laid over the image.

        Args:
            image: as for classify
            class_name: one of the labels of model_info; empty for the most probable one
            opacity: of the heat map, 0 to 1

        Returns:
            The picture as PNG, at most 1024 pixels wide and high
        """
        picture = _picture(image)
        reading = classifier.read(picture.pixels, um_per_px=picture.um_per_px)
        try:
            cam = classifier.heat_map(reading, class_name or reading.finding.label)
        except ValueError as error:
            raise refusal(error) from error
        return heat_maps.overlay(heat_maps.shrink(picture.pixels), cam, opacity)

    def analyse_field(image: Upload | None) -> tuple[dict[str, Any], np.ndarray]:
        """Find, measure and count the cells of one image.

        Args:
            image: as for classify

        Returns:
            The cells as JSON: quality, counts, um_per_px, and cells with id, kind, bbox, touches_border, and morphology
            The picture with outlined and numbered cells as PNG; without them where there are none in the JSON
        """
        picture = _picture(image)
        pixels = picture.pixels
        fit = quality.assess(pixels)
        found = segment(pixels, um_per_px=picture.um_per_px) if fit.usable else None
        drawn = pixels if field_json.why_no_cells(fit, found) else outlines.draw(pixels, found)
        return field_json.field(image.name, pixels, found, fit), drawn

    async def classify_batch(images: list[Upload], progress: gr.Progress = gr.Progress()) -> list[dict[str, Any]]:  # noqa: B008
        """Judge many images one after the other; a bad file fails alone.

        Args:
            images: up to 500 images, zips of them included

        Returns:
            An object for every file, in order: the finding of classify (one for each page, as a.tif#2), or image and
            error, or image and skipped: why a file of a zip is no image (hidden, a table, a text, …)
        """
        said = []
        try:
            with batch.taken(images) as given:
                for item in progress.tqdm(given.items, desc="Judging", unit="images"):
                    # Between two images a cancelled call ends, as a plain function would not.
                    said += await anyio.to_thread.run_sync(batch.judge, classifier, item)
        except ArchiveError as error:
            raise refusal(error) from error
        return said

    def model_info() -> dict[str, Any]:
        """Say which model answers here.

        Returns:
            name, version, backbone, labels, positive (the labels that mean leukaemia), operating point, training
        """
        return classifier.describe()

    triggers = gr.Button(visible=False)
    for function, taken, given in (
        (classify, [image, with_cells], finding),
        (explain, [image, class_name, opacity], overlay),
        (analyse_field, image, [cells, overlay]),
    ):
        triggers.click(
            _in_turn(function),
            taken,
            given,
            api_name=function.__name__,
            concurrency_id="api",
            concurrency_limit=AT_ONCE,
        )
    triggers.click(classify_batch, images, findings, api_name="classify_batch", concurrency_limit=1)
    triggers.click(model_info, None, information, api_name="model_info")


def _in_turn(function: Callable) -> Callable:
    """The function, once one of `PLACES` is free."""

    @functools.wraps(function)
    def waits(*given: Any) -> Any:
        with PLACES:
            return function(*given)

    return waits


def _picture(upload: Upload | None) -> Picture:
    """The one picture of a file."""
    if upload is None:
        raise refusal("No image was given; choose one first.")
    try:
        picture, *more = pictures(upload.path)
    except ImageError as error:
        raise refusal(error) from error
    if more:
        raise refusal(f"The file holds {1 + len(more)} pictures; /classify_batch and /api/classify judge each of them.")
    return picture

"""Gradio's endpoints for programs; their names, parameters and results are a contract.

The names and docstrings of the functions are what the API page, `view_api()` of the clients and MCP tools show.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import anyio
import gradio as gr
import numpy as np

from leuko.cases import reading
from leuko.cases.case import SPECIMENS, Specimen
from leuko.cells import overlay as cell_overlay
from leuko.cells.segmentation import DEFAULT_METHOD, METHODS, segment
from leuko.data.sources.archive import ArchiveError
from leuko.images.decode import ImageError, Picture, pictures
from leuko.images.file_types import InputFile
from leuko.images.quality import assessment
from leuko.inference import field_json
from leuko.inference.classifier import Classifier
from leuko.networks import grad_cam
from leuko.serving import batch
from leuko.serving.gradio.errors import refusal
from leuko.serving.gradio.upload_components import SmearFiles, SmearImage, Upload

MAX_PARALLEL = 2  # calls that are worked on at once, over all endpoints; the page does not wait behind them
SLOTS = threading.BoundedSemaphore(MAX_PARALLEL)  # for the calls of Gradio and of `leuko.serving.api.one_call`
MAX_WAITING = 64  # calls that may wait; more are refused, so that nobody waits for minutes


def add(classifier: Classifier) -> None:
    """Add the endpoints to the Gradio app that is being built."""
    image = SmearImage(visible=False, label="Smear image")
    images = SmearFiles(visible=False, label="Smear images", file_count="multiple")
    finding = gr.JSON(visible=False, label="Finding")
    findings = gr.JSON(visible=False, label="Findings")
    overlay = gr.Image(visible=False, label="Overlay", format="png")
    cells = gr.JSON(visible=False, label="Cells")
    case = gr.JSON(visible=False, label="Case")
    information = gr.JSON(visible=False, label="Model")
    with_cells = gr.Checkbox(True, visible=False, label="Cells")
    smudges = gr.Checkbox(False, visible=False, label="Count smudge cells")
    specimens = gr.Radio(list(SPECIMENS), value=SPECIMENS[0], visible=False, label="Specimen")
    class_name = gr.Textbox("", visible=False, label="Class")
    methods = gr.Dropdown(list(METHODS), value=DEFAULT_METHOD, visible=False, label="Method")
    opacity = gr.Slider(0, 1, 0.5, visible=False, label="Opacity")

    def classify(image: Upload | None, cells: bool = True) -> dict[str, Any]:
        """Examine one image of a blood or marrow smear for signs of acute lymphoblastic leukaemia; research use only.

        Args:
            image: JPEG, PNG, TIFF, BMP, WebP, GIF, HEIC, AVIF, JPEG 2000 or DICOM, at most 50 MB and 50 megapixels
            cells: false uses the network alone, without the cells: several times faster

        Returns:
            The finding: decision, headline, reasons, leukaemia_probability (null if no class means leukaemia; not to be
            used where the decision is uncertain), evidence, label, probabilities, quality, model, …
        """
        image, picture = _picture(image)
        return classifier.analyse(picture.pixels, use_cells=cells, um_per_px=picture.um_per_px).finding.as_json(
            image.name
        )

    def explain(image: Upload | None, class_name: str = "", opacity: float = 0.5) -> np.ndarray:
        """Show which parts of the image moved the network towards a class: Grad-CAM over the image.

        Args:
            image: as for classify
            class_name: one of the labels of model_info; empty for the most probable one
            opacity: of the heat map, 0 to 1

        Returns:
            The picture as PNG, at most 1024 pixels wide and high
        """
        _, picture = _picture(image)
        try:
            heat_map = classifier.explain(picture.pixels, class_name or None)
        except ValueError as error:
            raise refusal(error) from error
        return grad_cam.overlay(grad_cam.shrink(picture.pixels), heat_map, opacity)

    def analyse_field(
        image: Upload | None, method: str = DEFAULT_METHOD, count_smudges: bool = False
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Segment, measure and count the cells of one image.

        Args:
            image: as for classify
            method: of segmentation: learned (a network), fuzzy (two-stage, of the paper), k-means or otsu
            count_smudges: true counts smudge cells as white cells in the differential count

        Returns:
            The cells as JSON: quality, counts, differential, um_per_px, and cells with id, kind, bbox, touches_border,
            and, of white cells, type, type_probabilities, confidence and morphology
            The picture with outlined and numbered cells as PNG; without outlines where the JSON has no cells
        """
        image, picture = _picture(image)
        pixels = picture.pixels
        image_quality = assessment.assess(pixels)
        segmentation = segment(pixels, method, picture.um_per_px) if image_quality.usable else None
        drawn = pixels
        if segmentation and not field_json.why_no_cells(image_quality, segmentation):
            drawn = cell_overlay.draw(pixels, segmentation)
        said = field_json.field(image.name, pixels, segmentation, image_quality, count_smudges, classifier.kind_model)
        return said, drawn

    async def classify_batch(images: list[Upload], progress: gr.Progress = gr.Progress()) -> list[dict[str, Any]]:  # noqa: B008
        """Classify many images one after the other; a bad file does not stop the others.

        Args:
            images: up to 500 images, zips of them included

        Returns:
            An object for every file, in order: the finding of classify (one for each page, as a.tif#2), or image and
            error, or image and skipped: why a file of a zip is no image (hidden, a table, a text, …)
        """
        return await _each(images, progress, "Classifying", functools.partial(batch.classify_file, classifier))

    async def analyse_case(
        images: list[Upload],
        specimen: Specimen = "blood",
        count_smudges: bool = False,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> dict[str, Any]:
        """Read the fields of one slide as one: every cell counted once, one decision, one differential count.

        Args:
            images: up to 500 fields of one slide, zips of them included; they may overlap
            specimen: blood or marrow
            count_smudges: true counts smudge cells as white cells in the differential count

        Returns:
            The case: decision, headline, reasons, blast_share with its interval, differential, fields (each with its
            decision), overlaps, cells (each once, with the fields that show it), errors, skipped, model
        """
        read = functools.partial(reading.read_file, classifier, describe_error=batch.log_fault)
        results = await _each(images, progress, "Reading fields", read)
        case = await anyio.to_thread.run_sync(reading.case_of, classifier, results, specimen, count_smudges)
        return reading.as_json(case, classifier, results)

    def model_info() -> dict[str, Any]:
        """Describe the model that answers here.

        Returns:
            name, version, backbone, labels, positive (the labels that mean leukaemia), operating point, training
        """
        return classifier.describe()

    trigger = gr.Button(visible=False)
    for function, inputs, outputs in (
        (classify, [image, with_cells], finding),
        (explain, [image, class_name, opacity], overlay),
        (analyse_field, [image, methods, smudges], [cells, overlay]),
    ):
        trigger.click(
            _with_slot(function),
            inputs,
            outputs,
            api_name=function.__name__,
            concurrency_id="api",
            concurrency_limit=MAX_PARALLEL,
        )
    trigger.click(
        classify_batch, images, findings, api_name="classify_batch", concurrency_id="batch", concurrency_limit=1
    )
    trigger.click(
        analyse_case, [images, specimens, smudges], case, api_name="analyse_case", concurrency_id="batch",
        concurrency_limit=1,
    )  # fmt: skip
    trigger.click(model_info, None, information, api_name="model_info")


async def _each(
    images: list[Upload], progress: gr.Progress, doing: str, read: Callable[[InputFile], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The results of all files of an upload, one after the other.

    A cancelled call ends between two images; it would not if this were a plain function.

    Raises:
        gr.Error: there are no files, too many, or the only one is a zip that cannot be unpacked.
    """
    results: list[dict[str, Any]] = []
    try:
        with batch.open_batch(images) as files:
            for item in progress.tqdm(files.items, desc=doing, unit="images"):
                results += await anyio.to_thread.run_sync(read, item)
    except ArchiveError as error:
        raise refusal(error) from error
    return results


def _with_slot(function: Callable) -> Callable:
    """The function, which waits until one of `SLOTS` is free."""

    @functools.wraps(function)
    def waiting(*inputs: Any) -> Any:
        with SLOTS:
            return function(*inputs)

    return waiting


def _picture(upload: Upload | None) -> tuple[Upload, Picture]:
    """An upload and the one picture that its file holds.

    Raises:
        gr.Error: there is no upload, its file cannot be read, or holds several pictures.
    """
    if upload is None:
        raise refusal("No image was given; choose one first.")
    try:
        picture, *more = pictures(upload.path)
    except ImageError as error:
        raise refusal(error) from error
    if more:
        raise refusal(f"The file holds {1 + len(more)} pictures; /classify_batch and /api/classify take all of them.")
    return upload, picture

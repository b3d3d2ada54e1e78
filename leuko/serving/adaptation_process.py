"""Adapts a model to an uploaded zip in a process of its own, whose memory is freed and whose crash harms nobody."""

from __future__ import annotations

import io
import multiprocessing
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from leuko.adaptation.zip_summary import IMAGES
from leuko.data.errors import DataError
from leuko.data.sources.archive import unpack
from leuko.inference.classifier import Classifier
from leuko.networks.model_folder import ModelFolderError

_MODEL = "model"  # the model folder's name; it is written below the temporary folder of the process


@dataclass(frozen=True)
class Adaptation:
    """The result of adapting.

    Attributes:
        classifier: the adapted model, loaded.
        zip_file: the content of a zip of its folder.
        report: as returned by `leuko.adaptation.adapt.adapt`.
    """

    classifier: Classifier
    zip_file: bytes
    report: dict[str, Any]


def adapt_to_zip(archive: Path, base: str, positive: list[str], on_message: Callable[[str], None]) -> Adaptation:
    """Adapt a model to the labelled images of a zip; images and model folder are deleted afterwards.

    Args:
        archive: the zip, with a folder for each class.
        base: model folder to start from.
        positive: the classes that mean leukaemia.
        on_message: receives each line that `adapt` writes for the user.

    Raises:
        leuko.data.sources.archive.ArchiveError: the zip cannot be unpacked.
        DataError: the images cannot be used, or the process ended without a result.
        ModelFolderError: the base model cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="leuko-lab-") as temporary:
        images, model = Path(temporary) / IMAGES, Path(temporary) / _MODEL
        images.mkdir()
        unpack(archive, images)
        report = _run_process(temporary, base, positive, on_message)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as written:
            for file in sorted(file for file in model.rglob("*") if file.is_file()):
                written.write(file, file.relative_to(model))
        return Adaptation(Classifier.load(model), packed.getvalue(), report)


def _run_process(folder: str, base: str, positive: list[str], on_message: Callable[[str], None]) -> dict[str, Any]:
    """The report of `_adapt`, run in another process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_adapt, args=(folder, base, positive, sender), daemon=True)
    process.start()
    sender.close()  # only the other process holds it now, so that its end is noticed
    try:
        while isinstance(message := receiver.recv(), str):
            on_message(message)
    except EOFError as error:
        process.join()
        was_killed = (process.exitcode or 0) < 0
        if was_killed:
            reason = "Adapting was interrupted, perhaps for lack of memory; try it with fewer images."
        else:
            reason = "Adapting failed because of a program error; nothing was kept. Try it with other images."
        raise DataError(reason) from error
    finally:
        process.kill()
        process.join()
        receiver.close()
    if isinstance(message, Exception):
        raise message
    return message


def _adapt(folder: str, base: str, positive: list[str], sender: Connection) -> None:
    """In the other process: send every message of `adapt`, then its report or its error."""
    os.chdir(folder)  # so that messages contain no path of the server
    from leuko.adaptation.adapt import adapt

    try:
        sender.send(adapt(IMAGES, Path(_MODEL), model=base, positive=positive, on_message=sender.send))
    except (DataError, ModelFolderError) as error:
        sender.send(error)

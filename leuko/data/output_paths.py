"""Checks of output folders: results never replace other files and are never written into the image folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from leuko.data.errors import DataError
from leuko.networks.model_folder import CONFIG, LEUKO, ONNX, RESULTS, WEIGHTS

_OF_A_MODEL = {CONFIG, WEIGHTS, LEUKO, "README.md", "evaluation", Path(ONNX).parts[0], Path(RESULTS).parts[0]}
_BESIDE_A_MODEL = {".gitattributes", ".cache", ".DS_Store", "Thumbs.db", "desktop.ini"}  # not .git: it is the history


def check_free(output: Path, what: str, may_be_replaced: Callable[[Path], bool]) -> None:
    """Refuse an output folder that holds anything other than an earlier result.

    Args:
        output: the output folder; it need not exist.
        what: name of the result that is to be written, for the error message.
        may_be_replaced: tells whether a folder that is not empty holds an earlier result.

    Raises:
        DataError: `output` is a file, or a folder with other content.
    """
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is a file; give a folder for the {what}.")
    if output.is_dir() and any(output.iterdir()) and not may_be_replaced(output):
        raise DataError(f"{output} holds other files and no {what}; give a new folder, so that nothing is lost.")


def check_apart(output: Path, sources: Iterable[str]) -> None:
    """Refuse an output folder inside a source folder.

    Raises:
        DataError: `output` lies inside a source folder.
    """
    for source in filter(Path.is_dir, map(Path, sources)):
        if output.resolve().is_relative_to(source.resolve()):
            raise DataError(f"{output} lies inside the data; give a folder outside {source}, so that nothing is added.")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents if they do not exist.

    Raises:
        DataError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}); give another folder.") from error


def check_model(output: Path, sources: Iterable[str]) -> None:
    """Check that a model folder can be written or replaced safely, and make its parent folder.

    Args:
        output: a new folder, an empty folder, or an earlier model folder, which will be replaced completely.
        sources: folders and Hub ids of the data.

    Raises:
        DataError: `output` holds other files, lies inside the data, contains the data, or cannot be written.
    """
    sources = list(sources)
    check_free(output, "model", lambda folder: (folder / LEUKO).is_file())
    check_apart(output, sources)
    for source in filter(Path.is_dir, map(Path, sources)):
        if source.resolve().is_relative_to(output.resolve()):
            raise DataError(f"The data in {source} lie inside {output}, which is replaced whole; give another folder.")
    if others := sorted(
        {path.name for path in output.iterdir()} - _OF_A_MODEL - _BESIDE_A_MODEL if output.is_dir() else ()
    ):
        raise DataError(
            f"{output} is replaced whole, and beside a model it holds {', '.join(others[:3])}"
            f"{' …' if len(others) > 3 else ''}; move that elsewhere, or give another folder."
        )
    make_folder(output.parent)

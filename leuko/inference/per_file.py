"""Results for the pictures of one file: a result for each, or the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leuko.images.decode import ImageError, Picture, pictures
from leuko.images.file_types import InputFile

Result = dict[str, Any]


def results(
    item: InputFile, analyse: Callable[[str, Picture], Result], describe_error: Callable[[Exception], str]
) -> list[Result]:
    """Analyse every picture of a file; a file that was unpacked for this is deleted.

    Args:
        item: the file.
        analyse: from the page (`#2`, or empty where the file holds one picture) and the picture to its result.
        describe_error: a sentence about an unexpected error, which concerns this picture alone. It may raise the error
            again where it concerns all pictures.

    Returns:
        Objects with `image`: the result of `analyse`, or with `error`, or with `skipped`.
    """
    if item.path is None:
        return [{"image": item.name, "skipped": item.skipped} if item.skipped else _failed(item.name, item.error)]
    try:
        pages = pictures(item.path)
    except Exception as error:
        return [_failed(item.name, _message(error, describe_error))]
    finally:
        if item.temporary:
            item.path.unlink(missing_ok=True)
    analysed = []
    for picture in pages:
        page = f"#{picture.page}" if picture.page else ""
        try:
            analysed.append(analyse(page, picture))
        except Exception as error:  # the other pictures are analysed all the same
            analysed.append(_failed(item.name + page, _message(error, describe_error)))
    return analysed


def _message(error: Exception, describe_error: Callable[[Exception], str]) -> str:
    return str(error) if isinstance(error, ImageError) else describe_error(error)


def _failed(name: str, error: str) -> Result:
    return {"image": name, "error": error}

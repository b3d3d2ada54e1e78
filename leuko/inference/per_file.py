"""What is said of a file: one answer for each of its pictures, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leuko.images.decode import ImageError, Picture, pictures
from leuko.images.file_types import InputFile

Answer = dict[str, Any]


def answers(
    item: InputFile, judge: Callable[[str, Picture], Answer], fault: Callable[[Exception], str]
) -> list[Answer]:
    """Judge every picture of a file; what was unpacked for this is deleted.

    Args:
        item: the file.
        judge: from the page (`#2`, or empty where the file holds one picture) and the picture to what is said of it.
        fault: a sentence about an error that was not to be expected, which concerns this picture alone; it may also
            raise it again, where it concerns all.

    Returns:
        Objects with `image`: what `judge` says, or `error`, or `skipped`.
    """
    if item.path is None:
        return [{"image": item.name, "skipped": item.skipped} if item.skipped else _failed(item.name, item.error)]
    try:
        found = pictures(item.path)
    except Exception as error:
        return [_failed(item.name, _why(error, fault))]
    finally:
        if item.temporary:
            item.path.unlink(missing_ok=True)
    said = []
    for picture in found:
        page = f"#{picture.page}" if picture.page else ""
        try:
            said.append(judge(page, picture))
        except Exception as error:  # the other pictures have a right to their answers
            said.append(_failed(item.name + page, _why(error, fault)))
    return said


def _why(error: Exception, fault: Callable[[Exception], str]) -> str:
    return str(error) if isinstance(error, ImageError) else fault(error)


def _failed(name: str, error: str) -> Answer:
    return {"image": name, "error": error}

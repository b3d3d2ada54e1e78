"""Images as callers of Python have them: a file, an array or a Pillow image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from leuko.images.decode import ImageError, Picture, pictures


def as_picture(image: str | Path | np.ndarray | Image.Image) -> Picture:
    """Pixels, and the size of a pixel where the file states it.

    Pillow images are decoded as a PNG file would be, so that orientation, colour profile and bit depth are handled as
    everywhere else.

    Args:
        image: a file with one picture, an array (uint8, H × W × 3 in RGB, or H × W in grey) or a Pillow image.

    Raises:
        ImageError: the image cannot be used, or the file holds several pictures.
    """
    if isinstance(image, np.ndarray):
        return Picture(_check(image), None, None)
    source: str | Path | bytes
    if isinstance(image, Image.Image):
        content = io.BytesIO()
        try:
            image.save(
                content, "PNG", compress_level=1, exif=image.getexif(), icc_profile=image.info.get("icc_profile")
            )
        except OSError as error:
            raise ImageError(f"A Pillow image of mode {image.mode} cannot be used; convert it to RGB.") from error
        source = content.getvalue()
    else:
        source = image
    picture, *more = pictures(source)
    if more:
        raise ImageError(
            f"The file holds {1 + len(more)} pictures; open them with leuko.images.decode.pictures and give one."
        )
    return picture


def _check(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8 and image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(
            f"An array of {image.dtype} with shape {image.shape} is no image; give uint8, height × width × 3, in RGB."
        )
    return image

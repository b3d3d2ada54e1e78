"""The only door for image bytes: limits, content (never extension), orientation, and sRGB.

Everything that reads an image, in training and in serving, comes through `pictures` or `decode`, so that one set of
limits and one set of conversions holds everywhere.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from leuko.images.formats import dicom, pillow_formats, unsupported_formats
from leuko.images.formats.limits import MAX_BYTES, MAX_PIXELS, ImageError, too_many_pixels

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageError",
    "Picture",
    "decode",
    "format_of",
    "pictures",
    "read",
]

FORMATS = (*pillow_formats.FORMATS, "TIFF", "HEIF", "DICOM")
SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".jp2": "JPEG2000",
    ".j2k": "JPEG2000",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".pnm": "PPM",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
}

_TIFF = re.compile(rb"II\*\0|MM\0\*|II\+\0\x08|MM\0\+\0\x08")  # both byte orders, BigTIFF too

# Gradio opens some images before any code of ours does; Pillow's own guard then refuses what is over twice this.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


@dataclass(frozen=True)
class Picture:
    """One full picture of a file."""

    pixels: np.ndarray  # uint8, height × width × 3, RGB, upright, sRGB
    page: int | None  # from 1; None where the file holds one picture
    um_per_px: float | None  # physical pixel size as the file states it; None if it states none that is plausible


def pictures(source: bytes | str | Path | BinaryIO) -> list[Picture]:
    """Decode every full picture of a file to upright 8-bit sRGB.

    Accepted are JPEG (also CMYK and motion photographs), PNG, TIFF, BMP, WebP, GIF, JPEG 2000, AVIF, HEIC, PNM and
    photographs in DICOM, recognised by content. The orientation of EXIF is applied; ICC profiles, and the colour
    spaces that PNG, EXIF, HEIC and AVIF name without one, are converted to sRGB; transparency is laid on white, the
    background of a bright-field smear, except an alpha channel that is the same everywhere; 16-bit samples are scaled
    by the bit depth that the file states, or else by the smallest one that cameras have and that holds them.

    Pictures are the pages of a TIFF without reduced copies, masks and labels, the frames of an animation that differ,
    the images of a HEIC and the frames of a DICOM file.

    Args:
        source: the bytes of a file, its path, or an open binary file.

    Returns:
        At least one picture, in the order of the file.

    Raises:
        ImageError: empty, over `MAX_BYTES`, or beyond another limit of `leuko.images.formats.limits`, damaged, or no
            image that can be read; one sentence says what is wrong and what to do.
    """
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".mrxs":
        raise ImageError("The file is the preview of a whole slide (MRXS); export single fields from its viewer.")
    data = read(source)
    try:
        found = list(_reader(data))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(unsupported_formats.describe(data)) from error
    except Image.DecompressionBombError as error:
        raise ImageError(too_many_pixels("far too many pixels")) from error
    except MemoryError as error:
        raise ImageError("The image needs more memory than there is; use a smaller one.") from error
    except Exception as error:  # decoders raise many kinds (OSError, SyntaxError, struct.error, …)
        raise ImageError(unsupported_formats.DAMAGED) from error
    return [Picture(pixels, page if len(found) > 1 else None, size) for page, pixels, size in found]


def decode(source: bytes | str | Path | BinaryIO) -> np.ndarray:
    """Decode the one picture of a file, as `pictures` does.

    Returns:
        uint8 array, height × width × 3, RGB.

    Raises:
        ImageError: as `pictures`, or the file holds several pictures.
    """
    found = pictures(source)
    if len(found) > 1:
        raise ImageError(f"The file holds {len(found)} pages; save the one that is meant as an image of its own.")
    return found[0].pixels


def format_of(data: bytes) -> str | None:
    """The format in which the bytes of a file begin, one of `FORMATS`, or None; the rest may still be damaged."""
    if dicom.is_dicom(data):
        return "DICOM"
    if pillow_formats.is_heif(data):
        return "HEIF"
    try:
        with Image.open(io.BytesIO(data), formats=(*pillow_formats.FORMATS, "TIFF")) as image:
            found = image.format
    except Exception:  # Pillow's decoders raise many kinds
        return "TIFF" if _TIFF.match(data) else None
    return "JPEG" if found == "MPO" else found  # a JPEG that carries a second view


def read(source: bytes | str | Path | BinaryIO) -> bytes:
    """The bytes of a file, its path, or an open binary file, for `decode`.

    Raises:
        ImageError: empty, over `MAX_BYTES`, or the file is not there or cannot be opened.
    """
    if isinstance(source, (str, Path)):
        try:
            with Path(source).open("rb") as file:
                return read(file)
        except FileNotFoundError as error:
            raise ImageError("The file is not there, or no longer; choose it again.") from error
        except OSError as error:
            raise ImageError(f"The file cannot be opened ({error.strerror}).") from error
    data = source if isinstance(source, bytes) else source.read(MAX_BYTES + 1)
    if not data:
        raise ImageError("The file is empty (0 bytes); choose an image.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"The file is larger than {MAX_BYTES // 1024**2} MB, the limit; use a smaller image.")
    return data


def _reader(data: bytes) -> Iterator[tuple[int, np.ndarray, float | None]]:
    """The pages of a file by its content, which needs large libraries for some formats alone."""
    if dicom.is_dicom(data):
        return dicom.read(data)
    if _TIFF.match(data):
        from leuko.images.formats import tiff

        return tiff.read(data)
    return pillow_formats.read(data)

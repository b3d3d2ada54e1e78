"""The only door for image bytes: limits, content (never extension), orientation, and RGB.

Everything that reads an image, in training and in serving, comes through `decode`, so that one set of limits and
one set of conversions holds everywhere.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

MAX_BYTES = 50 * 1024**2
MAX_PIXELS = 50_000_000
MIN_SIDE = 16
MAX_STRIP = 100  # times as long as wide: no field is, and scaled down nothing would be left of its width
MAX_SCANS = 100  # of a JPEG, each of which costs as much as a whole image; a usual one has 1 to 12
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".gif": "GIF",
}

_SCAN = b"\xff\xda"  # how a scan begins; within its data such bytes are never side by side

# Gradio opens some images before any code of ours does; Pillow's own guard then refuses what is over twice this.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class ImageError(ValueError):
    """An image that cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True)
class Picture:
    """One full picture of a file."""

    pixels: np.ndarray  # uint8, height × width × 3, RGB, upright sRGB
    page: int | None  # from 1; None where the file holds one picture
    um_per_px: float | None  # physical pixel size as the file states it; None if it states none that is plausible


def pictures(source: bytes | str | Path | BinaryIO) -> list[Picture]:
    """Every full picture of a file; raises `ImageError` as `decode` does."""
    return [Picture(decode(source), None, None)]


def decode(source: bytes | str | Path | BinaryIO) -> np.ndarray:
    """Decode an image to upright 8-bit RGB.

    Accepted are JPEG (also CMYK), PNG, TIFF, BMP, WebP and GIF (its first frame), recognised by content. EXIF
    orientation is applied; transparency is laid on white, the background of a bright-field smear; 16-bit grey
    values are scaled by the smallest bit depth that holds them, since 10- to 14-bit cameras leave the top empty.

    Args:
        source: the bytes of a file, its path, or an open binary file.

    Returns:
        uint8 array, height × width × 3, RGB.

    Raises:
        ImageError: empty, over `MAX_BYTES` or `MAX_PIXELS`, under `MIN_SIDE`, a strip, a JPEG of over `MAX_SCANS`,
            damaged, or no image at all.
    """
    data = read(source)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(_too_many_pixels(f"{width * height / 1e6:.0f} megapixels"))
            if min(width, height) < MIN_SIDE:
                raise ImageError(
                    f"The image is only {width} × {height} pixels; at least {MIN_SIDE} × {MIN_SIDE} are needed."
                )
            if max(width, height) > MAX_STRIP * min(width, height):
                raise ImageError(f"The image is a strip of {width} × {height} pixels; use a picture of a whole field.")
            if image.format == "TIFF" and _tile(image) > MAX_PIXELS:
                raise ImageError(_too_many_pixels("more than that in a tile"))
            if image.format in ("JPEG", "MPO") and data.count(_SCAN) > MAX_SCANS:
                raise ImageError(f"The JPEG is built of over {MAX_SCANS} scans; export it again.")
            return _to_rgb(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            "The file is not an image that can be read here; use JPEG, PNG, TIFF, BMP, WebP or GIF."
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(_too_many_pixels("far too many pixels")) from error
    except MemoryError as error:
        raise ImageError("The image needs more memory than there is; use a smaller one.") from error
    except Exception as error:  # Pillow's decoders raise many kinds (OSError, SyntaxError, struct.error, …)
        raise ImageError("The image file is damaged or cut off; export or copy it again.") from error


def format_of(data: bytes) -> str | None:
    """The format in which the bytes of a file begin, one of `FORMATS`, or None; the rest may still be damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            found = image.format
    except Exception:  # Pillow's decoders raise many kinds
        return None
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


def _tile(image: Image.Image) -> int:
    """Pixels of a TIFF's tiles, which are decoded whole, however small the image is; 0 without tiles."""
    width, height = (image.tag_v2.get(tag, 0) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    return width * height


def _too_many_pixels(found: str) -> str:
    return f"The image claims {found}; at most {MAX_PIXELS // 10**6} megapixels are accepted."


def _to_rgb(image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ImageError("Floating-point images have no agreed brightness scale; save the image with 8 or 16 bits.")
    if image.mode.startswith("I"):
        deep = np.asarray(image).clip(0, 65535)
        bits = max(8, int(deep.max()).bit_length())
        grey = (deep >> (bits - 8)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))

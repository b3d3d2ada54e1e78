"""Limits for image files, and the error for an image that cannot be used."""

from __future__ import annotations

MAX_BYTES = 50 * 1024**2
MAX_PIXELS = 50_000_000  # largest number of pixels in one picture
MAX_PIXELS_OF_FILE = 2 * MAX_PIXELS  # largest number of pixels in all pictures of a file, 300 MB as RGB
MAX_PAGES = 64
MIN_SIDE = 16
MAX_STRIP = 100  # largest ratio of length to width; an image over it is not a field and cannot be scaled down usefully


class ImageError(ValueError):
    """The image cannot be used; the message is one sentence for the user."""


def check_size(width: int, height: int) -> None:
    """Refuse a picture that is too large, too small or too narrow, before memory is allocated for its pixels.

    Raises:
        ImageError: more than `MAX_PIXELS`, a side under `MIN_SIDE`, or more than `MAX_STRIP` times as long as wide.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(too_many_pixels(f"{width * height / 1e6:.0f} megapixels"))
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"The image is only {width} × {height} pixels; at least {MIN_SIDE} × {MIN_SIDE} are needed.")
    if max(width, height) > MAX_STRIP * min(width, height):
        raise ImageError(f"The image is a strip of {width} × {height} pixels; use a picture of a whole field.")


def check_pages(count: int, pixels: int) -> None:
    """Refuse a file with too many pages, or with too many pixels in all pages together.

    Raises:
        ImageError: more than `MAX_PAGES` or `MAX_PIXELS_OF_FILE`.
    """
    if count > MAX_PAGES:
        raise ImageError(f"The file holds over {MAX_PAGES} pages; save them as single images.")
    if pixels > MAX_PIXELS_OF_FILE:
        limit = MAX_PIXELS_OF_FILE // 10**6
        raise ImageError(f"The pages of the file have over {limit} megapixels together; save them as single images.")


def too_many_pixels(claimed: str) -> str:
    """The error message for an image that states more pixels than are accepted."""
    return f"The image claims {claimed}; at most {MAX_PIXELS // 10**6} megapixels are accepted."

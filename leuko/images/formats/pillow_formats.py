"""Read the formats that Pillow decodes: JPEG, PNG, BMP, WebP, GIF, JPEG 2000, AVIF, HEIC, PNM."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from leuko.images.formats import colour_profile, physical_size
from leuko.images.formats.limits import ImageError, check_pages, check_size
from leuko.images.formats.png import MAGIC as PNG_MAGIC
from leuko.images.formats.png import Png
from leuko.images.formats.sample_depth import lay_on_white, to_eight_bits, upright

MAX_SCANS = 100  # scans of a JPEG; decoding each costs as much as a whole image, and a usual JPEG has 1 to 12
MAX_TILES = 10_000  # tiles of a JPEG 2000; each costs memory, even if it is small
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "JPEG2000", "AVIF", "PPM")
_FRAMED = ("GIF", "PNG", "WEBP", "AVIF", "HEIF")  # formats that may hold several pictures

_SCAN = b"\xff\xda"  # marker at the beginning of a JPEG scan; these bytes never follow each other in its data
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SIZES = b"\xff\x4f\xff\x51"  # beginning of a JPEG 2000 codestream


def read(data: bytes) -> Iterator[tuple[int, np.ndarray, float | None]]:
    """Yield page number (from 1), pixels (uint8, H × W × 3, sRGB) and µm per pixel or None, for each picture.

    A file has several pictures if it is an animation (frames equal to the previous frame are left out) or a HEIC with
    several images. The second view of a stereo photograph (MPO) is left out.

    Raises:
        ImageError: too large, too small, too narrow, too many pages, or unreasonably expensive to decode.
        Exception: decoders raise many kinds of errors if the file is damaged.
    """
    png = Png.of(data) if data.startswith(PNG_MAGIC) else None
    formats: tuple[str, ...] = FORMATS
    if is_heif(data):
        _open_heif()
        formats = ("HEIF",)
    with Image.open(io.BytesIO(png.data if png else data), formats=formats) as image:
        previous, pixels_of_all = None, 0
        for page in _pages(image):
            check_size(*image.size)
            pixels_of_all += image.width * image.height
            check_pages(page, pixels_of_all)
            if image.format in ("JPEG", "MPO", "JPEG2000") and is_costly(data):
                raise ImageError(
                    f"The JPEG is built of over {MAX_SCANS} scans, or {MAX_TILES} tiles as JPEG 2000; export it again."
                )
            size = physical_size.from_density(image.info.get("dpi"))
            if png and png.deep:
                pixels = upright(png.pixels(), _orientation(image))
            else:
                pixels = to_rgb(image, png.profile if png else profile(image, data))
            if previous is None or not np.array_equal(previous, pixels):
                yield page, pixels, size
            previous = pixels if image.format in _FRAMED else None


def is_heif(data: bytes) -> bool:
    """Whether a file begins like HEIC (AVIF begins similarly, but Pillow reads it directly)."""
    return data[4:8] == b"ftyp" and bool(re.match(rb"(hei|hev|mif1|msf1)", data[8:12])) and b"avif" not in data[8:64]


def to_rgb(image: Image.Image, profile: bytes | None) -> np.ndarray:
    """The pixels of an image: uint8, H × W × 3, upright, in sRGB, with transparency on white.

    Args:
        image: an opened image; it need not be loaded.
        profile: ICC profile of its colours, or None.

    Raises:
        ImageError: its samples are floating-point numbers or have more than 16 bits.
    """
    image.load()
    orientation = _orientation(image)
    alpha = None
    if image.mode == "F":
        raise ImageError("Floating-point images have no agreed brightness scale; save the image with 8 or 16 bits.")
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise ImageError("The samples have more than 16 bits; save the image with 8 or 16 bits.")
        scaled = image.format in ("JPEG2000", "PPM")  # Pillow scales these to 16 bits
        image = Image.fromarray(to_eight_bits(deep.astype(np.uint16), 16 if scaled else None))
    elif image.has_transparency_data:
        grey = image.mode in ("L", "LA", "La")
        image = image.convert("LA" if grey else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
        image = image.getchannel("L") if grey else image.convert("RGB")
    elif image.mode in ("P", "YCbCr"):
        image = image.convert("RGB")
    pixels = np.asarray(colour_profile.to_srgb(image, profile))
    if alpha is not None:
        pixels = lay_on_white(pixels, alpha)
    return upright(pixels, orientation) if orientation in range(2, 9) else pixels


def is_costly(data: bytes) -> bool:
    """Whether a JPEG has more than `MAX_SCANS` scans, or a JPEG 2000 more than `MAX_TILES` tiles."""
    if data.startswith(b"\xff\xd8"):
        return data.count(_SCAN) > MAX_SCANS and scans(data) > MAX_SCANS
    return _tiles(data) > MAX_TILES


def scans(data: bytes) -> int:
    """Number of scans of the JPEG at the start of a file; data after it (such as a video) is ignored."""
    count, position = 0, 2
    while found := _MARKER.search(data, position):
        kind, position = found.group()[1], found.end()
        if kind == 0xD9:
            break
        count += kind == 0xDA
        if kind not in (0x01, 0xD8):
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return count


def _pages(image: Image.Image) -> Iterator[int]:
    """Seek each picture of a file in turn, and yield its number, from 1."""
    if image.format not in _FRAMED or not getattr(image, "is_animated", False):
        yield 1
        return
    page = 0
    while True:
        try:
            image.seek(page)
        except EOFError:
            return
        page += 1
        yield page


def _open_heif() -> None:
    import pi_heif  # imported only for HEIC files, because it loads two libraries

    pi_heif.register_heif_opener()


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block raises many kinds of errors; the pixels may still be intact
        return 1


def profile(image: Image.Image, data: bytes) -> bytes | None:
    """The ICC profile of a picture: its embedded profile, or one for the colour space in its container or EXIF."""
    if image.info.get("icc_profile"):
        return image.info["icc_profile"]
    if image.format in ("AVIF", "HEIF"):
        stated = set(re.findall(rb"colrnclx(....)", data, re.DOTALL))
        return colour_profile.from_h273(*struct.unpack(">HH", stated.pop())) if len(stated) == 1 else None
    if "exif" not in image.info and image.format != "TIFF":
        return None
    try:
        exif = image.getexif()
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        # "Uncalibrated" means Adobe RGB if the EXIF interoperability index is R03.
        adobe = space == 2 or (space == 0xFFFF and exif.get_ifd(ExifTags.IFD.Interop).get(1) == "R03")
    except Exception:  # damaged EXIF
        return None
    return colour_profile.adobe_rgb() if adobe else None


def _tiles(data: bytes) -> int:
    """Number of tiles of a JPEG 2000, from the SIZ segment of its codestream."""
    begin = data.find(_SIZES)
    right, bottom, _, _, width, height, left, top = struct.unpack_from(">8I", data, begin + 8)
    return -(-(right - left) // max(width, 1)) * -(-(bottom - top) // max(height, 1))

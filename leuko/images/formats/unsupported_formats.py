"""Describe files that cannot be read as images: the probable format, and what the user can do."""

from __future__ import annotations

import re

_EXPORT = "export the picture as PNG, JPEG or TIFF"
_FIELDS = "export single fields from its viewer as PNG, JPEG or TIFF"
_BEGINNINGS: tuple[tuple[int, bytes, str, str], ...] = (  # offset, bytes, format, what to do
    (0, b"%PDF", "a PDF document", _EXPORT),
    (0, b"PK\x03\x04", "a zip archive or an office document", "unpack it, or use 'Many images' for a zip of images"),
    (0, b"PK\x05\x06", "an empty zip archive", "choose an image"),
    (0, b"Rar!", "a RAR archive", "unpack it and choose an image"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and choose an image"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it and choose an image"),
    (0, b"BZh", "a bzip2 archive", "unpack it and choose an image"),
    (0, b"\xfd7zXZ\0", "an xz archive", "unpack it and choose an image"),
    (257, b"ustar", "a tar archive", "unpack it and choose an image"),
    (0, b"8BPS", "a Photoshop document", _EXPORT),
    (0, b"gimp xcf", "a GIMP document", _EXPORT),
    (0, b"ZISRAWFILE", "a file of a Zeiss microscope or scanner (CZI)", _FIELDS),
    (0, b"\xda\xce\xbe\x0a", "a file of a Nikon microscope (ND2)", _FIELDS),
    (0, b"\x70\0\0\0", "a file of a Leica microscope (LIF)", _FIELDS),
    (0, b"\xd0\xcf\x11\xe0", "an office document, or a file of an Olympus or Zeiss microscope", _EXPORT),
    (0, b"\x89HDF", "an HDF5 file", _EXPORT),
    (0, b"SIMPLE  =", "a FITS file", _EXPORT),
    (344, b"n+1\0", "a NIfTI file", _EXPORT),
    (0, b"II\xbc", "a JPEG XR image", _EXPORT),
    (0, b"\xff\x0a", "a JPEG XL image", _EXPORT),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image", _EXPORT),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image", _EXPORT),
    (0, b"FUJIFILMCCD-RAW", "the raw data of a camera", "develop it and export JPEG, PNG or TIFF"),
    (0, b"IIRO", "the raw data of a camera", "develop it and export JPEG, PNG or TIFF"),
    (0, b"IIRS", "the raw data of a camera", "develop it and export JPEG, PNG or TIFF"),
    (0, b"IIU\0", "the raw data of a camera", "develop it and export JPEG, PNG or TIFF"),
    (4, b"ftypcrx ", "the raw data of a camera", "develop it and export JPEG, PNG or TIFF"),
    (4, b"ftyphei", "a damaged HEIC photograph", "export or copy it again"),
    (4, b"ftypmif1", "a damaged HEIC photograph", "export or copy it again"),
    (4, b"ftypavi", "a damaged AVIF image", "export or copy it again"),
    (4, b"ftyp", "a film", "save single frames of it as PNG or JPEG"),
    (0, b"\x1a\x45\xdf\xa3", "a film", "save single frames of it as PNG or JPEG"),
    (8, b"AVI ", "a film", "save single frames of it as PNG or JPEG"),
    (0, b"\0\0\x01\0", "an icon", _EXPORT),
    (0, b"%!PS", "a PostScript document", _EXPORT),
    (0, b"{\\rtf", "a text document", _EXPORT),
    (0, b"SQLite format 3", "a database", "choose an image"),
    (0, b"\x7fELF", "a program", "choose an image"),
    (0, b"MZ", "a program", "choose an image"),
)
_IMAGES = re.compile(  # beginnings of the supported image formats
    rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|....ftyp(avif|avis|hei|hev|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    re.DOTALL,
)
DAMAGED = "The image file is damaged or cut off; export or copy it again."
_WORDS = "use JPEG, PNG, TIFF, BMP, WebP, GIF, HEIC, AVIF, JPEG 2000 or DICOM"


def describe(data: bytes) -> str:
    """One sentence for a file that no decoder accepts: its probable format, and what to do."""
    if _IMAGES.match(data):
        return DAMAGED
    for place, beginning, kind, advice in _BEGINNINGS:
        if data.startswith(beginning, place):
            return f"The file is not an image that can be read here but {kind}; {advice}."
    text = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if re.match(rb"(<\?xml[^>]*>\s*|<!--.*?-->\s*|<!doctype svg[^>]*>\s*)*<svg", text, re.DOTALL):
        return f"The file is not an image that can be read here but an SVG drawing; {_EXPORT}."
    if text.startswith((b"<!doctype html", b"<html")):
        return "The file is not an image that can be read here but a web page; download the image itself again."
    if text.startswith(b"version https://git-lfs"):
        return "The file is not an image but a pointer of Git LFS to it; fetch the file itself with git lfs pull."
    return f"The file is not an image that can be read here; {_WORDS}."

"""Convert colours to sRGB, from embedded ICC profiles and from other statements of the colour space.

LittleCMS, which is part of Pillow, does the conversions. A profile that is damaged, or made for another kind of pixels
(an RGB profile in a grey picture), is ignored, as in browsers, and the values are interpreted as sRGB.
"""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from leuko.images.formats.limits import ImageError

MAX_PROFILE_BYTES = 16 * 1024**2  # the largest printer profiles have about 4 MB

_SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_D65 = (0.3127, 0.3290)
_ADOBE_RGB = (((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), _D65, 563 / 256)
# ITU-T H.273: primaries with their white point, and transfer curves as a gamma (None for the sRGB curve). By common
# practice, the television curves (1, 6, 14, 15) are displayed with the sRGB curve.
_H273_PRIMARIES = {
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), _D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.314, 0.351)),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), _D65),
}
_H273_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_H273_HDR = {16: "PQ", 18: "HLG"}
_COLOUR_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
_SAME = 1  # grey levels; a profile that differs less from sRGB causes no visible change

Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


def to_srgb(image: Image.Image, profile: bytes | None = None) -> Image.Image:
    """Convert a picture to sRGB.

    Args:
        image: an image of mode RGB, L, CMYK or LAB; LAB needs no profile. Any other mode is only converted to RGB.
        profile: the ICC profile of the picture, or None.

    Returns:
        An image of mode RGB, of the same size.
    """
    if image.mode == "LAB":
        return _apply(image, _lab_to_srgb())
    if profile and len(profile) <= MAX_PROFILE_BYTES and image.mode in _COLOUR_SPACES:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return _apply(image, transform)
    return image.convert("RGB")


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None only if the image is changed in place
    return converted


def adobe_rgb() -> bytes:
    """An ICC profile of Adobe RGB (1998), for cameras that state this colour space only in EXIF."""
    return matrix_profile(*_ADOBE_RGB)


def from_h273(primaries: int, transfer: int) -> bytes | None:
    """An ICC profile for code points of ITU-T H.273, which PNG (cICP chunk), HEIC and AVIF use.

    Returns:
        The profile; None if the code points mean sRGB, are unspecified or unknown.

    Raises:
        ImageError: the picture has high dynamic range, for which there is no standard conversion to 8 bits.
    """
    if transfer in _H273_HDR:
        raise ImageError(
            f"The image is in high dynamic range ({_H273_HDR[transfer]}); export it as an ordinary sRGB image."
        )
    gamma = _H273_GAMMAS.get(transfer)
    if primaries not in _H273_PRIMARIES and gamma is None:
        return None
    corners, white = _H273_PRIMARIES.get(primaries, (_SRGB_PRIMARIES, _D65))
    return matrix_profile(corners, white, gamma)


def from_gamma(
    gamma: float | None, white: tuple[float, float] | None, corners: Primaries | None, grey: bool = False
) -> bytes | None:
    """An ICC profile for PNG's gAMA and cHRM chunks.

    Args:
        gamma: exponent of the curve that decodes samples to light, such as 2.2; None if the file states none.
        white: chromaticity x, y of white, or None.
        corners: chromaticities of red, green and blue, or None.
        grey: whether the picture is grey, for which only the curve matters.

    Returns:
        The profile; None if the values mean sRGB (within the usual rounding) or are not possible.
    """
    curve = gamma if gamma is not None and abs(gamma - 2.2) > 0.11 and 0.2 <= gamma <= 5 else None
    if white is None or corners is None or grey:
        white, corners = _D65, _SRGB_PRIMARIES
    other = np.abs(np.subtract([white, *corners], [_D65, *_SRGB_PRIMARIES])).max() > 0.01
    if curve is None and not other:
        return None
    if grey:
        return matrix_profile(None, white, curve)
    if other and curve is None and gamma is not None:
        curve = gamma  # with other primaries, the exact curve is meant: Adobe RGB has 2.2
    try:
        return matrix_profile(corners, white, curve)
    except (np.linalg.LinAlgError, ZeroDivisionError, struct.error):  # impossible chromaticities
        return None


def matrix_profile(corners: Primaries | None, white: tuple[float, float], gamma: float | None) -> bytes:
    """An ICC profile (version 2.4) of a display, from chromaticities and one curve.

    Args:
        corners: chromaticities x, y of red, green and blue; None for a grey profile.
        white: chromaticity x, y of white; colours are adapted to D50, as the ICC requires (Bradford transform).
        gamma: exponent of the curve; None for the curve of sRGB (IEC 61966-2-1).
    """
    if gamma is None:
        steps = np.linspace(0, 1, 1024)
        light = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
        curve = b"curv" + bytes(4) + struct.pack(">I", 1024) + np.rint(light * 65535).astype(">u2").tobytes()
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 7) + b"stated\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz([0.9642, 1.0, 0.8249]),
    }
    if corners is None:
        tags[b"kTRC"] = curve
    else:
        columns = _primaries_in_d50(corners, white)
        tags |= {b"rXYZ": _xyz(columns[:, 0]), b"gXYZ": _xyz(columns[:, 1]), b"bXYZ": _xyz(columns[:, 2])}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    space = b"GRAY" if corners is None else b"RGB "
    head = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ", b"", b"acsp"
    )
    head += bytes(68 - len(head)) + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def _xyz(values: np.ndarray | list[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def _primaries_in_d50(corners: Primaries, white: tuple[float, float]) -> np.ndarray:
    """XYZ of red, green and blue as columns, 3 × 3, adapted to D50 by the Bradford transform."""

    def xyz(x: float, y: float) -> np.ndarray:
        return np.array([x / y, 1, (1 - x - y) / y])

    columns = np.stack([xyz(*corner) for corner in corners], axis=1)
    columns = columns * np.linalg.solve(columns, xyz(*white))
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = (bradford @ [0.9642, 1.0, 0.8249]) / (bradford @ xyz(*white))
    return np.linalg.inv(bradford) @ np.diag(scale) @ bradford @ columns


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if it changes nothing, or if the profile cannot be used."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space.strip() != _COLOUR_SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
        probe = _probe(mode)
        converted = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if mode == "CMYK":
        return transform
    return None if np.abs(converted - np.asarray(probe.convert("RGB"))).max() <= _SAME else transform


def _probe(mode: str) -> Image.Image:
    """A test image with every ninth level of each channel in all combinations, or with every grey level."""
    if mode == "RGB":
        levels = np.linspace(0, 255, 17).astype(np.uint8)
        return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, -1, 3))
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    return Image.new(mode, (1, 1))


@lru_cache(maxsize=1)
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")

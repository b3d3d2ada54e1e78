"""Convert stored samples to 8-bit values: bit depth, inverted grey, transparency, orientation."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from leuko.images.formats.colour_profile import to_srgb

Alpha = Literal["straight", "premultiplied"]
_CAMERA_BITS = (8, 10, 12, 14, 16)  # bit depths of cameras and scanners


def depth_of(samples: np.ndarray) -> int:
    """Estimate the number of significant bits of 16-bit samples, if the file does not state it.

    It is the smallest camera depth that holds the largest sample, because cameras with 10 to 14 bits leave the upper
    bits empty. There is one exception: a picture has at least eight significant bits, so samples that are all multiples
    of 256 (or of 257, which maps 255 to 65535) use all 16 bits, even if the picture is dark.

    Args:
        samples: uint16, any shape.

    Returns:
        8, 10, 12, 14 or 16.
    """
    largest = int(samples.max(initial=0))
    combined = int(np.bitwise_or.reduce(samples, axis=None))
    empty_low_bits = (combined & -combined).bit_length() - 1 if combined else 0
    fewest = 8 + empty_low_bits
    some = samples.reshape(-1)[:4096]
    if largest >= 257 and not (some % 257).any() and not (samples % 257).any():
        fewest = 16
    needed = max(largest.bit_length(), min(fewest, 16))
    return next(bits for bits in _CAMERA_BITS if bits >= needed)


def to_eight_bits(samples: np.ndarray, bits: int | None = None, white_is_zero: bool = False) -> np.ndarray:
    """Convert 16-bit samples to 8 bits.

    Args:
        samples: uint16, any shape.
        bits: number of significant bits, if the file states it. If a sample is larger, the statement is wrong, and the
            depth is estimated from the samples.
        white_is_zero: whether 0 stands for white.

    Returns:
        uint8 array of the same shape, in which 0 is black.
    """
    if bits is None or int(samples.max(initial=0)).bit_length() > bits:
        bits = depth_of(samples)
    if white_is_zero:
        samples = np.uint16(2**bits - 1) - samples
        if bits == 16:  # programs invert within 16 bits, even if fewer bits are used
            bits = depth_of(samples)
    return (samples >> (bits - 8)).astype(np.uint8)


def lay_on_white(rgb: np.ndarray, alpha: np.ndarray, premultiplied: bool = False) -> np.ndarray:
    """Blend colours with white, the background of a bright-field smear, by their opacity.

    A constant opacity is ignored, because many programs write an empty alpha channel.

    Args:
        rgb: uint8, H × W × 3.
        alpha: uint8, H × W, 255 is opaque.
        premultiplied: whether the colours were multiplied by their opacity.

    Returns:
        uint8 array, H × W × 3.
    """
    constant = alpha.min() == alpha.max()
    # In premultiplied pixels, no colour exceeds the opacity. If one does, the statement in the file is wrong.
    premultiplied = premultiplied and bool((rgb <= alpha[..., None]).all())
    if constant:
        opacity = int(alpha.flat[0])
        if not premultiplied or opacity in (0, 255):
            return rgb
        return np.rint(rgb * (255 / opacity)).astype(np.uint8)
    result = np.empty_like(rgb)
    for channel in range(3):  # one channel at a time, to use a third of the memory
        colour, weight = rgb[..., channel].astype(np.uint16), alpha.astype(np.uint16)
        covered = colour if premultiplied else (colour * weight + 127) // 255
        result[..., channel] = covered + (255 - weight)
    return result


def assemble(
    samples: np.ndarray,
    *,
    bits: int | None = None,
    white_is_zero: bool = False,
    alpha: Alpha | None = None,
    profile: bytes | None = None,
) -> np.ndarray:
    """Convert unprocessed samples of a decoder to RGB.

    Args:
        samples: uint8 or uint16, H × W × S: grey, RGB or CMYK, and optionally an alpha channel.
        bits: number of significant bits of 16-bit samples, if the file states it.
        white_is_zero: whether 0 stands for white in grey samples.
        alpha: the kind of alpha in the last channel; None if there is no alpha channel.
        profile: ICC profile of the colours, or None.

    Returns:
        uint8 array, H × W × 3, sRGB.
    """
    colours, opacity = (samples[..., :-1], samples[..., -1]) if alpha else (samples, None)
    if samples.dtype == np.uint16:
        if alpha == "premultiplied" and bits is None:
            bits = depth_of(samples)
        colours = to_eight_bits(colours, bits, white_is_zero)
        opacity = None if opacity is None else to_eight_bits(opacity, bits)
    elif white_is_zero:
        colours = 255 - colours
    height, width, count = colours.shape
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[count]
    rgb = np.asarray(to_srgb(Image.frombytes(mode, (width, height), np.ascontiguousarray(colours)), profile))
    return rgb if opacity is None else lay_on_white(rgb, opacity, alpha == "premultiplied")


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate and mirror pixels, H × W × C, by the orientation of EXIF or TIFF (1 to 8); other numbers are ignored."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)

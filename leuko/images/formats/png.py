"""The parts of a PNG that Pillow does not handle: large text and profiles, colour chunks, and 16-bit samples."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from leuko.images.formats import colour_profile, sample_depth

MAGIC = b"\x89PNG\r\n\x1a\n"
_MAX_TEXT = 64 * 1024  # bytes; longer text chunks are removed, because only short XMP text describes pixels
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type


@dataclass(frozen=True)
class Png:
    """The content of the chunks of a PNG."""

    data: bytes  # the file without its ICC profile and without long or compressed text
    deep: bool  # 16-bit samples, one picture
    grey: bool
    significant_bits: int | None  # of a 16-bit sample, if the file states it
    profile: bytes | None  # ICC profile of its colours; None for sRGB

    @classmethod
    def of(cls, data: bytes) -> Png:
        """Read the chunks; a damaged file is not refused here, but later by the decoder.

        Raises:
            ImageError: the picture has high dynamic range.
        """
        chunks: dict[bytes, bytes] = {}
        kept, start = [], 0
        for kind, begin, end in _chunks(data):
            if kind in (b"IHDR", b"sBIT", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"acTL"):
                chunks.setdefault(kind, data[begin + 8 : end - 4])
            if kind == b"iCCP" or _is_long_text(kind, data[begin + 8 : begin + 100], end - begin - 12):
                kept.append(data[start:begin])
                start = end
        header = chunks.get(b"IHDR", bytes(13))
        if len(header) < 13:
            return cls(data, False, False, None, None)
        bits, colour_type = header[8], header[9]
        grey, stated = colour_type in (0, 4), chunks.get(b"sBIT")
        animated = b"acTL" in chunks
        return cls(
            b"".join([*kept, data[start:]]) if kept else data,
            deep=bits == 16 and colour_type in _CHANNELS and not animated,
            grey=grey,
            significant_bits=max(8, *stated[:3]) if stated and max(stated) <= 16 else None,
            profile=_profile(chunks, grey),
        )

    def pixels(self) -> np.ndarray:
        """The picture of a PNG with 16-bit samples, as uint8, H × W × 3."""
        import imagecodecs

        values = imagecodecs.png_decode(self.data)
        values = values[..., None] if values.ndim == 2 else values
        alpha: sample_depth.Alpha | None = "straight" if values.shape[-1] in (2, 4) else None
        # By the standard, samples are scaled to 16 bits. If all samples fit into the smaller depth that the file
        # states, the program that wrote it did not scale them.
        largest = int(values[..., : 1 if values.shape[-1] < 3 else 3].max()).bit_length()
        bits = self.significant_bits
        bits = None if bits is None else bits if largest <= bits else 16
        return sample_depth.assemble(values, bits=bits, alpha=alpha, profile=self.profile)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each chunk."""
    begin = len(MAGIC)
    while begin + 12 <= len(data):
        end = begin + 12 + int.from_bytes(data[begin : begin + 4], "big")
        yield data[begin + 4 : begin + 8], begin, min(end, len(data))
        begin = end


def _is_long_text(kind: bytes, head: bytes, length: int) -> bool:
    if kind == b"iTXt":
        _, _, rest = head.partition(b"\0")
        return length > _MAX_TEXT or rest[:1] != b"\0"  # compressed text may unpack to any length
    return kind == b"zTXt" or (kind == b"tEXt" and length > _MAX_TEXT)


def _profile(chunks: dict[bytes, bytes], grey: bool) -> bytes | None:
    """The colour space, by the precedence of the PNG specification: cICP, iCCP, sRGB, gAMA and cHRM."""
    if len(chunks.get(b"cICP", b"")) == 4 and chunks[b"cICP"][2] == 0:
        return colour_profile.from_h273(chunks[b"cICP"][0], chunks[b"cICP"][1])
    if b"iCCP" in chunks:
        _, _, rest = chunks[b"iCCP"].partition(b"\0")
        try:
            profile = zlib.decompressobj().decompress(rest[1:], colour_profile.MAX_PROFILE_BYTES + 1)
        except zlib.error:
            return None
        return profile if len(profile) <= colour_profile.MAX_PROFILE_BYTES else None
    if b"sRGB" in chunks:
        return None
    gamma = white = corners = None
    if len(chunks.get(b"gAMA", b"")) == 4:
        stated = int.from_bytes(chunks[b"gAMA"], "big")
        gamma = 100_000 / stated if stated else None
    if len(chunks.get(b"cHRM", b"")) == 32:
        values = [value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"])]
        white, red, green, blue = zip(values[::2], values[1::2], strict=True)
        corners = red, green, blue
    return colour_profile.from_gamma(gamma, white, corners, grey)

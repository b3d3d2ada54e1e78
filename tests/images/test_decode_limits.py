"""Files that claim or unpack to far more than they are: refused, or read, at the price of an ordinary image."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from leuko.images.decode import ImageError, pictures

MUCH = 30 * 1024**2  # bytes of memory, less than what any of the bombs unpacks to


def tiff(tags: dict[int, int], body: bytes = b"") -> bytes:
    """A TIFF of 64 × 64 grey pixels of 16 bits in one strip, with other tags."""
    tags = {256: 64, 257: 64, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 64, 279: len(body)} | tags
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<I", 8 + len(body))
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4)


def jpeg_2000_of_many_tiles() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (64, 64)).save(stream, "JPEG2000")
    data = bytearray(stream.getvalue())
    sizes, header = data.find(b"\xff\x4f\xff\x51") + 8, data.find(b"ihdr") + 4
    data[sizes : sizes + 32] = struct.pack(">8I", 7_000, 7_000, 0, 0, 1, 1, 0, 0)
    data[header : header + 8] = struct.pack(">II", 7_000, 7_000)
    return bytes(data)


def lying_jpeg_in_tiff() -> bytes:
    """A strip of 12-bit JPEG that is 40 times as high and wide as the page."""
    strip = imagecodecs.jpeg8_encode(np.zeros((2_560, 2_560), np.uint16), level=50, bitspersample=12)
    return tiff({258: 12, 259: 7}, strip)


def gif_of_many_frames() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, "GIF")
    whole = stream.getvalue()
    return whole[:-1] + whole[whole.find(b"\x2c") : -1] * 100_000 + b";"


def entities() -> bytes:
    """OME-XML whose entities would expand without end."""
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 20}">' for i in range(1, 12))
    xml = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY e0 "x">{levels}]><OME><Pixels SizeC="&e11;"/></OME>'
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((64, 64), np.uint8), description=xml, metadata=None)
    return stream.getvalue()


def profile_of_a_huge_table() -> bytes:
    table = b"mft2" + bytes(4) + bytes([3, 3, 255, 0]) + bytes(36) + struct.pack(">HH", 4096, 4096) + bytes(1000)
    head = bytearray(128)
    head[8:12], head[12:24], head[36:40] = b"\2\x40\0\0", b"mntrRGB XYZ ", b"acsp"
    profile = bytes(head) + struct.pack(">I", 1) + b"A2B0" + struct.pack(">II", 144, len(table)) + table
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "PNG", icc_profile=struct.pack(">I", len(profile)) + profile[4:])
    return stream.getvalue()


BOMBS = {  # and what the refusal speaks of; None where the picture is sound
    "deflate": (lambda: tiff({259: 8}, zlib.compress(bytes(60_000_000), 1)), "damaged"),
    "LZW": (lambda: tiff({259: 5}, imagecodecs.lzw_encode(bytes(40_000_000))), None),
    "rows without end": (lambda: tiff({278: 2**32 - 1}, bytes(8_192)), None),
    "one strip for many": (lambda: tiff({256: 7_000, 257: 7_000, 278: 7}, bytes(8_192)), "missing"),
    "tiny tiles": (lambda: tiff({256: 7_000, 257: 7_000, 322: 16, 323: 16, 324: 8, 325: 8_192}, bytes(9_000)), "tiles"),
    "a huge tile": (lambda: tiff({322: 65_520, 323: 65_520, 324: 8, 325: 8_192}, bytes(9_000)), "megapixels"),
    "samples": (lambda: tiff({256: 640, 277: 60_000}), "RGB"),
    "bits": (lambda: tiff({258: 64}), "16 bits"),
    "depth": (lambda: tiff({32997: 100_000}), "RGB"),
    "pixels": (lambda: tiff({256: 2**31, 257: 2**31}), "megapixels"),
    "lying JPEG": (lying_jpeg_in_tiff, "size that the file says"),
    "JPEG 2000": (jpeg_2000_of_many_tiles, "tiles"),
    "GIF": (gif_of_many_frames, "pages"),
    "entities": (entities, None),
    "profile": (profile_of_a_huge_table, None),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_no_more_than_an_image(name):
    make, words = BOMBS[name]
    data = make()
    tracemalloc.start()
    try:
        if words is None:
            assert pictures(data)[0].pixels.shape == (64, 64, 3)
        else:
            with pytest.raises(ImageError, match=words):
                pictures(data)
        assert tracemalloc.get_traced_memory()[1] < MUCH
    finally:
        tracemalloc.stop()

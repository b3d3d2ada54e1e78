"""Files that people do upload, made from one image: those to be refused, and odd ones to be accepted."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

REFUSED = {  # file name → what the sentence must speak of
    "text.png": "not an image",
    "truncated.jpg": "damaged or cut off",
    "empty.png": "empty",
    "claims_169_megapixels.png": "megapixels",
    "one_pixel.png": "1 × 1",
    "strip.png": "a strip",
    "many_scans.jpg": "scans",
    "huge_tile.tif": "megapixels",
}
ACCEPTED = ("cmyk.jpg", "palette.png", "rgba.png", "grey.png", "deep.png", "deep.tif", "rotated.jpg")


def write_all(folder: Path, image: np.ndarray) -> None:
    """Write every file of `REFUSED` and `ACCEPTED` into an existing folder."""
    picture = Image.fromarray(image)
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=95)
    (folder / "text.png").write_text("this is no image\n" * 50)
    (folder / "truncated.jpg").write_bytes(jpeg.getvalue()[: len(jpeg.getvalue()) // 2])
    (folder / "empty.png").touch()
    (folder / "claims_169_megapixels.png").write_bytes(_hollow_png(13_000))
    picture.resize((1, 1)).save(folder / "one_pixel.png")
    picture.resize((16, 2_000)).save(folder / "strip.png")
    (folder / "many_scans.jpg").write_bytes(_many_scans(picture))
    (folder / "huge_tile.tif").write_bytes(_huge_tile(8_192))

    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    picture.quantize(256).save(folder / "palette.png")
    clear = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    clear[:40, :40, 3] = 0
    Image.fromarray(clear).save(folder / "rgba.png")
    grey = np.asarray(picture.convert("L"))
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(grey.astype(np.uint16) << 4).save(folder / "deep.png")  # a 12-bit camera
    Image.fromarray(grey.astype(np.uint16) << 8).save(folder / "deep.tif")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    picture.rotate(90, expand=True).save(folder / "rotated.jpg", exif=exif, quality=95)


def _many_scans(picture: Image.Image) -> bytes:
    """A progressive JPEG with 200 scans more, in which nothing changes; each takes a whole image's time."""
    progressive = io.BytesIO()
    picture.convert("L").save(progressive, "JPEG", progressive=True)
    scan = b"\xff\xda\0\x08\x01\x01\0\x01\x3f\0"
    return progressive.getvalue()[:-2] + 200 * scan + b"\xff\xd9"


def _huge_tile(side: int) -> bytes:
    """A TIFF of 64 × 64 pixels in one tile of side × side, black."""
    tile = zlib.compress(bytes(side * side), 9)
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(tile)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(tile))
    return head + tile + struct.pack("<H", len(tags)) + entries + bytes(4)


def _hollow_png(side: int) -> bytes:
    """About 20 kB that unpack to side × side black pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side + 7) // 8 + 1) * side, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")

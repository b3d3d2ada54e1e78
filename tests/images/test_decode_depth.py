"""Samples of 9 to 16 bits, inverted greys, and the other layouts in which files store samples."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from leuko.images.decode import ImageError, decode
from leuko.images.synthetic import rendering


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A drawn smear whose brightest sample is 255, as a well-exposed one has it."""
    image = rendering.render(3, width=128, height=96, um_per_px=0.3, white_cells={"blast": 1}).image
    image[0, 0] = 255
    return image


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def deep(picture: np.ndarray, bits: int) -> np.ndarray:
    """The picture as a camera of so many bits has it, with noise in the bits that eight do not hold."""
    low = np.random.default_rng(0).integers(0, 2 ** (bits - 8), picture.shape)
    return ((picture.astype(int) << (bits - 8)) + low).astype(np.uint16)


LAYOUTS = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "LZW, predicted": {"compression": "lzw", "predictor": 2},
    "deflate, big-endian, predicted": {"compression": "zlib", "predictor": 2, "byteorder": ">"},
    "tiles": {"tile": (32, 48), "compression": "zlib"},
    "strips": {"rowsperstrip": 7, "compression": "packbits"},
    "planes": {"planarconfig": "separate"},
    "planes in LZW strips": {"planarconfig": "separate", "compression": "lzw", "rowsperstrip": 10},
    "Zstandard": {"compression": "zstd"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_colour_tiff_has_the_pixels_of_eight_bits(picture, bits, layout):
    options = LAYOUTS[layout]
    pixels = deep(picture, bits)
    if options.get("planarconfig") == "separate":
        pixels = pixels.transpose(2, 0, 1)
    assert (decode(tiff(pixels, photometric="rgb", **options)) == picture).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_png_has_the_pixels_of_eight_bits(picture, bits, channels):
    pixels = deep(picture, bits)
    pixels = pixels[..., 1].copy() if channels < 3 else pixels
    if channels in (2, 4):
        pixels = np.dstack([pixels, np.full(picture.shape[:2], 2**bits - 1, np.uint16)])
    expected = picture if channels > 2 else np.repeat(picture[..., 1:2], 3, axis=2)
    assert (decode(imagecodecs.png_encode(pixels)) == expected).all()


def test_interlaced_and_transparent_deep_png(picture):
    pixels = np.dstack([deep(picture, 16), np.full(picture.shape[:2], 65535, np.uint16)])
    pixels[:10, :10] = 0
    image = decode(imagecodecs.png_encode(pixels))
    assert (image[:10, :10] == 255).all() and (image[10:] == picture[10:]).all()


@pytest.mark.parametrize("dim", [0.9, 0.6, 0.45, 0.3])
def test_dim_pictures_of_16_bits_are_not_brightened(picture, dim):
    """A tone of 16 bits never means one of 15; and eight bits in 16, however dark, stay what they are."""
    shown = picture * dim
    if dim > 0.25:
        grey = np.rint(shown * 257).astype(np.uint16)
        assert np.abs(decode(tiff(grey, photometric="rgb")) - shown).max() <= 1.5
    for scale in (256, 257):
        assert (decode(tiff(np.rint(shown / 4).astype(np.uint16) * scale, photometric="rgb"))
                == np.rint(shown / 4).astype(np.uint8)).all()  # fmt: skip


@pytest.mark.parametrize("tag", [281, 341])
def test_the_scale_that_a_tiff_states_is_kept(picture, tag):
    dark = deep(picture, 12) // 5  # of 12 bits, in values below 1024
    stated = tiff(dark, photometric="rgb", extratags=[(tag, 3, 3, (4095, 4095, 4095), False)])
    assert np.abs(decode(stated).astype(int) - picture // 5).max() <= 1
    brightest = tiff(deep(picture, 16) // 2, photometric="rgb", extratags=[(tag, 3, 3, (32000,) * 3, False)])
    assert np.abs(decode(brightest).astype(int) - picture // 2).max() <= 1  # not the end of a scale


def test_packed_samples_of_ten_and_twelve_bits(picture):
    for bits in (10, 12, 14):
        for dim in (1, 3):
            stored = tiff(deep(picture, bits) // dim, photometric="rgb", bitspersample=bits)
            assert np.abs(decode(stored).astype(int) - picture // dim).max() <= 1


def test_twelve_bit_jpeg_within_a_tiff(picture):
    stored = tiff(
        deep(picture, 12), photometric="rgb", compression="jpeg", compressionargs={"level": 98}, bitspersample=12
    )
    assert np.abs(decode(stored).astype(int) - picture).mean() < 3


def test_significant_bits_of_png(picture):
    """A PNG fills all 16 bits by the standard; where a writer did not, sBIT tells the depth."""
    dark = picture // 5
    assert np.abs(decode(_with_sbit(imagecodecs.png_encode(deep(dark, 12)), 12)).astype(int) - dark).max() <= 1
    filled = (deep(dark, 12).astype(int) * 65535 // 4095).astype(np.uint16)
    assert np.abs(decode(_with_sbit(imagecodecs.png_encode(filled), 12)).astype(int) - dark).max() <= 1


def _with_sbit(png: bytes, bits: int) -> bytes:
    content = b"sBIT" + bytes([bits] * 3)
    return png[:33] + struct.pack(">I", 3) + content + struct.pack(">I", zlib.crc32(content)) + png[33:]


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_white_may_be_zero(picture, bits, compression):
    grey = picture[..., 1]
    values = grey if bits == 8 else deep(grey, bits)
    inverted = (np.array(2**bits - 1, values.dtype) - values).astype(values.dtype)
    inverted[0, 0] = 2**bits - 1  # black somewhere
    image = decode(tiff(inverted, photometric="miniswhite", compression=compression))
    assert (image[1:, :, 0] == grey[1:]).all() and (image[..., 0] == image[..., 2]).all()


def test_white_is_zero_and_twelve_bits_inverted_within_sixteen(picture):
    grey = picture[..., 1]
    image = decode(tiff(65535 - deep(grey, 12), photometric="miniswhite"))
    assert (image[..., 0] == grey).all()


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_one_bit(picture, photometric):
    bright = picture[..., 1] > 180
    stored = bright if photometric == "minisblack" else ~bright
    image = decode(tiff(stored, photometric=photometric))
    assert ((image[..., 0] > 127) == bright).all()


def test_cmyk_of_sixteen_bits_reads_as_with_eight(picture):
    cmyk = np.asarray(Image.fromarray(picture).convert("CMYK"))
    shallow = decode(tiff(cmyk, photometric="separated"))
    assert np.abs(decode(tiff(cmyk.astype(np.uint16) * 257, photometric="separated")).astype(int) - shallow).max() <= 1
    assert np.abs(shallow.astype(int) - picture).mean() < 2


def test_wide_and_signed_integers_are_read_where_they_fit_and_refused_where_not(picture):
    grey = deep(picture[..., 1], 12)
    for kind in (np.int16, np.int32, np.uint32):
        assert (decode(tiff(grey.astype(kind), photometric="minisblack"))[..., 0] == picture[..., 1]).all()
    for values in (grey.astype(np.int32) * 4096, grey.astype(np.int16) - 9000):
        with pytest.raises(ImageError, match="16 bits"):
            decode(tiff(values, photometric="minisblack"))


def test_floating_point_is_refused_by_name(picture):
    for pixels in (picture[..., 1] / 255, picture / 255):
        with pytest.raises(ImageError, match="Floating-point"):
            decode(tiff(pixels.astype(np.float32)))


def test_orientation_of_tiff_holds_for_shallow_and_deep_samples(picture):
    turned = np.ascontiguousarray(np.rot90(picture))  # 6: to be turned clockwise
    for pixels in (turned, deep(turned, 12)):
        image = decode(tiff(pixels, photometric="rgb", extratags=[(274, 3, 1, 6, True)]))
        assert (image == picture).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_agrees_with_pillows(picture, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    shallow, stream = io.BytesIO(), io.BytesIO()
    Image.fromarray(picture).save(shallow, "PNG", exif=exif)
    from PIL import ImageOps

    expected = np.asarray(ImageOps.exif_transpose(Image.open(shallow)))
    assert (decode(shallow.getvalue()) == expected).all()
    tifffile.imwrite(stream, deep(picture, 12), photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    assert (decode(stream.getvalue()) == expected).all()

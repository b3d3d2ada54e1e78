"""Colours are what the file says: profiles, chunks and tags of colour spaces, transparency."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage import color

from leuko.images.decode import ImageError, decode
from leuko.images.synthetic import rendering

P3 = np.array([[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0, 0.0451134, 1.0439444]])
ADOBE = np.array(
    [[0.5766690, 0.1855582, 0.1882286], [0.2973450, 0.6273636, 0.0752915], [0.0270314, 0.0706889, 0.9913375]]
)
SRGB = np.array(
    [[0.4123908, 0.3575843, 0.1804808], [0.2126390, 0.7151687, 0.0721923], [0.0193308, 0.1191948, 0.9505322]]
)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A drawn smear, whose colours Display P3 and Adobe RGB hold too."""
    return rendering.render(3, width=128, height=96, um_per_px=0.3, white_cells={"blast": 1}, stain="pink").image


def encode(srgb: np.ndarray, to_xyz: np.ndarray, gamma: float | None) -> np.ndarray:
    """The numbers that stand for the same colours in another space of white D65; no gamma is the curve of sRGB."""
    light = np.where(srgb <= 255 * 0.04045, srgb / 255 / 12.92, ((srgb / 255 + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ (np.linalg.inv(to_xyz) @ SRGB).T, 0, 1)
    if gamma is None:
        values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    else:
        values = light ** (1 / gamma)
    return np.rint(255 * values).astype(np.uint8)


def profile_of(mode: str) -> bytes:
    """Profiles from other hands than those of the code under test: OpenCV has none, LittleCMS makes Lab and sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(mode)).tobytes()


def display(primaries: tuple[float, ...], gamma: float) -> bytes:
    """An ICC profile whose colorants are given in D50, as Adobe and Apple publish theirs."""
    body, table, start = b"", b"", 128 + 4 + 12 * 7
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    s15 = lambda *v: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(x * 65536) for x in v))  # noqa: E731
    tags = [(b"wtpt", s15(0.9642, 1, 0.8249))]
    tags += [(name, s15(*primaries[i : i + 3])) for name, i in ((b"rXYZ", 0), (b"gXYZ", 3), (b"bXYZ", 6))]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    for name, content in tags:
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    head = bytearray(128)
    head[0:4] = struct.pack(">I", start + len(body))
    head[8:12], head[12:24], head[36:40] = b"\x02\x10\0\0", b"mntrRGB XYZ ", b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


ADOBE_ICC = display((0.60974, 0.31111, 0.01947, 0.20528, 0.62567, 0.06087, 0.14919, 0.06322, 0.74457), 563 / 256)


def file(pixels: np.ndarray, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks after its header."""
    more = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return png[:33] + more + png[33:]


def chromaticities(*values: float) -> bytes:
    return struct.pack(">8I", *(round(100_000 * value) for value in values))


@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [
        ("PNG", {}, 1.5),
        ("TIFF", {}, 1.5),
        ("TIFF", {"compression": "tiff_lzw"}, 1.5),
        ("WEBP", {"lossless": True}, 1.5),
        ("JPEG", {"quality": 100, "subsampling": 0}, 4),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 4),
    ],
)
def test_an_adobe_rgb_profile_gives_the_colours_of_srgb_in_every_format(picture, form, options, tolerance):
    coded = encode(picture, ADOBE, 563 / 256)
    assert np.abs(coded.astype(int) - picture).mean() > 3
    off = np.abs(decode(file(coded, form, icc_profile=ADOBE_ICC, **options)).astype(int) - picture)
    assert off.max() <= tolerance * 2 and off.mean() < tolerance / 2


def test_sixteen_bits_and_transparency_keep_their_profile(picture):
    coded = encode(picture, ADOBE, 563 / 256)
    clear = np.dstack([coded, np.full(picture.shape[:2], 255, np.uint8)])
    clear[:20, :20, 3] = 0
    image = decode(file(clear, "PNG", icc_profile=ADOBE_ICC)).astype(int)
    assert (image[:20, :20] == 255).all() and np.abs(image[20:] - picture[20:]).max() <= 2
    stream = io.BytesIO()
    deep = coded.astype(np.uint16) * 257
    tifffile.imwrite(stream, deep, photometric="rgb", iccprofile=ADOBE_ICC)
    assert np.abs(decode(stream.getvalue()).astype(int) - picture).max() <= 2


def test_grey_profiles_are_applied(picture):
    grey = picture[..., 1]
    linear = np.rint(255 * np.where(grey <= 10, grey / 255 / 12.92, ((grey / 255 + 0.055) / 1.055) ** 2.4))
    gamma_one = (
        b"\0\0\0\xa0" + bytes(4) + b"\x02\x10\0\0mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
        + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + struct.pack(">I", 1)
        + b"kTRC" + struct.pack(">II", 144, 12) + b"curv" + bytes(8) + bytes(4)
    )  # fmt: skip
    image = decode(file(linear.astype(np.uint8), "PNG", icc_profile=gamma_one))
    assert np.abs(image[..., 0].astype(int) - grey)[grey > 60].max() <= 3
    assert (image[..., 0] == image[..., 2]).all()


def test_profiles_that_are_broken_or_made_for_other_pixels_change_nothing(picture):
    lab = profile_of("LAB")
    for profile in (b"no profile", ADOBE_ICC[:200], lab, ADOBE_ICC[:128] + b"\xff" * 300, profile_of("sRGB")):
        for form in ("PNG", "TIFF", "WEBP"):
            options = {"lossless": True} if form == "WEBP" else {}
            assert (decode(file(picture, form, icc_profile=profile, **options)) == picture).all()
    grey = picture[..., 1]
    assert (decode(file(grey, "PNG", icc_profile=ADOBE_ICC))[..., 0] == grey).all()


def test_cmyk_follows_its_profile_and_survives_without(picture):
    cmyk = Image.fromarray(picture).convert("CMYK")
    for form in ("JPEG", "TIFF"):
        stream = io.BytesIO()
        cmyk.save(stream, form, icc_profile=b"broken", quality=95)
        assert np.abs(decode(stream.getvalue()).astype(int) - picture).mean() < 3


def test_png_chunks_that_say_another_space_are_followed(picture):
    gamma = lambda g: (b"gAMA", struct.pack(">I", round(100_000 / g)))  # noqa: E731
    adobe = (b"cHRM", chromaticities(0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06))
    usual = (b"cHRM", chromaticities(0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06))
    linear = encode(picture, SRGB, 1.0)
    cases = [
        (encode(picture, ADOBE, 2.2), [gamma(2.2), adobe], 2),
        (linear, [gamma(1.0)], 40),  # eight linear bits are coarse in the dark
        (encode(picture, P3, None), [(b"cICP", bytes([12, 13, 0, 1]))], 2),
        (picture, [gamma(2.2), usual], 0),
        (picture, [gamma(2.2)], 0),
        (picture, [(b"sRGB", b"\0"), gamma(1.0)], 0),
        (picture, [(b"cICP", bytes([1, 13, 0, 1]))], 0),
        (picture, [gamma(1.0), (b"cICP", bytes([1, 13, 0, 1]))], 0),
        (picture, [(b"cHRM", chromaticities(0, 0, 0, 0, 0, 0, 0, 0))], 0),
    ]
    for pixels, chunks, tolerance in cases:
        off = np.abs(decode(with_chunks(file(pixels, "PNG"), *chunks)).astype(int) - picture)
        assert off.max() <= tolerance and off.mean() < 1, chunks


def test_high_dynamic_range_is_refused_by_name(picture):
    with pytest.raises(ImageError, match="high dynamic range"):
        decode(with_chunks(file(picture, "PNG"), (b"cICP", bytes([9, 16, 0, 1]))))


@pytest.mark.parametrize("how", ["ColorSpace 2", "R03"])
def test_cameras_that_name_adobe_rgb_in_exif_alone(picture, how):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2 if how == "ColorSpace 2" else 0xFFFF
    if how == "R03":
        exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    coded = encode(picture, ADOBE, 563 / 256)
    image = decode(file(coded, "JPEG", quality=100, subsampling=0, exif=exif)).astype(int)
    assert np.abs(image - picture).mean() < 1.5
    plain = decode(file(picture, "JPEG", quality=100, subsampling=0)).astype(int)
    assert np.abs(plain - picture).mean() < 1


def test_lab_tiff_gives_the_colours_of_an_independent_conversion(picture):
    lab = np.rint(color.rgb2lab(picture) * [2.55, 1, 1]).astype(np.int16)
    stored = np.dstack([lab[..., 0], lab[..., 1] & 255, lab[..., 2] & 255]).astype(np.uint8)
    stream = io.BytesIO()
    tifffile.imwrite(stream, stored, photometric="cielab")
    assert np.abs(decode(stream.getvalue()).astype(int) - picture).mean() < 6


@pytest.mark.parametrize("opacity", [0, 1, 128, 255])
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_an_alpha_channel_that_is_the_same_everywhere_is_ignored(picture, form, opacity):
    pixels = np.dstack([picture, np.full(picture.shape[:2], opacity, np.uint8)])
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    assert (decode(file(pixels, form, **options)) == picture).all()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
def test_alpha_of_tiff_is_read_as_the_file_says(picture, depth, planar, kind):
    opacity = np.linspace(0, 1, picture.shape[1])[None, :, None] * np.ones((*picture.shape[:2], 1))
    opacity = np.rint(opacity * 255) / 255
    colours = picture * opacity if kind == "assocalpha" else picture.astype(float)
    pixels = np.rint(np.dstack([colours, opacity * 255]) * (257 if depth == 16 else 1)).astype(f"u{depth // 8}")
    stored = pixels.transpose(2, 0, 1) if planar == "separate" else pixels
    stream = io.BytesIO()
    tifffile.imwrite(stream, stored, photometric="rgb", planarconfig=planar, extrasamples=[kind], compression="zlib")
    expected = picture if kind == "unspecified" else picture * opacity + 255 * (1 - opacity)
    assert np.abs(decode(stream.getvalue()) - expected).max() <= 2


@pytest.mark.parametrize("opacity", [0, 100, 255])
def test_a_constant_premultiplied_alpha_neither_darkens_nor_empties(picture, opacity):
    multiplied = np.rint(picture * (opacity / 255)).astype(np.uint8)
    for colours in [picture] + [multiplied] * (opacity > 0):  # the first only says so
        stream = io.BytesIO()
        pixels = np.dstack([colours, np.full(picture.shape[:2], opacity, np.uint8)])
        tifffile.imwrite(stream, pixels, photometric="rgb", extrasamples=["assocalpha"])
        assert np.abs(decode(stream.getvalue()).astype(int) - picture).max() <= 2


def test_grey_with_alpha_and_transparent_palettes(picture):
    grey = picture[..., 1]
    pixels = np.dstack([grey, np.full_like(grey, 255)])
    pixels[:10, :10, 1] = 0
    for form in ("PNG", "TIFF"):
        image = decode(file(pixels, form))
        assert (image[:10, :10] == 255).all() and (image[10:, :, 0] == grey[10:]).all()
    palette = Image.fromarray(picture).quantize(64)
    stream = io.BytesIO()
    palette.save(stream, "PNG", transparency=int(np.asarray(palette)[0, 0]))
    image = decode(stream.getvalue())
    assert (image[np.asarray(palette) == np.asarray(palette)[0, 0]] == 255).all()
    assert cv2.PSNR(decode(file(np.asarray(palette.convert("RGB")), "PNG")), picture) > 25

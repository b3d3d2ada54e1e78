"""Files as cameras, phones, microscopes and web pages write them, and what is no image."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from leuko.images.decode import FORMATS, SUFFIXES, ImageError, decode, format_of, pictures
from leuko.images.synthetic import rendering

HEIC = Path(__file__).parents[1] / "heic"  # HEVC has no free encoder at hand: drawn smears, encoded once by x265


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return rendering.render(5, width=128, height=96, um_per_px=0.3, white_cells={"blast": 1}, noise=0).image


def encoded(pixels: np.ndarray, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


FORMS = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "TIFF": {},
    "BMP": {},
    "WEBP": {"quality": 95},
    "GIF": {},
    "JPEG2000": {},
    "AVIF": {"quality": 95},
    "PPM": {},
}


@pytest.mark.parametrize("form", FORMS)
def test_formats_are_known_by_content_whatever_the_name(picture, tmp_path, form):
    data = encoded(picture, form, **FORMS[form])
    assert format_of(data) == form
    for name in ("a.txt", "a", "a.png", "a.tif", "a.dcm"):
        (tmp_path / name).write_bytes(data)
        assert np.abs(decode(tmp_path / name).astype(int) - picture).mean() < 4
    assert set(SUFFIXES.values()) <= set(FORMATS)


def test_heic_is_turned_upright_and_its_colours_are_those_of_srgb(picture):
    data = (HEIC / "turned_display_p3.heic").read_bytes()
    found = pictures(data)
    assert format_of(data) == "HEIF" and [p.page for p in found] == [None]
    off = found[0].pixels.astype(int) - picture
    assert np.abs(off).mean() < 3 and np.abs(off.mean(axis=(0, 1))).max() < 1


def test_every_image_of_a_heic_is_a_picture(picture):
    first, second = pictures(HEIC / "two_pictures.heic")
    assert (first.page, second.page) == (1, 2)
    for found, truth in ((first, picture), (second, picture[::-1])):
        assert np.abs(found.pixels.astype(int) - truth).mean() < 4


def test_damaged_heic_and_avif_are_refused_in_a_sentence(picture):
    avif = encoded(picture, "AVIF")
    for whole in ((HEIC / "two_pictures.heic").read_bytes(), avif):
        for length in (20, 200, len(whole) // 2):
            with pytest.raises(ImageError, match="damaged"):
                decode(whole[:length])


def test_heic_and_avif_that_claim_many_pixels_are_refused_before_decoding(picture):
    heic, avif = (HEIC / "two_pictures.heic").read_bytes(), encoded(picture, "AVIF")
    for whole in (heic, avif):
        claim = whole.replace(
            b"ispe" + bytes(4) + struct.pack(">II", 128, 96), b"ispe" + bytes(4) + struct.pack(">II", 30_000, 30_000)
        )
        assert claim != whole
        with pytest.raises(ImageError):
            decode(claim)


@pytest.mark.parametrize(
    "trailer", [b"", b"garbage" * 9, bytes([0xFF, 0xDA]) * 500, b"\0\0\0\x18ftypmp42" + bytes([0xFF, 0xDA, 0, 1]) * 300]
)
def test_whatever_follows_a_jpeg_is_no_part_of_it(picture, trailer):
    """Motion photographs of Samsung and Google carry a film behind the picture."""
    for progressive in (False, True):
        data = encoded(picture, "JPEG", quality=95, progressive=progressive)
        assert (decode(data + trailer) == decode(data)).all()


def test_scans_within_a_thumbnail_are_not_counted(picture):
    exif = Image.Exif()
    exif[0x927C] = bytes([0xFF, 0xDA]) * 200
    exif[0x010E] = "\xff\xda" * 9
    data = encoded(picture, "JPEG", exif=b"Exif\0\0" + bytes([0xFF, 0xDA]) * 300)
    assert np.abs(decode(data).astype(int) - picture).mean() < 6


def test_large_texts_and_profiles_of_a_png_are_read_over(picture):
    text = PngImagePlugin.PngInfo()
    text.add_text("notes", "x" * 3_000_000, zip=True)
    text.add_itxt("more", "y" * 3_000_000, zip=True)
    text.add_text("plain", "z" * 3_000_000)
    profile = encoded(picture, "PNG")  # any bytes that are no profile, repeated to 3 MB
    data = encoded(picture, "PNG", pnginfo=text, icc_profile=profile * (3_000_000 // len(profile)))
    assert (decode(data) == picture).all()


def test_texts_that_unpack_to_gigabytes_cost_nothing(picture):
    bomb = b"a\0\0" + zlib.compress(bytes(30_000_000), 9) * 3
    data = encoded(picture, "PNG")
    for kind in (b"zTXt", b"iCCP"):
        chunk = struct.pack(">I", len(bomb)) + kind + bomb + struct.pack(">I", zlib.crc32(kind + bomb))
        assert (decode(data[:33] + chunk * 5 + data[33:]) == picture).all()


def test_damaged_exif_does_not_hide_the_picture(picture):
    for block in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert np.abs(decode(encoded(picture, "JPEG", quality=95, exif=block)).astype(int) - picture).mean() < 4


OTHERS = {
    b"%PDF-1.7\n%": "PDF",
    b"PK\x03\x04" + bytes(40): "zip",
    b"\0\0\0\x20ftypisom\0\0\2\0isomiso2": "film",
    b"\0\0\0\x14ftypqt  \0\0\0\0qt  ": "film",
    b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>': "SVG",
    b"\xef\xbb\xbf<svg width='9'/>": "SVG",
    b"<!DOCTYPE html><html><body>404</body></html>": "web page",
    b"ZISRAWFILE" + bytes(60): "Zeiss",
    b"8BPS\0\1" + bytes(60): "Photoshop",
    b"FUJIFILMCCD-RAW 0201": "raw data",
    b"\0\0\0\x18ftypcrx \0\0\0\1crx isom": "raw data",
    b"\xff\x0a" + bytes(60): "JPEG XL",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:1": "Git LFS",
    b"SIMPLE  =                    T": "FITS",
    b"some text": "use JPEG, PNG, TIFF",
}


@pytest.mark.parametrize(("data", "words"), OTHERS.items())
def test_what_is_no_image_is_named(data, words):
    with pytest.raises(ImageError, match=words) as refusal:
        decode(data)
    assert str(refusal.value).count("\n") == 0 and str(refusal.value).endswith(".")


def test_raw_files_of_cameras_are_not_judged_by_their_preview(picture):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:  # as DNG and NEF: a preview, and the raw data below it
        writer.write(picture, photometric="rgb", subifds=1, extratags=[(50706, 1, 4, b"\1\4\0\0", True)])
        writer.write(picture[..., 0].astype(np.uint16), photometric="cfa")
    dng = stream.getvalue()
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(picture, photometric="rgb", subifds=1)
        writer.write(picture[..., 0].astype(np.uint16), photometric="cfa")
    tags = {256: 20, 257: 20, 258: 8, 259: 1, 262: 1, 273: 16, 277: 1, 278: 20, 279: 400}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    cr2 = b"II*\0" + struct.pack("<I", 416) + b"CR\2\0" + bytes(404) + struct.pack("<H", 9) + entries + bytes(4)
    for data in (dng, stream.getvalue(), cr2):
        with pytest.raises(ImageError, match="raw data of a camera"):
            decode(data)


def test_whole_slides_are_refused_with_advice(picture, tmp_path):
    ndpi = io.BytesIO()
    tifffile.imwrite(
        ndpi, picture, photometric="rgb", extratags=[(65420, 4, 1, 1, True), (271, 2, 0, "Hamamatsu", True)]
    )
    (tmp_path / "slide.mrxs").write_bytes(encoded(picture, "JPEG"))
    huge, empty = io.BytesIO(), (np.zeros((1024, 1024), np.uint8) for _ in range(64))
    form = {"dtype": np.uint8, "tile": (1024, 1024), "photometric": "minisblack", "compression": "zlib"}
    tifffile.imwrite(huge, empty, shape=(8_000, 8_000), **form)
    for source in (ndpi.getvalue(), tmp_path / "slide.mrxs", huge.getvalue()):
        with pytest.raises(ImageError, match=r"whole slide.*export single fields"):
            decode(source)


def size(data: bytes) -> float | None:
    return pictures(data)[0].um_per_px


def test_physical_sizes_are_read_where_they_are_those_of_a_microscope(picture):
    per_cm, per_inch = 1e4 / 0.25, 25_400 / 0.25
    assert size(encoded(picture, "PNG", dpi=(per_inch, per_inch))) == pytest.approx(0.25, rel=1e-3)
    assert size(encoded(picture, "JPEG", dpi=(50_800, 50_800))) == pytest.approx(0.5)
    jfif = bytearray(encoded(picture, "JPEG", dpi=(40_000, 40_000)))
    jfif[13] = 2  # dots per centimetre
    assert size(bytes(jfif)) == pytest.approx(0.25)

    def tiff(**options: object) -> bytes:
        stream = io.BytesIO()
        tifffile.imwrite(stream, picture, photometric="rgb", **options)
        return stream.getvalue()

    assert size(tiff(resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")) == pytest.approx(0.25, rel=1e-4)
    assert size(tiff(resolution=(per_inch, per_inch), resolutionunit="INCH")) == pytest.approx(0.25, rel=1e-4)
    for unit in ("micron", "um", "\\u00B5m"):
        found = size(_imagej(picture, unit, 4.0))
        assert found == pytest.approx(0.25)
    assert size(_imagej(picture, "mm", 4000.0)) == pytest.approx(0.25)
    for value, unit in ((0.25, "µm"), (250, "nm"), (0.00025, "mm")):
        stream = io.BytesIO()
        sizes = {f"PhysicalSize{axis}{end}": v for axis in "XY" for end, v in (("", value), ("Unit", unit))}
        tifffile.imwrite(stream, picture, photometric="rgb", ome=True, metadata={"axes": "YXS", **sizes})
        assert size(stream.getvalue()) == pytest.approx(0.25)


def _imagej(picture: np.ndarray, unit: str, per_unit: float) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, picture, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit, "axes": "YXS"}
    )
    return stream.getvalue()


def test_densities_of_print_and_contradictions_say_nothing(picture):
    for dpi in (72, 96, 300, 1200, 9600):
        for form in ("PNG", "JPEG", "TIFF", "BMP"):
            assert size(encoded(picture, form, dpi=(dpi, dpi))) is None
    for x, y in ((50_800, 101_600), (50_800, 0), (5e6, 5e6)):
        assert size(encoded(picture, "PNG", dpi=(x, y))) is None
    assert size(encoded(picture, "PNG")) is None
    assert size(_imagej(picture, "pixel", 4.0)) is None

"""Files of several pages: each picture is read, and nothing else is taken for one."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

from leuko.images.decode import ImageError, decode, pictures
from leuko.images.formats import limits
from leuko.images.synthetic import rendering


@pytest.fixture(scope="module")
def fields() -> list[np.ndarray]:
    """Three drawn fields, 128 × 96."""
    return [rendering.render(i, width=128, height=96, um_per_px=0.3, white_cells={"blast": 1}).image for i in range(3)]


def tiff(*pages: np.ndarray, each: list[dict] | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    each = each or [{}] * len(pages)
    with tifffile.TiffWriter(stream, **{k: options.pop(k) for k in ("bigtiff", "byteorder") if k in options}) as writer:
        for page, own in zip(pages, each, strict=True):
            writer.write(page, **{"photometric": "rgb" if page.ndim == 3 else "minisblack", **options, **own})
    return stream.getvalue()


def label(text: str = "SLIDE 12") -> np.ndarray:
    image = Image.new("RGB", (300, 200), (244, 244, 244))
    ImageDraw.Draw(image).text((30, 70), text, fill=(20, 20, 25), font_size=44)
    return np.asarray(image)


def smaller(field: np.ndarray, side: int = 48) -> np.ndarray:
    image = Image.fromarray(field)
    return np.asarray(image.resize((side, side * image.height // image.width), Image.Resampling.LANCZOS))


def pages_of(data: bytes) -> list[int | None]:
    return [picture.page for picture in pictures(data)]


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"bigtiff": True}, {"byteorder": ">"}])
@pytest.mark.parametrize("scale", [1, 16, 257])
def test_every_page_is_a_picture_with_its_number(fields, options, scale):
    stored = [field.astype(np.uint16) * scale if scale > 1 else field for field in fields]
    found = pictures(tiff(*stored, **options))
    assert [picture.page for picture in found] == [1, 2, 3]
    for picture, field in zip(found, fields, strict=True):
        assert (picture.pixels == field).all()
    with pytest.raises(ImageError, match="3 pages"):
        decode(tiff(*stored, **options))


def test_pages_of_other_kinds_and_sizes_are_pictures_too(fields):
    grey = fields[1][..., 1]
    found = pictures(tiff(fields[0], grey, fields[2][:60, :90].astype(np.uint16) << 4))
    assert [p.pixels.shape for p in found] == [(96, 128, 3), (96, 128, 3), (60, 90, 3)]
    assert (found[1].pixels[..., 0] == grey).all() and (found[2].pixels == fields[2][:60, :90]).all()


def test_two_equal_pages_are_both_read(fields):
    assert pages_of(tiff(fields[0], fields[0])) == [1, 2]


NO_PICTURES = {
    "reduced": {"subfiletype": 1},
    "mask": {"subfiletype": 4},
    "reduced label": {"subfiletype": 9},
    "reduced, as older files say": {"extratags": [(255, 3, 1, 2, True)]},
    "named label": {"extratags": [(285, 2, 0, "label", True)]},
    "described as macro": {"description": "Aperio Image Library v12\nmacro 1280x431", "metadata": None},
    "described as thumbnail": {"description": "Thumbnail", "metadata": None},
}


@pytest.mark.parametrize("kind", NO_PICTURES)
@pytest.mark.parametrize("place", [0, 1])
def test_pages_that_say_that_they_are_no_pictures_are_left_out(fields, kind, place):
    pages, each = [fields[0]], [{"metadata": None}]
    mask = fields[1][:64, :64]
    pages.insert(place, mask[..., 1] > 180 if kind == "mask" else mask)
    each.insert(place, NO_PICTURES[kind])
    found = pictures(tiff(*pages, each=each))
    assert [p.page for p in found] == [None] and (found[0].pixels == fields[0]).all()


@pytest.mark.parametrize("place", [0, 1])
def test_copies_and_drawn_labels_are_left_out_though_nothing_says_so(fields, place):
    for other in (smaller(fields[0]), smaller(fields[0], 64), label(), label("AB-1234")):
        pages = [fields[0]]
        pages.insert(place, other)
        found = pictures(tiff(*pages))
        assert [p.page for p in found] == [None] and (found[0].pixels == fields[0]).all()


def test_small_fields_blank_fields_and_lone_labels_are_not_left_out(fields):
    assert pages_of(tiff(fields[0], smaller(fields[1], 64))) == [1, 2]
    blank = np.full_like(fields[0], 240)
    bright = np.clip(fields[1].astype(int) + 60, 0, 255).astype(np.uint8)  # its glass is white throughout
    assert pages_of(tiff(fields[0], blank, bright)) == [1, 2, 3]
    assert pages_of(tiff(label())) == [None]
    assert pages_of(tiff(label("A"), label("B"))) == [1, 2]


def test_levels_of_a_pyramid_in_sub_directories_are_left_out(fields):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for field in fields[:2]:
            writer.write(field, photometric="rgb", subifds=1)
            writer.write(smaller(field), photometric="rgb", subfiletype=1)
    assert pages_of(stream.getvalue()) == [1, 2]


def test_a_file_of_reduced_pages_alone_is_refused(fields):
    with pytest.raises(ImageError, match="reduced pictures"):
        pictures(tiff(fields[0], each=[{"subfiletype": 1}]))


COLOURS = np.array([[[255, 0, 0]], [[0, 255, 0]], [[0, 0, 255]]])
TABLES = [(np.arange(256)[None] * colour.T // 255).astype(np.uint8) for colour in COLOURS]


def imagej(pixels: np.ndarray, **metadata: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, imagej=True, metadata=metadata)
    return stream.getvalue()


@pytest.mark.parametrize("scale", [1, 16])
def test_colour_channels_of_imagej_become_one_picture(fields, scale):
    dtype = np.uint16 if scale > 1 else np.uint8
    planes = (fields[0].astype(dtype) * dtype(scale)).transpose(2, 0, 1)
    for metadata in (
        {"axes": "CYX", "LUTs": TABLES},
        {"axes": "CYX", "mode": "composite"},
        {"axes": "CYX", "Labels": ["Red", "Green", "Blue"]},
        {"axes": "ZYX", "Labels": ["Red", "Green", "Blue"]},  # an RGB stack
    ):
        found = pictures(imagej(planes, **metadata))
        assert len(found) == 1 and found[0].page is None and (found[0].pixels == fields[0]).all()
    swapped = pictures(imagej(planes[::-1].copy(), axes="CYX", LUTs=TABLES[::-1]))
    assert (swapped[0].pixels == fields[0]).all()


def test_several_fields_in_channels_become_as_many_pictures(fields):
    found = pictures(imagej(np.stack(fields).transpose(0, 3, 1, 2).copy(), axes="ZCYX", LUTs=TABLES))
    assert [p.page for p in found] == [1, 2, 3]
    assert all((p.pixels == field).all() for p, field in zip(found, fields, strict=True))


def test_channels_of_other_meaning_are_refused_by_name(fields):
    planes = fields[0].transpose(2, 0, 1).copy()
    grey = [np.tile(np.arange(256, dtype=np.uint8), (3, 1))] * 3
    for data in (
        imagej(planes, axes="CYX", LUTs=grey),
        imagej(planes, axes="CYX"),
        imagej(planes[:2].copy(), axes="CYX"),
        imagej(np.concatenate([planes, planes[:1]]), axes="CYX", mode="composite"),
        ome(planes, axes="CYX", Channel={"Name": ["DAPI", "FITC", "TRITC"]}),
        ome(planes, axes="CYX"),
    ):
        with pytest.raises(ImageError, match=r"channels as pages .*RGB"):
            pictures(data)
    with pytest.raises(ImageError, match="DAPI, FITC, TRITC"):
        pictures(ome(planes, axes="CYX", Channel={"Name": ["DAPI", "FITC", "TRITC"]}))


def ome(pixels: np.ndarray, photometric: str = "minisblack", **metadata: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, ome=True, photometric=photometric, metadata=metadata)
    return stream.getvalue()


@pytest.mark.parametrize(
    "names", [["Red", "Green", "Blue"], ["R", "G", "B"], ["channel red", "channel green", "channel blue"]]
)
def test_colour_channels_of_ome_become_one_picture(fields, names):
    planes = fields[0].transpose(2, 0, 1).copy()
    found = pictures(ome(planes, axes="CYX", Channel={"Name": names}))
    assert len(found) == 1 and (found[0].pixels == fields[0]).all()


def test_ome_colours_orders_of_planes_and_usual_rgb(fields):
    planes = fields[0].transpose(2, 0, 1).copy()
    colours = [-16776961, 16711935, 65535]  # red, green, blue, opaque, as signed 32 bits
    assert (decode(ome(planes, axes="CYX", Channel={"Color": colours})) == fields[0]).all()
    stack = np.stack(fields)
    names = {"Name": ["Red", "Green", "Blue"]}
    for axes, order in (("ZCYX", (0, 3, 1, 2)), ("CZYX", (3, 0, 1, 2)), ("TCYX", (0, 3, 1, 2))):
        found = pictures(ome(stack.transpose(order).copy(), axes=axes, Channel=names))
        assert all((p.pixels == field).all() for p, field in zip(found, fields, strict=True))
    for axes in ("ZYXS", "TYXS"):
        assert pages_of(ome(stack, "rgb", axes=axes)) == [1, 2, 3]
    assert pages_of(ome(fields[0], "rgb", axes="YXS")) == [None]


def test_planes_that_metadata_promise_and_pages_lack_are_told(fields):
    stack = imagej(np.stack([f[..., 1] for f in fields]), axes="ZYX")
    cut = bytearray(stack)
    with tifffile.TiffFile(io.BytesIO(stack)) as file:
        first = file.pages[0]
        link = first.offset + 2 + 12 * len(first.tags)
    cut[link : link + 4] = bytes(4)
    with pytest.raises(ImageError, match="3 images, but it has 1 pages"):
        pictures(bytes(cut))


def test_frames_of_an_animation_are_pages_as_far_as_they_differ(fields):
    frames = [Image.fromarray(field) for field in fields]
    for form, options in (("WEBP", {"lossless": True}), ("PNG", {}), ("GIF", {}), ("AVIF", {"quality": 95})):
        stream = io.BytesIO()
        frames[0].save(stream, form, save_all=True, append_images=frames[1:], duration=100, **options)
        found = pictures(stream.getvalue())
        assert [p.page for p in found] == [1, 2, 3], form
        for picture, field in zip(found, fields, strict=True):
            assert np.abs(picture.pixels.astype(int) - field).mean() < (6 if form in ("GIF", "AVIF") else 0.01)
        with pytest.raises(ImageError, match="3 pages"):
            decode(stream.getvalue())
    still = io.BytesIO()
    frames[0].save(still, "WEBP", save_all=True, append_images=frames[:1] * 3, lossless=True, minimize_size=False)
    assert pages_of(still.getvalue()) == [None]


def test_second_views_of_a_photograph_are_no_pages(fields):
    stream = io.BytesIO()
    first, second = (Image.fromarray(field) for field in fields[:2])
    first.save(stream, "MPO", save_all=True, append_images=[second], quality=95)
    found = pictures(stream.getvalue())
    assert [p.page for p in found] == [None] and np.abs(found[0].pixels.astype(int) - fields[0]).mean() < 4


def test_too_many_pages_and_circles_are_refused_at_once(fields):
    tiny = fields[0][:20, :20]
    with pytest.raises(ImageError, match=f"over {limits.MAX_PAGES} pages"):
        pictures(tiff(*[tiny] * (limits.MAX_PAGES + 1)))
    entries = {256: 20, 257: 20, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 20, 279: 400}

    def directory(following: int) -> bytes:
        body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
        return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)

    start, length = 408, len(directory(0))
    for following in (start, start + length):  # itself, and the first of two
        data = struct.pack("<2sHI", b"II", 42, start) + bytes(400) + directory(following) + directory(start)
        with pytest.raises(ImageError, match="circle"):
            pictures(data)
    gif = io.BytesIO()
    frames = [Image.new("L", (20, 20), i) for i in range(200)]
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="pages"):
        pictures(gif.getvalue())


def test_all_pages_together_are_limited(fields, monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS_OF_FILE", int(2.5 * 128 * 96))
    assert pages_of(tiff(*fields[:2])) == [1, 2]
    with pytest.raises(ImageError, match="together"):
        pictures(tiff(*fields))

"""Read the pictures of a TIFF: select the pages that are pictures, and decode them.

tifffile reads the structure. Pillow decodes pages with up to 8 bits per sample, because it supports all colour models.
tifffile decodes pages with more bits or more samples, because it gives the stored samples without conversion.
"""

from __future__ import annotations

import io
import logging
import re
import struct
from collections.abc import Iterator

import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from leuko.images.formats import physical_size, pillow_formats, tiff_channels
from leuko.images.formats.limits import MAX_PIXELS, ImageError, check_pages, check_size, too_many_pixels
from leuko.images.formats.sample_depth import Alpha, assemble, upright
from leuko.images.formats.tiff_page_content import without_copies_and_labels

_MAX_SEGMENTS = 50_000  # strips or tiles of a page; each costs time, even if it is small
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_RAW = (32803, 34892)  # photometric interpretations of camera raw data
_SUBFILE_TYPE, _MAX_SAMPLE, _PAGE_NAME, _SMAX_SAMPLE, _ICC_PROFILE, _DNG_VERSION = 255, 281, 285, 341, 34675, 50706
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _ORIENTATION = 282, 283, 296, 274
_UNITS = {2: "inch", 3: "cm"}
_WHITE_IS_ZERO, _RGB, _CMYK, _YCBCR = 0, 2, 5, 6
_BASE_SAMPLES = {0: 1, 1: 1, 2: 3, 5: 4, 6: 3}  # by photometric interpretation
_ALPHA: dict[int, Alpha] = {
    1: "premultiplied",
    2: "straight",
    999: "straight",
}  # by ExtraSamples; Corel Draw writes 999
_BOUNDED = (1, 5, 8, 32773, 32946, 50000)  # compressions whose decoders limit the size of the output
_JPEG = 7
_NO_PICTURE = re.compile(r"(label|macro|thumbnail|overview|preview)( image)?( \d+\s?x\s?\d+)?", re.IGNORECASE)
_WHOLE_SLIDE = ("ndpi", "scn", "bif", "philips", "qpi")
_ADVICE = "export single fields from its viewer as PNG, JPEG or TIFF"

# Log messages of tifffile may quote the file, such as a patient's name in a description.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def read(data: bytes) -> Iterator[tuple[int, np.ndarray, float | None]]:
    """Yield page number (from 1), pixels (uint8, H × W × 3, sRGB) and µm per pixel or None, for each picture.

    Reduced copies (thumbnails, levels of a pyramid), masks, and labels of a slide are left out. Colour channels that
    are stored as separate pages are combined; the number is then the number of the picture.

    Raises:
        ImageError: too large, too small, too narrow, too many pages, a raw file of a camera, a format of slide
            scanners, channels that are not red, green and blue, or samples that cannot be read.
        Exception: decoders raise many kinds of errors if the file is damaged.
    """
    with tifffile.TiffFile(io.BytesIO(data), _multifile=False) as file:
        pages = _all_pages(file)
        _refuse_other_uses(data, file, pages)
        numbers = [number for number, page in enumerate(pages, start=1) if not _is_marked(page)]
        pictures = [pages[number - 1] for number in numbers]
        if not pictures:
            raise ImageError("The TIFF holds reduced pictures, masks or labels alone; export the full picture.")
        total = 0
        for page in pictures:
            _check(page)
            total += page.imagewidth * page.imagelength
            check_pages(len(pages), total)
        layout = tiff_channels.layout(file, pictures)
        sizes = [layout.um_per_px or _size(page) for page in pictures]
        if layout.triples:
            for number, triple in enumerate(layout.triples, start=1):
                planes = np.concatenate([_samples(data, pictures[index])[..., :1] for index in triple], axis=-1)
                yield number, assemble(planes, bits=_told_bits(pictures[triple[0]])), sizes[triple[0]]
            return
        decoded = [_pixels(data, page) for page in pictures]
        for index in without_copies_and_labels(decoded):
            yield numbers[index], decoded[index], sizes[index]


def _all_pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    pages: list[tifffile.TiffPage] = []
    offsets: set[int] = set()
    while True:
        try:
            page = file.pages[len(pages)].aspage()
        except IndexError:
            return pages
        if page.offset in offsets:
            raise ImageError("The pages of the TIFF refer to each other in a circle; export it again.")
        offsets.add(page.offset)
        pages.append(page)
        check_pages(len(pages), 0)


def _refuse_other_uses(data: bytes, file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> None:
    """Refuse files in other formats that are based on TIFF, such as camera raw files."""
    for kind in _WHOLE_SLIDE:
        if getattr(file, f"is_{kind}"):
            raise ImageError(f"The file is a whole slide as a scanner writes it ({kind.upper()}); {_ADVICE}.")
    if file.is_lsm or file.is_stk or file.is_fluoview:
        raise ImageError("The file is a stack of a fluorescence microscope; save single fields as RGB images.")
    parts = [part for page in pages for part in (page, *_children(page))]
    if data[8:10] == b"CR" or any(part.photometric in _RAW or _DNG_VERSION in part.tags for part in parts):
        raise ImageError("The file is the raw data of a camera; develop it and export JPEG, PNG or TIFF.")


def _children(page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """The subpages (SubIFDs) of a page: up to 4 in camera files, one for each level of a pyramid."""
    if page.pages is None or not page.subifds or len(page.subifds) > 16:
        return []
    return [page.pages[i].aspage() for i in range(len(page.subifds))]


def _is_marked(page: tifffile.TiffPage) -> bool:
    """Whether the tags or texts of a page mark it as a reduced copy, a mask or a slide label."""
    if page.subfiletype & (_REDUCED | _MASK) or page.tags.valueof(_SUBFILE_TYPE) == 2:
        return True
    lines = [str(page.tags.valueof(_PAGE_NAME) or ""), *page.description[:2000].splitlines()]
    return any(_NO_PICTURE.fullmatch(line.strip()) for line in lines)


def _check(page: tifffile.TiffPage) -> None:
    """Refuse a page that is too expensive or cannot be read, according to its tags."""
    if page.is_tiled and page.imagewidth * page.imagelength > MAX_PIXELS:
        raise ImageError(f"The file is a whole slide of {page.imagewidth} × {page.imagelength} pixels; {_ADVICE}.")
    check_size(page.imagewidth, page.imagelength)
    if page.is_tiled and page.tilewidth * page.tilelength > MAX_PIXELS:
        raise ImageError(too_many_pixels("more than that in a tile"))
    across, down = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    parts = -(-page.imagewidth // max(across, 1)) * -(-page.imagelength // max(down, 1))
    if max(parts, len(page.dataoffsets)) > _MAX_SEGMENTS:
        raise ImageError(f"The TIFF is built of over {_MAX_SEGMENTS} strips or tiles; export it again.")
    if len(page.dataoffsets) < parts:
        raise ImageError("The TIFF is damaged: strips or tiles of it are missing; export or copy it again.")
    if page.samplesperpixel > 5 or page.imagedepth > 1:
        raise ImageError("The TIFF has more channels or planes than a colour picture; save it as RGB.")
    if page.sampleformat in (3, 6):
        raise ImageError("Floating-point images have no agreed brightness scale; save the image with 8 or 16 bits.")
    if page.bitspersample > (32 if page.samplesperpixel == 1 else 16):
        raise ImageError("The samples have more than 16 bits; save the image with 8 or 16 bits.")


def _pixels(data: bytes, page: tifffile.TiffPage) -> np.ndarray:
    """The picture of a page, uint8, H × W × 3, upright, in sRGB."""
    base = _BASE_SAMPLES.get(page.photometric)
    has_more = base is not None and page.samplesperpixel > base and page.compression in _BOUNDED
    if page.bitspersample <= 8 and not has_more:
        return _by_pillow(data, page)
    if base is None or (page.photometric == _YCBCR and page.compression != _JPEG):
        raise ImageError("The TIFF has a colour model that is read with 8 bits alone; save the picture as RGB.")
    values = _samples(data, page)
    extra = page.extrasamples[0] if page.extrasamples else 2  # by default, the fourth sample is opacity
    alpha = _ALPHA.get(extra) if values.shape[-1] > base else None
    pixels = assemble(
        values[..., : base + bool(alpha)],
        bits=_told_bits(page),
        white_is_zero=page.photometric == _WHITE_IS_ZERO,
        alpha=alpha,
        profile=page.tags.valueof(_ICC_PROFILE),
    )
    return upright(pixels, page.tags.valueof(_ORIENTATION) or 1)


def _by_pillow(data: bytes, page: tifffile.TiffPage) -> np.ndarray:
    big = page.parent.is_bigtiff
    place, form = (8, "Q") if big else (4, "I")
    first = struct.pack(page.parent.byteorder + form, page.offset)
    alone = data[:place] + first + data[place + len(first) :]  # as if the file began with this page
    with Image.open(io.BytesIO(alone), formats=("TIFF",)) as image:
        check_size(*image.size)
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        width, height = (image.tag_v2.get(tag, 0) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
        if width * height > MAX_PIXELS:  # if a tag occurs twice, readers differ
            raise ImageError(too_many_pixels("more than that in a tile"))
        return pillow_formats.to_rgb(image, pillow_formats.profile(image, data))


def _samples(data: bytes, page: tifffile.TiffPage) -> np.ndarray:
    """The stored samples of a page without conversion, uint8 or uint16, H × W × S."""
    if page.compression == _JPEG:
        _check_jpeg(data, page)
    elif page.compression not in _BOUNDED:
        raise ImageError("The compression of the TIFF is read with 8 bits alone; save it uncompressed or with LZW.")
    values = page.asarray(maxworkers=1)
    if page.axes == "SYX":
        values = values.transpose(1, 2, 0)
    values = values.reshape(page.imagelength, page.imagewidth, -1)
    if values.dtype == np.uint8:
        return values
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("The samples are negative or have more than 16 bits; save the image with 8 or 16 bits.")
    return values.astype(np.uint16, copy=False)


def _check_jpeg(data: bytes, page: tifffile.TiffPage) -> None:
    """Refuse JPEG strips or tiles that are larger than the tags state, or that have too many scans."""
    most = page.tilewidth * page.tilelength or page.imagewidth * page.imagelength
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False):
        segment = data[offset : offset + length]
        frame = re.search(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..[\x08\x0c\x10](....)", segment, re.DOTALL)
        height, width = struct.unpack(">HH", frame.group(1)) if frame else (0, 0)
        if not 0 < width * height <= most:
            raise ImageError("A strip of the TIFF does not have the size that the file says; export it again.")
        if pillow_formats.scans(segment) > pillow_formats.MAX_SCANS:
            raise ImageError(f"A strip of the TIFF is built of over {pillow_formats.MAX_SCANS} scans; export it again.")


def _told_bits(page: tifffile.TiffPage) -> int | None:
    """Significant bits of 16-bit samples as the tags state them: by packed samples, or by the end of the scale."""
    if 8 < page.bitspersample < 16:
        return page.bitspersample
    for tag in (_SMAX_SAMPLE, _MAX_SAMPLE):
        stated = page.tags.valueof(tag)
        largest = max(stated, default=0) if isinstance(stated, tuple) else stated
        # Only a value of 2^n − 1 is the end of a scale. Other values are the brightest sample, and must not scale it.
        if isinstance(largest, int) and 8 < largest.bit_length() <= 16 and not largest & (largest + 1):
            return largest.bit_length()
    return None


def _size(page: tifffile.TiffPage) -> float | None:
    """The size of a pixel in µm, if plausible, from the resolution tags of a page."""
    unit = _UNITS.get(page.tags.valueof(_RESOLUTION_UNIT) or 2)
    pair = [page.tags.valueof(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    if unit is None or not all(isinstance(value, tuple) and len(value) == 2 and value[1] for value in pair):
        return None
    return physical_size.from_density((pair[0][0] / pair[0][1], pair[1][0] / pair[1][1]), unit)
